"""Messages of vLLM-omni's `WS /v1/audio/speech/stream`: text in pieces, audio by the sentence, times of words.

::

    client  session.config · input.text … input.done · input.text … input.done · … · session.close
    server  audio.start · audio … · audio.done · … · session.done                   once per input.done
            error                                                                   at any time

`input.done` ends an utterance, not the session; so does `input.commit`, which SGLang-Omni's server has, and which is
answered with `input.committed` instead of `session.done`. `split_granularity` says what is synthesized as one piece:
the utterance (`none`, the default), a sentence, or a clause; the server calls each such piece a sentence. Audio comes
in binary frames. With `word_timestamps` it comes in `audio.chunk` messages; the last one of a sentence has no audio,
but the words' times, from the start of the sentence. `session.close` ends the session after all utterances were spoken.
To cancel, disconnect.

vLLM-omni's own server (read in 2026) streams (`stream_audio`) only PCM at speed 1, answers `word_timestamps` with an
error and no audio if it was started without a forced aligner, and closes a session that is idle for 30 s.

The parsers raise ValueError with a one-line message.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from voice_cli.audio import CODECS
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

STREAM_PATH = "/v1/audio/speech/stream"
DEFAULT_FORMAT = "wav"
GRANULARITIES = ("none", "sentence", "clause")


class SessionConfig(NamedTuple):
    """The parameters of the following utterances. The first message; may be sent again between two utterances."""

    response_format: str = DEFAULT_FORMAT
    stream_audio: bool = False
    """Send audio while it is generated, not by the sentence."""
    word_timestamps: bool = False
    split_granularity: str = "none"
    voice: str | None = None
    model: str | None = None
    instructions: str | None = None
    speed: float | None = None
    """A factor."""

    def message(self) -> Message:
        return {"type": "session.config", **present(**self._asdict())}


class InputText(NamedTuple):
    """A piece of the text. It may end inside a word."""

    text: str

    def message(self) -> Message:
        return {"type": "input.text", "text": self.text}


INPUT_DONE: Message = {"type": "input.done"}
"""The end of the utterance: speak what is left of it."""
INPUT_COMMIT: Message = {"type": "input.commit"}
"""The same, answered with `input.committed`."""
SESSION_CLOSE: Message = {"type": "session.close"}


class WordTime(NamedTuple):
    """A word and its times, in milliseconds from the start of its sentence."""

    word: str
    start_ms: float
    end_ms: float


class AudioStart(NamedTuple):
    """The start of a sentence."""

    utterance_index: int
    """Number of `input.done` in the session before it."""
    sentence_index: int
    """In the utterance, from 0."""
    sentence_text: str
    format: str = DEFAULT_FORMAT
    sample_rate: int | None = None
    """With `pcm`."""
    channels: int | None = None
    word_timestamps: bool = False

    def message(self) -> Message:
        fields = self._asdict() | {"word_timestamps": self.word_timestamps or None}
        return {"type": "audio.start", **present(**fields)}


class AudioChunk(NamedTuple):
    """Audio of a sentence, if `word_timestamps` is set."""

    utterance_index: int
    sentence_index: int
    chunk_id: int
    data: bytes
    """PCM; empty in the last chunk of a sentence."""
    sample_rate: int
    channels: int = 1
    start_ms: float = 0.0
    """In the sentence."""
    end_ms: float = 0.0
    timestamps: Sequence[WordTime] | None = None
    """Of the whole sentence. None: not known, or not yet."""

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
    """The end of a sentence's audio."""

    utterance_index: int
    sentence_index: int
    total_bytes: int = 0
    error: bool = False
    """The audio is incomplete."""

    def message(self) -> Message:
        return {"type": "audio.done", **self._asdict()}


class SessionDone(NamedTuple):
    """The end of an utterance's audio; the session goes on."""

    utterance_index: int
    total_sentences: int
    is_committed: bool = False
    """The answer to `input.commit`."""

    def message(self) -> Message:
        return {
            "type": "input.committed" if self.is_committed else "session.done",
            "utterance_index": self.utterance_index,
            "total_sentences": self.total_sentences,
        }


class Failure(NamedTuple):
    text: str
    partial_audio: bool = False
    """Some of the sentence's audio was sent."""
    code: str | None = None
    """`fields.BUSY`, among others. An extension: vLLM-omni's own server sends only the message."""

    def message(self) -> Message:
        partial = {"partial_audio": True, "action": "discard"} if self.partial_audio else {}
        return {"type": "error", "message": self.text, **partial, **present(code=self.code)}


# For servers.


def parse_request(value: Any) -> SessionConfig | InputText | Message:
    """Parse a client's message, INPUT_DONE, INPUT_COMMIT and SESSION_CLOSE included."""
    message = as_object(value)
    kind = message.get("type")
    if kind == "session.config":
        return SessionConfig(
            response_format=choice_of(message, "response_format", CODECS) or DEFAULT_FORMAT,
            stream_audio=flag_of(message, "stream_audio"),
            word_timestamps=flag_of(message, "word_timestamps"),
            split_granularity=choice_of(message, "split_granularity", GRANULARITIES) or "none",
            voice=text_of(message, "voice") or text_of(message, "speaker"),
            model=text_of(message, "model"),
            instructions=text_of(message, "instructions"),
            speed=number_of(message, "speed", MIN_SPEED, MAX_SPEED),
        )
    if kind == "input.text":
        return InputText(text_of(message, "text") or "")
    for plain in (INPUT_DONE, INPUT_COMMIT, SESSION_CLOSE):
        if kind == plain["type"]:
            return plain
    raise ValueError("type must be one of session.config, input.text, input.done, input.commit, session.close")


# For clients.


def parse_answer(value: Any) -> AudioStart | AudioChunk | AudioDone | SessionDone | Failure | None:
    """Parse a server's message; None: an unknown message. Reads only what a client needs."""
    message = as_object(value)
    kind = message.get("type")
    if kind == "audio.start":
        return AudioStart(
            0,
            0,
            "",
            text_of(message, "format") or DEFAULT_FORMAT,
            whole_of(message, "sample_rate", 1, 768_000),
            whole_of(message, "channels", 1, 255),
        )
    if kind == "audio.chunk":
        return AudioChunk(
            0,
            0,
            0,
            bytes_of(message, "audio_b64"),
            whole_of(message, "sample_rate", 1, 768_000) or 24_000,
            whole_of(message, "channels", 1, 255) or 1,
            timestamps=_word_times(message.get("timestamps")),
        )
    if kind == "audio.done":
        return AudioDone(0, 0, whole_of(message, "total_bytes") or 0, bool(message.get("error")))
    if kind == "session.done":
        return SessionDone(0, 0)
    if kind == "error":
        return Failure(error_of(message, "message", "error"), code=code_of(message))
    return None


def _word_times(value: Any) -> list[WordTime] | None:
    """Parse the words' times; omit a word without one."""
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
