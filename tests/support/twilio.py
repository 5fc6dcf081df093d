"""Twilio's side of a Media Stream. It returns marks only after a `clear` or when a test sends them."""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from support.threads import WAIT

MEDIA = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


def start_message(stream_sid: str, parameters: dict[str, str], media: dict[str, Any] = MEDIA) -> dict[str, Any]:
    """Return Twilio's documented `start` message."""
    start = {
        "accountSid": "AC00000000000000000000000000000000",
        "streamSid": stream_sid,
        "callSid": "CA00000000000000000000000000000000",
        "tracks": ["inbound"],
        "mediaFormat": media,
        "customParameters": parameters,
    }
    return {"event": "start", "sequenceNumber": "1", "start": start, "streamSid": stream_sid}


class Caller:
    """One stream. `messages` holds (time received, message), in seconds of `time.monotonic`."""

    def __init__(self, websocket: ClientConnection, stream_sid: str = "MZ1", **parameters: str) -> None:
        """Start the stream on an open connection."""
        self.stream_sid = stream_sid
        self.began = time.monotonic()
        self.messages: list[tuple[float, dict[str, Any]]] = []
        self.code: int | None = None
        """The server's close code."""
        self.reason = ""
        self._websocket = websocket
        self._changed = threading.Condition()
        self._over = False
        self._buffered: list[str] = []
        """Marks not yet returned."""
        self._sequence = 1
        self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.send(start_message(stream_sid, parameters))
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        self._websocket.send(json.dumps(message))

    def heard(self, name: str) -> None:
        """Return a mark."""
        with contextlib.suppress(ValueError):
            self._buffered.remove(name)
        self._sequenced({"event": "mark", "mark": {"name": name}})

    def press(self, digit: str) -> None:
        """Send a DTMF digit."""
        self._sequenced({"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}})

    def talk(self) -> None:
        """Send a frame of the caller's audio."""
        payload = base64.b64encode(b"\xff" * 160).decode()
        self._sequenced({"event": "media", "media": {"track": "inbound", "chunk": "1", "payload": payload}})

    def hang_up(self) -> None:
        """End the call."""
        self._sequenced({"event": "stop", "stop": {"accountSid": "AC0", "callSid": "CA0"}})

    @property
    def sound(self) -> bytes:
        return b"".join(self.frames)

    @property
    def frames(self) -> list[bytes]:
        """All audio received, cleared or not."""
        with self._changed:
            media = [message for _, message in self.messages if message["event"] == "media"]
        return [base64.b64decode(message["media"]["payload"]) for message in media]

    @property
    def sound_after_clear(self) -> bytes:
        """Audio received after the last clear."""
        with self._changed:
            events = [message for _, message in self.messages]
        clears = [at for at, message in enumerate(events) if message["event"] == "clear"]
        media = [message for message in events[clears[-1] :] if message["event"] == "media"]
        return b"".join(base64.b64decode(message["media"]["payload"]) for message in media)

    @property
    def marks(self) -> list[tuple[str, int]]:
        """(Name, number of frames before it) for each mark."""
        found, frames = [], 0
        with self._changed:
            for _, message in self.messages:
                frames += message["event"] == "media"
                if message["event"] == "mark":
                    found.append((message["mark"]["name"], frames))
        return found

    @property
    def clears(self) -> int:
        with self._changed:
            return sum(message["event"] == "clear" for _, message in self.messages)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the condition is true of the messages received."""
        with self._changed:
            assert self._changed.wait_for(lambda: is_so() or self._over, WAIT), "timed out"
            assert is_so(), (self.code, self.reason)

    def wait_for_marks(self, count: int) -> list[str]:
        """Wait until this many marks have arrived and return their names."""
        self.wait_until(lambda: len(self.marks) >= count)
        return [name for name, _ in self.marks]

    def wait_until_closed(self) -> int | None:
        """Wait until the server closes and return its close code."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._over, WAIT), "the server has not closed"
            return self.code

    def _sequenced(self, message: dict[str, Any]) -> None:
        self._sequence += 1
        self.send({**message, "sequenceNumber": str(self._sequence), "streamSid": self.stream_sid})

    def _read(self) -> None:
        try:
            while True:
                message = json.loads(self._websocket.recv())
                assert message["streamSid"] == self.stream_sid
                with self._changed:
                    self.messages.append((time.monotonic(), message))
                    self._changed.notify_all()
                if message["event"] == "mark":
                    self._buffered.append(message["mark"]["name"])
                elif message["event"] == "clear":  # as documented, empties the buffer and returns its marks
                    while self._buffered:
                        self.heard(self._buffered[0])
        except ConnectionClosed as closed:
            with self._changed:
                if closed.rcvd is not None:
                    self.code, self.reason = closed.rcvd.code, closed.rcvd.reason
                self._over = True
                self._changed.notify_all()
