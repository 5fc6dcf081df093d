"""Messages of the VibeVoice demo's server: `WS /stream?text=&cfg=&steps=&voice=`, and `GET /config`.

The client sends nothing after the upgrade. The server sends binary frames of s16le at 24 kHz, mono, cut anywhere, with
log entries in text frames between them. It logs the end, and closes with 1000. If it is busy, it sends a log entry and
closes with 1013; if it fails, it sends a log entry and closes with 1000, too. To cancel, disconnect.

The parsers raise ValueError with a one-line message.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from voice_cli.audio import AudioFormat
from voice_cli.protocol.fields import Message, as_object, present

STREAM_PATH = "/stream"
CONFIG_PATH = "/config"
FORMAT = AudioFormat(rate=24_000, channels=1)
FRAME_BYTES = 6400
"""What the demo's model generates at a time: 133 ms."""

REQUEST_RECEIVED = "backend_request_received"
MODEL_PROGRESS = "model_progress"
FIRST_CHUNK_SENT = "backend_first_chunk_sent"
STREAM_COMPLETE = "backend_stream_complete"
"""Sent after the last audio, and after a failure too."""
GENERATION_ERROR = "generation_error"
BACKEND_ERROR = "backend_error"
BUSY = "backend_busy"

STEPS = (REQUEST_RECEIVED, MODEL_PROGRESS, FIRST_CHUNK_SENT)
FAILURES = (GENERATION_ERROR, BACKEND_ERROR)

CLOSED = 1000


class Query(NamedTuple):
    """The request, in the URL. None leaves a value to the server."""

    text: str
    cfg: float | None = None
    """Guidance scale."""
    steps: int | None = None
    voice: str | None = None

    def path(self) -> str:
        cfg = None if self.cfg is None else f"{self.cfg:g}"
        fields = present(text=self.text, cfg=cfg, steps=self.steps, voice=self.voice)
        return f"{STREAM_PATH}?{urlencode(fields, errors='replace')}"


class Log(NamedTuple):
    """A log entry, in a text frame."""

    event: str
    data: Mapping[str, Any] = {}
    """That of a failure has a `message`."""

    def message(self) -> Message:
        from datetime import UTC, datetime  # clients do not need it

        now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "milliseconds")
        return {"type": "log", "event": self.event, "data": dict(self.data), "timestamp": now}


# For servers.


def parse_query(parameters: Mapping[str, str]) -> Query:
    """Parse the URL's parameters. As in the demo, ignore an invalid number."""
    cfg = _number(parameters.get("cfg"))
    steps = parameters.get("steps", "")
    return Query(
        parameters.get("text", ""),
        cfg if cfg is not None and cfg > 0 else None,
        int(steps) if steps.isascii() and steps.isdigit() and len(steps) < 9 and int(steps) else None,
        parameters.get("voice") or None,
    )


# For clients.


def parse_log(value: Any) -> Log | None:
    """Parse a text frame; None: it is not a log entry."""
    message = as_object(value)
    event, data = message.get("event"), message.get("data")
    if not isinstance(event, str):
        return None
    return Log(event, data if isinstance(data, dict) else {})


def voices_in(value: Any) -> list[str]:
    """Return the voices in the body of `GET /config`."""
    voices = as_object(value).get("voices")
    if not isinstance(voices, list) or not all(isinstance(voice, str) for voice in voices):
        raise ValueError("voices must be a list of strings")
    return voices


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None
