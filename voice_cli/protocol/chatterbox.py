"""Messages of the Chatterbox document's streaming server: JSON both ways, audio in base64.

::

    /ws/synthesize         client  {"text", "voice_id", "preset", "output_format"}         one after the other
                           server  {"audio", "chunk_index", "is_final": false, "format", "sample_rate"} …
                                   {"audio": null, "is_final": true, …}
    /ws/synthesize-stream  client  init · text · text · … · end
                           server  ready · audio … sentence_complete · … · complete
    both, at any time      client  cancel                                                  extension
                           server  {"error": …}

What is called an extension here is not in the document: its servers and clients do not send it, and ignore it. A
session ends when the client disconnects. The parsers raise ValueError with a one-line message.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from voice_cli.protocol.fields import (
    MAX_SPEED,
    MIN_SPEED,
    Message,
    as_object,
    base64_of,
    bytes_of,
    choice_of,
    code_of,
    error_of,
    flag_of,
    number_of,
    present,
    text_of,
    whole_of,
)

SYNTHESIZE_PATH = "/ws/synthesize"
STREAM_PATH = "/ws/synthesize-stream"

FORMATS = ("mulaw", "wav", "pcm")
"""Values of `output_format`. `pcm` is an extension: s16le, mono, at the `sample_rate` of the audio message."""
DEFAULT_FORMAT = "mulaw"
DEFAULT_PRESET = "balanced"
DEFAULT_STREAM_PRESET = "adaptive"
MULAW_RATE = 8000
FRAME_BYTES = 160
"""Of µ-law: 20 ms."""


class Synthesize(NamedTuple):
    """A whole text: a client's message on /ws/synthesize."""

    text: str
    voice_id: str | None = None
    preset: str | None = None
    output_format: str = DEFAULT_FORMAT
    speed: float | None = None
    """A factor. Extension."""

    def message(self) -> Message:
        return {"text": self.text, **_voice_fields(self)}


class Init(NamedTuple):
    """The start of a text in pieces. A session may have several, one after the other."""

    voice_id: str | None = None
    preset: str | None = None
    output_format: str = DEFAULT_FORMAT
    """Extension: the document has only µ-law here."""
    speed: float | None = None
    """A factor. Extension."""

    def message(self) -> Message:
        return {"type": "init", **_voice_fields(self)}


class Text(NamedTuple):
    """A piece of the text. It may end inside a word."""

    content: str
    flush: bool = False
    """Extension: the piece ends a sentence or a clause, so speak what is buffered; a `sentence_complete` whose
    `text_end` is not before this place answers it. Without it the server finds the ends of sentences."""

    def message(self) -> Message:
        return {"type": "text", "content": self.content, **present(flush=self.flush or None)}


END: Message = {"type": "end"}
"""The end of the text: speak what is left, then send `complete`."""
CANCEL: Message = {"type": "cancel"}
"""Stop the current text; only `complete` follows, and the session goes on. Extension."""


class Ready(NamedTuple):
    """The answer to `init`."""

    voice_id: str | None = None
    preset: str | None = None
    supports_flush: bool = True
    """The server obeys `Text.flush`, and each `sentence_complete` has a `text_end`. Extension."""

    def message(self) -> Message:
        return {
            "type": "ready",
            "voice_id": self.voice_id,
            "preset": self.preset,
            "message": "Voice loaded, send text tokens",
            **present(flush=self.supports_flush or None),
        }


class Audio(NamedTuple):
    data: bytes
    """In `format`: whole frames of 160 bytes of µ-law; a WAV stream with one header (the document: one per message);
    or s16le."""
    chunk_index: int
    format: str
    sample_rate: int

    def message(self) -> Message:
        """Return the form of /ws/synthesize."""
        return {
            "audio": base64_of(self.data),
            "chunk_index": self.chunk_index,
            "is_final": False,
            "format": self.format,
            "sample_rate": self.sample_rate,
        }

    def stream_message(self) -> Message:
        """Return the form of /ws/synthesize-stream."""
        fields = self.message()
        del fields["is_final"]
        return {"type": "audio", **fields}


class SentenceComplete(NamedTuple):
    """All audio of a sentence (or of whatever was spoken as one piece) was sent."""

    chunks_in_sentence: int = 0
    text_end: int | None = None
    """Code points of all `content` since `init` that have been spoken. Extension."""
    audio_ms: float | None = None
    """Duration of the audio sent since `init`. Extension."""

    def message(self) -> Message:
        return {"type": "sentence_complete", **present(**self._asdict())}


class Complete(NamedTuple):
    """The end of the audio of a text."""

    total_chunks: int = 0
    total_ms: float = 0.0
    """Since the request or `init`."""
    first_chunk_ms: float | None = None
    """None: there was no chunk."""
    latency: Mapping[str, float] | None = None
    """Milliseconds of each stage."""
    backend: str | None = None
    cancelled: bool = False
    """The client sent `cancel`. Extension."""
    is_mulaw: bool = True

    def message(self) -> Message:
        """Return the form of /ws/synthesize: a last chunk, without audio."""
        return {
            "audio": None,
            "chunk_index": self.total_chunks,
            "is_final": True,
            "first_chunk_ms": self.first_chunk_ms,
            "total_ms": self.total_ms,
            "total_chunks": self.total_chunks,
            "total_mulaw_chunks": self.total_chunks if self.is_mulaw else 0,
            "latency": self.latency or {},
            **present(backend=self.backend, cancelled=self.cancelled or None),
        }

    def stream_message(self) -> Message:
        """Return the form of /ws/synthesize-stream."""
        fields = self._asdict() | {"is_mulaw": None, "cancelled": self.cancelled or None}
        return {"type": "complete", **present(**fields)}


class Failure(NamedTuple):
    """The text cannot be spoken. The session goes on, unless the server closes it."""

    error: str
    code: str | None = None
    """`fields.BUSY` or `fields.UNAUTHORIZED`, among others. Extension."""

    def message(self) -> Message:
        """Return the form of /ws/synthesize."""
        return present(**self._asdict())

    def stream_message(self) -> Message:
        """Return the form of /ws/synthesize-stream."""
        return {"type": "error", **self.message()}


class DocumentBuffer:
    """Predicts when the document's server speaks: at the end of a message, all of the buffered text or nothing.

    Its `sentence_complete` does not say which text was spoken.
    """

    _SENTENCE = re.compile(r"[.!?]\s*\Z")
    _CLAUSE = re.compile(r"[.!?]\s*\Z|[,;:]\s+\S")

    def __init__(self) -> None:
        self._text = ""

    def add(self, content: str) -> bool:
        """Add a message's content. Return whether the server then speaks all that was buffered."""
        self._text += content
        length = len(self._text)
        speaks = bool(
            (length >= 15 and self._SENTENCE.search(self._text)) or (length >= 25 and self._CLAUSE.search(self._text))
        )
        if speaks:
            self._text = ""
        return speaks


# For servers.


def parse_request(value: Any) -> Synthesize | Message:
    """Parse a client's message on /ws/synthesize: a text, or CANCEL."""
    message = as_object(value)
    if message.get("type") == "cancel":
        return CANCEL
    text = text_of(message, "text")
    if text is None or not text.strip():
        raise ValueError("text is missing")
    return Synthesize(text, **_parsed_voice_fields(message))


def parse_stream_request(value: Any) -> Init | Text | Message:
    """Parse a client's message on /ws/synthesize-stream, END and CANCEL included. Without a type it is text."""
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
        return END
    if kind == "cancel":
        return CANCEL
    raise ValueError("type must be one of init, text, end, cancel")


def _voice_fields(of: Synthesize | Init) -> Message:
    return {"output_format": of.output_format, **present(voice_id=of.voice_id, preset=of.preset, speed=of.speed)}


def _parsed_voice_fields(message: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "voice_id": text_of(message, "voice_id"),
        "preset": text_of(message, "preset"),
        "output_format": choice_of(message, "output_format", FORMATS) or DEFAULT_FORMAT,
        "speed": number_of(message, "speed", MIN_SPEED, MAX_SPEED),
    }


# For clients.


Answer = Ready | Audio | SentenceComplete | Complete | Failure


def parse_answer(value: Any) -> Answer | None:
    """Parse a server's message on either WebSocket; None: an unknown message. Read only what a client needs."""
    message = as_object(value)
    kind = message.get("type")
    if message.get("error") or kind == "error":
        return Failure(error_of(message, "error", "message"), code_of(message))
    if kind == "ready":
        return Ready(supports_flush=message.get("flush") is True)
    if kind == "sentence_complete":
        return SentenceComplete(text_end=whole_of(message, "text_end"))
    if message.get("audio"):
        codec = text_of(message, "format") or DEFAULT_FORMAT
        rate = whole_of(message, "sample_rate", 1, 768_000)
        return Audio(
            bytes_of(message, "audio"),
            whole_of(message, "chunk_index") or 0,
            codec,
            rate or (MULAW_RATE if codec == "mulaw" else 24_000),
        )
    return Complete() if kind == "complete" or message.get("is_final") is True else None
