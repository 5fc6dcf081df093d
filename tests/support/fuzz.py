"""WebSocket clients that act at random, reproducibly for a given seed."""

import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import ClientConnection

from support.sessions import half_close, reset_connection
from support.speech_app import SpeechApp

SPOKEN = "Hello there. This is, well, a sentence! And so on… 你好。 😀 3.30 pm\n\n# Next\n"

CHATTERBOX = (
    {"text": SPOKEN, "voice_id": "alice", "preset": "fast", "output_format": "pcm", "speed": 1.5},
    {"text": "Hi.", "voice_id": "bob"},
    {"type": "cancel"},
)
CHATTERBOX_LIVE = (
    {"type": "init", "voice_id": "alice", "output_format": "wav"},
    {"type": "init", "voice_id": "bob", "preset": "adaptive"},
    {"type": "text", "content": SPOKEN, "flush": True},
    {"type": "text", "content": "And more of "},
    {"type": "end"},
    {"type": "cancel"},
)
OMNI = (
    {"type": "session.config", "voice": "alice", "response_format": "pcm", "stream_audio": True},
    {"type": "session.config", "split_granularity": "clause", "word_timestamps": True, "response_format": "mp3"},
    {"type": "input.text", "text": SPOKEN},
    {"type": "input.done"},
    {"type": "input.commit"},
    {"type": "session.close"},
)
TWILIO = (
    {"event": "connected", "protocol": "Call", "version": "1.0.0"},
    {
        "event": "start",
        "streamSid": "MZ1",
        "start": {"streamSid": "MZ1", "callSid": "CA1", "customParameters": {"text": SPOKEN, "voice": "alice"}},
    },
    {"event": "media", "streamSid": "MZ1", "media": {"payload": "//8=", "track": "inbound"}},
    {"event": "mark", "streamSid": "MZ1", "mark": {"name": "0"}},
    {"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "1"}},
    {"event": "stop", "streamSid": "MZ1"},
)

PROTOCOLS: dict[str, tuple[dict[str, Any], ...]] = {
    "/ws/synthesize": CHATTERBOX,
    "/ws/synthesize-stream": CHATTERBOX_LIVE,
    "/v1/audio/speech/stream": OMNI,
    "/twilio": TWILIO,
    "/stream": ({"type": "ping"},),
}
"""Path to the messages of its protocol."""


class Fuzzer:
    """Runs random sessions against a server."""

    def __init__(self, app: SpeechApp, seed: object) -> None:
        self._app = app
        self._rng = random.Random(repr(seed))

    def session(self, path: str) -> None:
        """Open a WebSocket, perform random actions, and leave in a random way."""
        target = self._target() if path == "/stream" else path
        options = {"open_timeout": 20, "close_timeout": self._rng.choice([0, 0.05, 1]), "max_queue": 1}
        with contextlib.suppress(InvalidStatus), self._app.connect(target, **options) as websocket:
            with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
                acts = self._acts(path)
                for _ in range(self._rng.randint(0, 12)):
                    self._rng.choice(acts)(websocket)
            self._leave(websocket)

    def _target(self) -> str:
        rng = self._rng
        texts = ("text=Hello%20there.", "text=", "text=%00", "text=" + "x" * 3000, "text=a&text=b", "", "text=%ff%fe")
        cfgs = ("", "&cfg=1.5", "&cfg=nan", "&cfg=-1", "&cfg=x", "&steps=5", "&steps=1e9", "&steps=0")
        voices = ("", "&voice=alice", "&voice=../x", "&voice=a%0Ab", "&voice=")
        return f"/stream?{rng.choice(texts)}{rng.choice(cfgs)}{rng.choice(voices)}"

    def _acts(self, path: str) -> list[Callable[[ClientConnection], None]]:
        """Return the actions to choose from; valid ones are more likely, so that some speech is generated."""
        rng = self._rng
        call = f"MZ{rng.randrange(10**9)}"  # call ids are unique on a server
        messages = json.loads(json.dumps(PROTOCOLS[path]).replace("MZ1", call))

        def valid_sequence(websocket: ClientConnection) -> None:
            for message in messages[: rng.randint(1, len(messages))]:
                websocket.send(json.dumps(message))
            with contextlib.suppress(TimeoutError):
                websocket.recv(rng.choice([0, 0.5]))

        def in_any_order(websocket: ClientConnection) -> None:
            for _ in range(rng.randint(1, 6)):
                websocket.send(json.dumps(rng.choice(messages)))

        def nearly_valid(websocket: ClientConnection) -> None:
            for _ in range(rng.randint(1, 4)):
                websocket.send(json.dumps(self._malformed(rng.choice(messages))))

        def anything(websocket: ClientConnection) -> None:
            websocket.send(json.dumps(self._value(3)))

        def invalid_json(websocket: ClientConnection) -> None:
            broken = ("", "{", "[" * 50_000, '{"type": ', "\x00", "nan", json.dumps(messages[0])[:-1], "1" * 5000)
            websocket.send(rng.choice(broken))

        def binary(websocket: ClientConnection) -> None:
            websocket.send(rng.randbytes(rng.choice([0, 1, 160, 70_000])))

        def invalid_text(websocket: ClientConnection) -> None:
            websocket.send(rng.randbytes(20), text=True)

        def huge(websocket: ClientConnection) -> None:
            websocket.send("x" * rng.choice([100_000, 1 << 20, (1 << 20) + 1, 3 << 20]))

        def long(websocket: ClientConnection) -> None:
            message = dict(messages[rng.randrange(len(messages))])
            for key in ("text", "content"):
                if key in message:
                    message[key] = "A longer text. " * rng.choice([10, 200, 5000])
            websocket.send(json.dumps(message))

        def in_pieces(websocket: ClientConnection) -> None:
            text = json.dumps(rng.choice(messages))
            websocket.send([text[at : at + 7] for at in range(0, len(text), 7)])

        def ping(websocket: ClientConnection) -> None:
            for _ in range(rng.randint(1, 50)):
                websocket.ping()

        def receive(websocket: ClientConnection) -> None:
            for _ in range(rng.randint(1, 30)):
                websocket.recv(0.05)

        def pause(websocket: ClientConnection) -> None:
            with contextlib.suppress(TimeoutError):
                websocket.recv(rng.random() * 0.02)

        valid = [valid_sequence, valid_sequence, valid_sequence, in_any_order, receive, receive, pause]
        return [*valid, nearly_valid, anything, invalid_json, binary, invalid_text, huge, long, in_pieces, ping]

    def _leave(self, websocket: ClientConnection) -> None:
        rng = self._rng

        def invalid_frames() -> None:
            websocket.socket.sendall(rng.randbytes(rng.randint(1, 300)))

        def half_a_frame() -> None:
            websocket.socket.sendall(b"\x81\xfe\x10\x00" + rng.randbytes(20))

        ways: list[Callable[[], None]] = [
            lambda: None,
            websocket.close,
            lambda: websocket.close(rng.choice([1001, 1008, 1011, 3000, 4999]), "x" * rng.randint(0, 120)),
            lambda: reset_connection(websocket),
            lambda: half_close(websocket),
            invalid_frames,
            half_a_frame,
        ]
        with contextlib.suppress(WebSocketException, OSError):
            rng.choice(ways)()

    def _malformed(self, message: dict[str, Any]) -> Any:
        """Return a copy of a message with a field removed, added or changed."""
        rng = self._rng
        malformed = dict(message)
        key = rng.choice(list(malformed))
        how = rng.randrange(5)
        if how == 0:
            del malformed[key]
        elif how == 1:
            malformed[key] = self._value(2)
        elif how == 2:
            malformed[rng.choice(["extra", "type", "event", "start", "speed", "text"])] = self._value(2)
        elif how == 3:
            return [malformed]
        elif isinstance(malformed[key], dict):
            malformed[key] = self._malformed(malformed[key]) if malformed[key] else None
        return malformed

    def _value(self, depth: int) -> Any:
        """Return a random JSON value, sometimes an invalid one."""
        rng = self._rng
        plain = (None, True, 0, -1, 1.5, 10**30, 1e308, float("nan"), float("inf"), "", "a", "\x00", "\ud800", SPOKEN)
        if depth == 0 or rng.random() < 0.6:
            return rng.choice([*plain, "../../etc/passwd", "http://127.0.0.1/x", "alice\n", "x" * 5000])
        if rng.random() < 0.5:
            return [self._value(depth - 1) for _ in range(rng.randint(0, 4))]
        keys = ("type", "event", "text", "content", "voice_id", "start", "customParameters", "\u0000", "")
        return {rng.choice(keys): self._value(depth - 1) for _ in range(rng.randint(0, 4))}
