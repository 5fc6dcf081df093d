"""One connection of a client: its messages, and its speech.

A thread reads the messages; the speech runs on a thread of its own. Any thread may send.
"""

import contextlib
import math
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from voice_cli.agent.messages import VERSION, WINDOW, Message, MessageReader, ProtocolError, encode
from voice_cli.errors import FileError, Interrupted, UsageError, VoiceError
from voice_cli.script.pauses import LiveText, Piece
from voice_cli.script.text_encoding import TextDecoder

if TYPE_CHECKING:
    from voice_cli.playback.player import Player

SEND_SECONDS = 30
"""Seconds without progress after which a client that does not read counts as gone."""

MAX_FILE = 64 << 20
"""The most bytes of a text file."""


SPEECHES = ("say", "replay")
"""The messages that begin a speech."""


class Declined(Exception):  # noqa: N818  not an error: the client speaks itself
    """The client must speak this text itself."""


class SessionText:
    """The text that a client sends, as text that is still arriving. The reader's thread feeds it."""

    def __init__(self, taken: Callable[[int], object]) -> None:
        """Set what is called with the number of bytes that were read."""
        self._taken = taken
        self._decoder = TextDecoder("standard input")
        self._pieces = LiveText(2 * WINDOW, 0.6)
        self._sizes: deque[int] = deque()
        self._undecoded = 0
        self._data = bytearray()
        self._whole = threading.Event()
        self._is_collected = False

    def feed(self, data: bytes, *, final: bool = False) -> None:
        """Add bytes of the text."""
        if self._is_collected:
            self._data += data[: MAX_FILE + 1 - len(self._data)]
            self._taken(len(data))
            if final:
                self._whole.set()
            return
        try:
            text = self._decoder.decode(data, final=final)
        except FileError as exc:
            self._pieces.close(exc)
            return
        self._undecoded += len(data)
        if text:
            if not self._pieces.has_room:
                raise ProtocolError(f"more than {WINDOW} bytes of text are under way")
            self._sizes.append(self._undecoded)
            self._undecoded = 0
            self._pieces.put(text)
        if final:
            self._pieces.close()

    def collect(self) -> None:
        """Collect the following bytes for `whole`, instead of decoding them. Call before the client sends them."""
        self._is_collected = True

    def whole(self, pause: Callable[[float], bool]) -> bytes:
        """Wait for the end of the text and return its bytes. `pause`: as `Turn.wait`.

        Raises:
            FileError: the file is too large.
            Interrupted: the speech was cancelled.

        """
        while not self._whole.is_set():
            if pause(0.01):
                raise Interrupted("interrupted")
        if len(self._data) > MAX_FILE:
            raise FileError(f"the file is larger than {MAX_FILE >> 20} MB", hint="pipe it, or divide it")
        return bytes(self._data)

    def set_pause(self, flush_after: float) -> None:
        """Set how many seconds without text are a pause."""
        self._pieces.flush_after = flush_after

    def pieces(self) -> Iterator[Piece | None]:
        """Yield the pieces, as `LiveText`."""
        for piece in self._pieces.pieces():
            if piece is not None:
                self._taken(self._sizes.popleft())
            yield piece

    def close(self) -> None:
        """End the text after what has arrived."""
        self._pieces.close()


class Speech(Protocol):
    """A speech of the agent, as its session and the control messages use it. Any thread."""

    id: int
    name: str
    player: "Player | None"

    def run(self) -> None:
        """Speak, and send what happens; return when it ended. Raises nothing."""

    def cancel(self) -> None:
        """End the speech soon."""

    def wait_for_end(self, timeout: float) -> dict[str, Any] | None:
        """Return its outcome, the object of `--json`; None: it has not ended after `timeout` seconds."""


class Session:
    """A connection.

    `start` is called with each message of `SPEECHES` and this session, and returns the speech or raises `Declined`;
    `control` is called with each other message, and returns its answer.
    """

    def __init__(
        self,
        connection: socket.socket,
        start: Callable[[Message, "Session"], Speech],
        control: Callable[[Message], Message],
    ) -> None:
        self._connection = connection
        self._start = start
        self._control = control
        self._lock = threading.Lock()
        self._speech: Speech | None = None
        self._thread: threading.Thread | None = None
        self.text = SessionText(lambda size: self.send({"type": "taken", "bytes": size}))
        self.ready = threading.Event()
        """Set when the client has checked its files."""
        self.kept_codec: str | None = None
        """The codec whose bytes the client saves unchanged."""
        self.is_detached = False
        """Whether the speech continues when the client disconnects."""

    def limit_sending(self) -> None:
        """Count a client that does not read for `SEND_SECONDS` as gone: others wait for the end of its speech."""
        seconds = struct.pack("ll", SEND_SECONDS, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)

    @property
    def is_writable(self) -> bool:
        """Whether a short message can be sent at once, or the client has disconnected. Any thread."""
        poll = select.poll()
        poll.register(self._connection, select.POLLOUT)
        return bool(poll.poll(0))

    def send(self, message: Message, payload: bytes = b"") -> bool:
        """Send a message, and return whether the client is still there."""
        try:
            with self._lock:
                self._connection.sendall(encode(message, payload))
        except OSError:  # it has left, or has not read for `SEND_SECONDS`
            self._disconnect()
            return False
        return True

    def send_error(self, error: VoiceError, *, of: str | None = None) -> None:
        """Send an error. `of`: the type of the message that it answers; None: the speech has ended."""
        self.send(
            {
                "type": "error",
                "of": of,
                "kind": error.kind,
                "message": error.message,
                "hint": str(error.hint) if error.hint else None,
                "exit_code": error.exit_code,
            }
        )

    def run(self) -> None:
        """Serve the connection until the client disconnects and its speech has ended."""
        reader = MessageReader(self._connection.recv)
        try:
            while (read := reader.read()) is not None:
                self._handle(*read)
        except ProtocolError as exc:
            self.send_error(exc)
        except OSError:
            pass
        finally:
            self.text.feed(b"", final=True)
            if self._speech is not None and not self.is_detached:
                self._speech.cancel()
            if self._thread is not None:
                self._thread.join()
            self._disconnect()
            self._connection.close()

    def _handle(self, message: Message, payload: bytes) -> None:
        kind = message["type"]
        had_speech = self._speech is not None
        if kind == "text":
            text = message.get("text")
            self.text.feed(text.encode("utf-8", "surrogatepass") if isinstance(text, str) else payload)
        elif kind == "text_end":
            self.text.feed(b"", final=True)
        elif kind == "cancel":
            if self._speech is not None:
                self._speech.cancel()
        else:
            try:
                if kind in SPEECHES:
                    self._say(message)
                elif kind == "ready":
                    self.kept_codec = field(message, "keeps", str)
                    self.ready.set()
                else:
                    self.send(self._control(message))
            except Declined as exc:
                self.send({"type": "declined", "reason": str(exc)})
            except VoiceError as exc:
                self.send_error(exc, of=None if kind in SPEECHES and not had_speech else kind)
            except Exception as exc:
                self.send_error(VoiceError(f"internal error of the agent: {type(exc).__name__}: {exc}"))
                raise

    def _say(self, message: Message) -> None:
        if self._speech is not None:
            raise ProtocolError("a connection has one speech")
        if message["type"] == "say" and message.get("version") != VERSION:
            raise ProtocolError(f"this agent speaks version {VERSION} of the protocol", hint="update voice")
        self._speech = self._start(message, self)
        self._thread = threading.Thread(target=self._speech.run, name=f"voice-speech-{self._speech.id}", daemon=True)
        self._thread.start()

    def _disconnect(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def field(message: Message, name: str, kind: type, default: Any = None) -> Any:
    """Return a field of a message.

    Raises:
        UsageError: it is not of this type.

    """
    value = message.get(name, default)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else math.inf
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise UsageError(f"{name} of the message {message['type']} must be of type {kind.__name__}")
    return value
