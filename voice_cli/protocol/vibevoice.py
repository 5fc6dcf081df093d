"""The VibeVoice demo's server on the wire: `WS /stream?text=&cfg=&steps=&voice=`, and `GET /config`.

The client says nothing more once it is connected. The server sends binary frames of s16le at 24 kHz, mono, cut
anywhere, with text frames between them, each a log entry. It has no frame for the end: it closes with 1000. One that is
busy says so in a log entry and closes with 1013. One that fails says so in a log entry, and closes with 1000 too. A
client that leaves cancels.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from voice_cli.audio import AudioFormat
from voice_cli.protocol.fields import Message, as_object, text_of

STREAM_PATH = "/stream"
CONFIG_PATH = "/config"
FORMAT = AudioFormat(rate=24_000, channels=1)
FRAME_BYTES = 6400
"""What the demo's model makes at a time: 133 ms."""

REQUEST_RECEIVED = "backend_request_received"
MODEL_PROGRESS = "model_progress"
FIRST_CHUNK_SENT = "backend_first_chunk_sent"
STREAM_COMPLETE = "backend_stream_complete"
"""Comes after the last sound, and after a failure too."""
GENERATION_ERROR = "generation_error"
BACKEND_ERROR = "backend_error"
BUSY = "backend_busy"

FAILURES = (GENERATION_ERROR, BACKEND_ERROR)

CLOSED = 1000
CLOSED_FAILED = 1011
CLOSED_BUSY = 1013


class Query(NamedTuple):
    """What is asked for, in the address."""

    text: str
    cfg: float | None = None
    """Of the guidance. None: the server's own."""
    steps: int | None = None
    voice: str | None = None

    def path(self) -> str:
        fields = [("text", self.text)]
        if self.cfg is not None:
            fields.append(("cfg", f"{self.cfg:g}"))
        if self.steps is not None:
            fields.append(("steps", str(self.steps)))
        if self.voice is not None:
            fields.append(("voice", self.voice))
        return f"{STREAM_PATH}?{urlencode(fields, errors='replace')}"


class Log(NamedTuple):
    """A text frame: what goes on at the server."""

    event: str
    data: Mapping[str, Any] = {}

    def message(self, now: float | None = None) -> Message:
        """Give it as it is sent; `now`: seconds since 1970."""
        now = time.time() if now is None else now
        day = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now))
        return {
            "type": "log",
            "event": self.event,
            "data": dict(self.data),
            "timestamp": f"{day}.{int(now % 1 * 1000):03}",
        }

    @property
    def reason(self) -> str:
        """What a failure says of itself."""
        message = self.data.get("message")
        return message if isinstance(message, str) else ""


class Config(NamedTuple):
    """The body of `GET /config`."""

    voices: Sequence[str]
    default_voice: str | None = None

    def message(self) -> Message:
        return {"voices": list(self.voices), "default_voice": self.default_voice}


# Read by a server.


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Read the address's parameters. As in the demo, a number that cannot be is as if it were not there."""
    cfg = _number(parameters.get("cfg"))
    steps = parameters.get("steps", "")
    return Query(
        parameters.get("text", ""),
        cfg if cfg is not None and cfg > 0 else None,
        int(steps) if steps.isascii() and steps.isdigit() and len(steps) < 9 and int(steps) else None,
        parameters.get("voice") or None,
    )


# Read by a client.


def parse_log(value: Any) -> Log | None:
    """Read a text frame; None: it is no log entry, so nothing that a client needs to know.

    Raises:
        ValueError: it is no object.

    """
    message = as_object(value)
    event, data = message.get("event"), message.get("data")
    if not isinstance(event, str):
        return None
    return Log(event, data if isinstance(data, dict) else {})


def parse_config(value: Any) -> Config:
    """Read the body of `GET /config`.

    Raises:
        ValueError: it names no voices.

    """
    message = as_object(value)
    voices = message.get("voices")
    if not isinstance(voices, list) or not all(isinstance(voice, str) for voice in voices):
        raise ValueError("voices must be a list of strings")
    return Config(voices, text_of(message, "default_voice"))


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
