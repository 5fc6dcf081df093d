"""The messages of the agent's socket: a line of JSON, and perhaps a payload of bytes. See docs/AGENT.md."""

import json
from collections.abc import Callable
from typing import Any

from voice_cli.errors import VoiceError

VERSION = 1
MAX_BYTES = 1 << 20
"""The most bytes of a line, and of a payload."""
WINDOW = 1 << 16
"""The most bytes of text that a client has sent and the agent has not taken."""

Message = dict[str, Any]


class ProtocolError(VoiceError, kind="protocol", exit_code=1):
    """The peer sent something that is not a message of this protocol."""


def encode(message: Message, payload: bytes = b"") -> bytes:
    """Return the bytes of a message."""
    if payload:
        message = {**message, "payload": len(payload)}
    return json.dumps(message, separators=(",", ":")).encode() + b"\n" + payload


class MessageReader:
    """Reads messages. `receive` returns up to so many bytes, and none at the end."""

    def __init__(self, receive: Callable[[int], bytes], *, limit: int = MAX_BYTES) -> None:
        self._receive = receive
        self._limit = limit
        self._data = bytearray()
        self._seen = 0
        """Bytes at the start of `_data` that contain no end of a line."""

    def read(self) -> tuple[Message, bytes] | None:
        """Return the next message and its payload; None at the end of the stream.

        Raises:
            ProtocolError: it is not valid, or longer than `MAX_BYTES`.
            OSError: the connection is broken.

        """
        line = self._line()
        if line is None:
            return None
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise ProtocolError("a message is not JSON") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise ProtocolError("a message is not an object with a type")
        size = message.get("payload", 0)
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BYTES:
            raise ProtocolError(f"a payload must have 0 to {MAX_BYTES} bytes")
        while len(self._data) < size:
            if not self._fill():
                return None
        payload = bytes(self._data[:size])
        del self._data[:size]
        return message, payload

    def _line(self) -> bytes | None:
        while (end := self._data.find(b"\n", self._seen)) < 0:
            self._seen = len(self._data)
            if self._seen > self._limit:
                raise ProtocolError(f"a message is longer than {self._limit} bytes")
            if not self._fill():
                return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        self._seen = 0
        return line

    def _fill(self) -> bool:
        data = self._receive(1 << 16)
        self._data += data
        return bool(data)
