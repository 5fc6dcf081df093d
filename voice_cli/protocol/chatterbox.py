"""The Chatterbox document's streaming server on the wire: JSON messages both ways, sound in base64.

::

    /ws/synthesize         client  {"text", "voice_id", "preset", "output_format"}         one after the other
                           server  {"audio", "chunk_index", "is_final": false, "format", "sample_rate"} …
                                   {"audio": null, "is_final": true, …}
    /ws/synthesize-stream  client  init · text · text · … · end
                           server  ready · audio … sentence_complete · … · complete
    both, at any time      client  cancel                                                  ours
                           server  {"error": …}

What is marked as ours is not the document's: a server or client of the document leaves it out, and ignores it. A client
that leaves is the end of its session.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from voice_cli.protocol.fields import (
    Message,
    as_object,
    base64_of,
    bytes_of,
    choice_of,
    flag_of,
    number_of,
    text_of,
    whole_of,
)

SYNTHESIZE_PATH = "/ws/synthesize"
STREAM_PATH = "/ws/synthesize-stream"

FORMATS = ("mulaw", "wav", "pcm")
"""What `output_format` may be. `pcm` is ours: s16le, with the sample rate of `audio` and one channel."""
DEFAULT_FORMAT = "mulaw"
DEFAULT_PRESET = "balanced"
DEFAULT_STREAM_PRESET = "adaptive"
MULAW_RATE = 8000
FRAME_BYTES = 160
"""Of µ-law: 20 ms."""

SPEEDS = (0.25, 4.0)

BUSY = "rate_limit_exceeded"
"""The `code` of an error (ours): too many streams; try again later."""
UNAUTHORIZED = "invalid_api_key"
"""The `code` of an error (ours): the key is missing, or wrong."""


class Synthesize(NamedTuple):
    """Say this text: a client's message to /ws/synthesize, and the body of POST /synthesize."""

    text: str
    voice_id: str | None = None
    preset: str | None = None
    output_format: str = DEFAULT_FORMAT
    speed: float | None = None
    """A factor. Ours."""

    def message(self) -> Message:
        return {"text": self.text, **_voice_fields(self)}


class Init(NamedTuple):
    """Begin a text that comes in pieces. A session may have several, one after the other."""

    voice_id: str | None = None
    preset: str | None = None
    output_format: str = DEFAULT_FORMAT
    """Ours: the document has µ-law only."""
    speed: float | None = None
    """A factor. Ours."""

    def message(self) -> Message:
        return {"type": "init", **_voice_fields(self)}


class Text(NamedTuple):
    """A piece of the text; it may end anywhere, in the middle of a word too."""

    content: str
    flush: bool = False
    """Ours: a sentence, or a clause, is certain to end here, so speak what has come; a `sentence_complete` whose
    `text_end` is not before this place answers it. Where it is not set, the server finds the sentences' ends."""

    def message(self) -> Message:
        return {"type": "text", "content": self.content, **({"flush": True} if self.flush else {})}


class End(NamedTuple):
    """The text is over: speak what is left, and say complete."""

    def message(self) -> Message:
        return {"type": "end"}


class Cancel(NamedTuple):
    """Stop: nothing more is to be sent of what was asked for, but `complete`. Ours; the session goes on."""

    def message(self) -> Message:
        return {"type": "cancel"}


class Ready(NamedTuple):
    """The answer to `init`."""

    voice_id: str | None
    preset: str | None
    takes_flush: bool = True
    """`Text.flush` is heeded, and each `sentence_complete` has its `text_end`. Ours: the document's server says
    nothing of it."""

    def message(self) -> Message:
        return {
            "type": "ready",
            "voice_id": self.voice_id,
            "preset": self.preset,
            "message": "Voice loaded, send text tokens",
            **({"flush": True} if self.takes_flush else {}),
        }


class Audio(NamedTuple):
    """A piece of sound."""

    data: bytes
    """As `format` says: whole frames of 160 bytes of µ-law; a stream of WAV, with one header (the document: a
    header each); or s16le."""
    chunk_index: int
    format: str
    sample_rate: int

    def message(self) -> Message:
        """Give it as /ws/synthesize has it."""
        return {"audio": base64_of(self.data), "chunk_index": self.chunk_index, "is_final": False} | self._kind()

    def stream_message(self) -> Message:
        """Give it as /ws/synthesize-stream has it."""
        return {"type": "audio", "audio": base64_of(self.data), "chunk_index": self.chunk_index} | self._kind()

    def _kind(self) -> Message:
        return {"format": self.format, "sample_rate": self.sample_rate}


class SentenceComplete(NamedTuple):
    """All sound of a sentence (or of whatever was spoken as one piece) has been sent."""

    chunks_in_sentence: int
    text_end: int | None = None
    """How much of the text since `init`, in code points of all `content`, has been spoken by now. Ours."""
    audio_ms: float | None = None
    """How much sound has been sent since `init`. Ours."""

    def message(self) -> Message:
        return {
            "type": "sentence_complete",
            "chunks_in_sentence": self.chunks_in_sentence,
            **_present(text_end=self.text_end, audio_ms=self.audio_ms),
        }


class Complete(NamedTuple):
    """The end of what was asked for."""

    total_chunks: int
    total_ms: float
    """From the request, or `init`, to here."""
    first_chunk_ms: float | None = None
    """None: no chunk came."""
    latency: Mapping[str, float] | None = None
    """Milliseconds of each stage."""
    backend: str | None = None
    cancelled: bool = False
    """The client asked to stop. Ours."""
    is_mulaw: bool = True

    def message(self) -> Message:
        """Give it as /ws/synthesize has it: a last piece, without sound."""
        return {
            "audio": None,
            "chunk_index": self.total_chunks,
            "is_final": True,
            "first_chunk_ms": self.first_chunk_ms,
            "total_ms": self.total_ms,
            "total_chunks": self.total_chunks,
            "total_mulaw_chunks": self.total_chunks if self.is_mulaw else 0,
            "latency": dict(self.latency or {}),
            **_present(backend=self.backend, cancelled=self.cancelled or None),
        }

    def stream_message(self) -> Message:
        """Give it as /ws/synthesize-stream has it."""
        return {
            "type": "complete",
            "total_chunks": self.total_chunks,
            "total_ms": self.total_ms,
            **_present(
                first_chunk_ms=self.first_chunk_ms,
                latency=None if self.latency is None else dict(self.latency),
                backend=self.backend,
                cancelled=self.cancelled or None,
            ),
        }


class Failure(NamedTuple):
    """What was asked for cannot be had. The session goes on, unless it is closed after it."""

    error: str
    code: str | None = None
    """`BUSY` and the like. Ours."""

    def message(self) -> Message:
        """Give it as /ws/synthesize has it."""
        return {"error": self.error, **_present(code=self.code)}

    def stream_message(self) -> Message:
        """Give it as /ws/synthesize-stream has it."""
        return {"type": "error", **self.message()}


class Batch(NamedTuple):
    """The answer of POST /synthesize."""

    data: bytes
    duration_seconds: float
    sample_rate: int
    format: str
    total_ms: float
    latency: Mapping[str, float]
    backend: str

    def message(self) -> Message:
        """Give the body: µ-law as a list of frames, all else as one string."""
        frames = range(0, len(self.data), FRAME_BYTES)
        whole = [base64_of(self.data[at : at + FRAME_BYTES]) for at in frames]
        return {
            "audio": whole if self.format == "mulaw" else base64_of(self.data),
            "duration_seconds": self.duration_seconds,
            "sample_rate": self.sample_rate,
            "format": self.format,
            "total_ms": self.total_ms,
            "latency": dict(self.latency),
            "backend": self.backend,
        }


class Gathering:
    """When the document's server speaks the text that it has been sent: at the end of a message, all of it or nothing.

    Ours goes by sentences; this is for a client of the document's, which is not told what has been spoken.
    """

    _SENTENCE = re.compile(r"[.!?]\s*\Z")
    _CLAUSE = re.compile(r"[.!?]\s*\Z|[,;:]\s+\S")

    def __init__(self) -> None:
        self._text = ""

    def add(self, content: str) -> bool:
        """Take a message's content; say whether all that was gathered is spoken now."""
        self._text += content
        length = len(self._text)
        speaks = bool(
            (length >= 15 and self._SENTENCE.search(self._text)) or (length >= 25 and self._CLAUSE.search(self._text))
        )
        if speaks:
            self._text = ""
        return speaks


# Read by a server.


def parse_synthesize(value: Any) -> Synthesize:
    """Read the request for a text that is whole.

    Raises:
        ValueError: one line that says what is wrong with it.

    """
    message = as_object(value)
    text = text_of(message, "text")
    if text is None or not text.strip():
        raise ValueError("text is missing")
    return Synthesize(text, **_parsed_voice_fields(message))


def parse_request(value: Any) -> Synthesize | Cancel:
    """Read a client's message on /ws/synthesize.

    Raises:
        ValueError: one line that says what is wrong with it.

    """
    return Cancel() if as_object(value).get("type") == "cancel" else parse_synthesize(value)


def parse_stream_request(value: Any) -> Init | Text | End | Cancel:
    """Read a client's message on /ws/synthesize-stream. One without a type is text, as in the document.

    Raises:
        ValueError: one line that says what is wrong with it.

    """
    message = as_object(value)
    kind = message.get("type", "text")
    if kind == "init":
        return Init(**_parsed_voice_fields(message))
    if kind == "text":
        content = text_of(message, "content")
        if content is None:
            raise ValueError("content is missing")
        return Text(content, flag_of(message, "flush"))
    if kind == "end":
        return End()
    if kind == "cancel":
        return Cancel()
    raise ValueError("type must be one of init, text, end, cancel")


# Read by a client.


Answer = Ready | Audio | SentenceComplete | Complete | Failure


def parse_answer(value: Any) -> Answer | None:
    """Read a server's message on either WebSocket; None: nothing that a client needs to know.

    Raises:
        ValueError: it is none of theirs; one line that says why.

    """
    message = as_object(value)
    kind = message.get("type")
    if message.get("error") or kind == "error":
        return Failure(_error_text(message), _text_or_none(message.get("code")))
    if kind == "ready":
        return Ready(
            _text_or_none(message.get("voice_id")),
            _text_or_none(message.get("preset")),
            takes_flush=message.get("flush") is True,
        )
    if kind == "sentence_complete":
        return SentenceComplete(
            whole_of(message, "chunks_in_sentence") or 0,
            whole_of(message, "text_end"),
            number_of(message, "audio_ms", 0),
        )
    if message.get("audio"):
        codec = text_of(message, "format") or DEFAULT_FORMAT
        rate = whole_of(message, "sample_rate", 1, 768_000)
        return Audio(
            bytes_of(message, "audio"),
            whole_of(message, "chunk_index") or 0,
            codec,
            rate or (MULAW_RATE if codec == "mulaw" else 24_000),
        )
    if kind == "complete" or message.get("is_final") is True:
        return Complete(
            whole_of(message, "total_chunks") or 0,
            number_of(message, "total_ms") or 0.0,
            number_of(message, "first_chunk_ms"),
            latency=_numbers(message.get("latency")),
            backend=_text_or_none(message.get("backend")),
            cancelled=message.get("cancelled") is True,
        )
    return None


def _voice_fields(of: Synthesize | Init) -> Message:
    return {"output_format": of.output_format, **_present(voice_id=of.voice_id, preset=of.preset, speed=of.speed)}


def _parsed_voice_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "voice_id": text_of(message, "voice_id"),
        "preset": text_of(message, "preset"),
        "output_format": choice_of(message, "output_format", FORMATS) or DEFAULT_FORMAT,
        "speed": number_of(message, "speed", *SPEEDS),
    }


def _present(**fields: Any) -> Message:
    return {key: value for key, value in fields.items() if value is not None}


def _error_text(message: Mapping[str, Any]) -> str:
    error = message.get("error")
    if isinstance(error, dict):
        error = error.get("message")
    text = error if isinstance(error, str) else message.get("message")
    return text if isinstance(text, str) else ""


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _numbers(value: Any) -> dict[str, float] | None:
    if not isinstance(value, dict):
        return None
    return {key: number for key, number in value.items() if isinstance(number, int | float)}
