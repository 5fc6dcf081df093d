"""vLLM-omni's `WS /v1/audio/speech/stream`: text in pieces, sound a sentence, times a word where it can.

::

    client  session.config · input.text … input.done · input.text … input.done · … · session.close
    server  audio.start · sound … · audio.done · … · session.done                   once an input.done
            error                                                                   at any time

`input.done` ends an utterance, not the session. Within it, `split_granularity` says what is synthesised as one piece:
all of it (`none`, its default), a sentence, or a clause; the server calls each such piece a sentence. The sound is
binary frames, or with `word_timestamps`, `audio.chunk` messages, of which the last has no sound and the times of the
words, from the sentence's start. `session.close` ends the session once all that was asked for is said. Cancel: leave.

vLLM-omni's own server (read, 2026) streams (`stream_audio`) PCM at speed 1 alone, refuses `word_timestamps` with an
error and no sound if it was started without a forced aligner, and closes a session in which nothing came for 30 s.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from voice_cli.audio import CODECS
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

STREAM_PATH = "/v1/audio/speech/stream"
DEFAULT_FORMAT = "wav"
GRANULARITIES = ("none", "sentence", "clause")
SPEEDS = (0.25, 4.0)

BUSY = "rate_limit_exceeded"
"""The `code` of an error (ours): too many streams; try again later."""


class SessionConfig(NamedTuple):
    """How all that follows is to be said. The first message; again between two utterances, to change it."""

    voice: str | None = None
    model: str | None = None
    instructions: str | None = None
    response_format: str = DEFAULT_FORMAT
    speed: float | None = None
    """A factor."""
    stream_audio: bool = False
    """Send sound as it is made, not a sentence at a time."""
    word_timestamps: bool = False
    split_granularity: str = "none"

    def message(self) -> Message:
        message: Message = {
            "type": "session.config",
            "response_format": self.response_format,
            "stream_audio": self.stream_audio,
            "word_timestamps": self.word_timestamps,
            "split_granularity": self.split_granularity,
        }
        said = {"voice": self.voice, "model": self.model, "instructions": self.instructions, "speed": self.speed}
        return message | {key: value for key, value in said.items() if value is not None}


class InputText(NamedTuple):
    """A piece of the text; it may end anywhere."""

    text: str

    def message(self) -> Message:
        return {"type": "input.text", "text": self.text}


class InputDone(NamedTuple):
    """The utterance is over: speak what is left of it."""

    def message(self) -> Message:
        return {"type": "input.done"}


class SessionClose(NamedTuple):
    """The session is over."""

    def message(self) -> Message:
        return {"type": "session.close"}


class WordTime(NamedTuple):
    """A word, and when it is heard, in milliseconds from its sentence's start."""

    word: str
    start_ms: float
    end_ms: float


class AudioStart(NamedTuple):
    """A sentence begins."""

    utterance_index: int
    """Counts the `input.done` of the session, from 0."""
    sentence_index: int
    """Counts within the utterance, from 0."""
    sentence_text: str
    format: str = DEFAULT_FORMAT
    sample_rate: int | None = None
    """ChatterboxSession for `pcm`."""
    channels: int | None = None
    word_timestamps: bool = False

    def message(self) -> Message:
        message: Message = {
            "type": "audio.start",
            "utterance_index": self.utterance_index,
            "sentence_index": self.sentence_index,
            "sentence_text": self.sentence_text,
            "format": self.format,
        }
        if self.word_timestamps:
            message["word_timestamps"] = True
        if self.sample_rate is not None:
            message |= {"sample_rate": self.sample_rate, "channels": self.channels or 1}
        return message


class AudioChunk(NamedTuple):
    """A piece of a sentence's sound, where words' times were asked for."""

    utterance_index: int
    sentence_index: int
    chunk_id: int
    data: bytes
    """PCM; empty in a sentence's last."""
    sample_rate: int
    channels: int = 1
    start_ms: float = 0.0
    """In the sentence."""
    end_ms: float = 0.0
    timestamps: Sequence[WordTime] | None = None
    """Of the whole sentence. None: not known, or not yet; empty: no word is heard."""

    def message(self) -> Message:
        return {
            "type": "audio.chunk",
            "utterance_index": self.utterance_index,
            "sentence_index": self.sentence_index,
            "chunk_id": self.chunk_id,
            "chunk_start_ms": self.start_ms,
            "chunk_end_ms": self.end_ms,
            "sample_rate": self.sample_rate,
            "channels": self.channels,
            "audio_b64": base64_of(self.data),
            "timestamps": None if self.timestamps is None else [word._asdict() for word in self.timestamps],
        }


class AudioDone(NamedTuple):
    """All sound of a sentence has been sent."""

    utterance_index: int
    sentence_index: int
    total_bytes: int | None = None
    error: bool = False
    """It stopped before its end."""

    def message(self) -> Message:
        return {
            "type": "audio.done",
            "utterance_index": self.utterance_index,
            "sentence_index": self.sentence_index,
            "total_bytes": self.total_bytes or 0,
            "error": self.error,
        }


class SessionDone(NamedTuple):
    """All sound of an utterance has been sent; the session goes on."""

    utterance_index: int
    total_sentences: int

    def message(self) -> Message:
        return {
            "type": "session.done",
            "utterance_index": self.utterance_index,
            "total_sentences": self.total_sentences,
        }


class Failure(NamedTuple):
    """Something cannot be had."""

    text: str
    partial_audio: bool = False
    """Some of the sentence's sound was sent already."""
    code: str | None = None
    """`BUSY` and the like. Ours: vLLM-omni's own server says nothing but the message."""

    def message(self) -> Message:
        partial = {"partial_audio": True, "action": "discard"} if self.partial_audio else {}
        coded = {"code": self.code} if self.code is not None else {}
        return {"type": "error", "message": self.text, **partial, **coded}


# Read by a server.


def parse_request(value: Any) -> SessionConfig | InputText | InputDone | SessionClose:
    """Read a client's message.

    Raises:
        ValueError: one line that says what is wrong with it.

    """
    message = as_object(value)
    kind = message.get("type")
    if kind == "session.config":
        return SessionConfig(
            voice=text_of(message, "voice") or text_of(message, "speaker"),
            model=text_of(message, "model"),
            instructions=text_of(message, "instructions"),
            response_format=choice_of(message, "response_format", CODECS) or DEFAULT_FORMAT,
            speed=number_of(message, "speed", *SPEEDS),
            stream_audio=flag_of(message, "stream_audio"),
            word_timestamps=flag_of(message, "word_timestamps"),
            split_granularity=choice_of(message, "split_granularity", GRANULARITIES) or "none",
        )
    if kind == "input.text":
        return InputText(text_of(message, "text") or "")
    if kind == "input.done":
        return InputDone()
    if kind == "session.close":
        return SessionClose()
    raise ValueError("type must be one of session.config, input.text, input.done, session.close")


# Read by a client.


def parse_answer(value: Any) -> AudioStart | AudioChunk | AudioDone | SessionDone | Failure | None:
    """Read a server's message; None: nothing that a client needs to know.

    Raises:
        ValueError: it is none of theirs; one line that says why.

    """
    message = as_object(value)
    kind = message.get("type")
    utterance = whole_of(message, "utterance_index") or 0
    sentence = whole_of(message, "sentence_index") or 0
    if kind == "audio.start":
        return AudioStart(
            utterance,
            sentence,
            text_of(message, "sentence_text") or "",
            text_of(message, "format") or DEFAULT_FORMAT,
            whole_of(message, "sample_rate", 1, 768_000),
            whole_of(message, "channels", 1, 255),
            message.get("word_timestamps") is True,
        )
    if kind == "audio.chunk":
        return AudioChunk(
            utterance,
            sentence,
            whole_of(message, "chunk_id") or 0,
            bytes_of(message, "audio_b64"),
            whole_of(message, "sample_rate", 1, 768_000) or 24_000,
            whole_of(message, "channels", 1, 255) or 1,
            number_of(message, "chunk_start_ms") or 0.0,
            number_of(message, "chunk_end_ms") or 0.0,
            _word_times(message.get("timestamps")),
        )
    if kind == "audio.done":
        return AudioDone(utterance, sentence, whole_of(message, "total_bytes"), bool(message.get("error")))
    if kind == "session.done":
        return SessionDone(utterance, whole_of(message, "total_sentences") or 0)
    if kind == "error":
        code = message.get("code")
        return Failure(
            _error_text(message), message.get("partial_audio") is True, code if isinstance(code, str) else None
        )
    return None


def _word_times(value: Any) -> list[WordTime] | None:
    """Read the words' times; a word without one is left out."""
    if not isinstance(value, list):
        return None
    words = []
    for item in value:
        try:
            message = as_object(item)
            word, start = text_of(message, "word"), number_of(message, "start_ms", 0)
            end = number_of(message, "end_ms", 0)
        except ValueError:
            continue
        if word and start is not None:
            words.append(WordTime(word, start, end if end is not None else start))
    return words


def _error_text(message: Mapping[str, Any]) -> str:
    for found in (message.get("message"), message.get("error")):
        if isinstance(found, str):
            return found
        if isinstance(found, dict) and isinstance(found.get("message"), str):
            return str(found["message"])
    return ""
