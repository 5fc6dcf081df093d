"""What a speech yields: one object for each utterance, and the events around it.

The vocabulary follows Wyoming's (audio start, audio chunk, audio stop). The iteration's end is the end of the speech.
"""

from collections.abc import Sequence
from typing import NamedTuple

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.backends.base import SpeechStream, WordEvent
from voice_cli.script.line import Line


class Utterance:
    """One line of the text and its sound. `Speech` updates it until it has ended; any thread may read it.

    Positions are seconds of the audio that the speech has yielded, pauses included.
    """

    def __init__(self, line: Line, stream: SpeechStream) -> None:
        self.line = line
        """What is said. In a text stream it may grow until the utterance has ended."""
        self.stream = stream
        self.start: float | None = None
        """Position of the first frame; None until there is one."""
        self.end: float | None = None
        """Position after the last frame; None until it is known, and if the utterance broke off."""
        self.lead = 0.0
        """Seconds of leading silence that were trimmed."""
        self._bytes = 0
        self._format: AudioFormat | None = None
        self._seconds_before = 0.0
        """Seconds that were decoded in other formats."""

    def count(self, chunk: PcmChunk) -> None:
        """Count frames that were decoded."""
        if chunk.format != self._format:
            self._seconds_before = self.decoded_seconds
            self._bytes, self._format = 0, chunk.format
        self._bytes += len(chunk.data)

    @property
    def decoded_seconds(self) -> float:
        """Seconds of audio that were decoded, before trimming."""
        if self._format is None:
            return 0.0
        return self._seconds_before + self._format.seconds(self._bytes // self._format.frame_bytes)


class UtteranceStarted(NamedTuple):
    """A request is under way, and its answer is read next. No byte of it has arrived."""

    utterance: Utterance


class EncodedData(NamedTuple):
    """Bytes of the utterance's stream as the backend sent them."""

    utterance: Utterance
    codec: str
    """What the bytes are: one of `audio.CODECS`."""
    data: bytes
    chunks: int
    """How many chunks of the backend's they are."""


class Decoded(NamedTuple):
    """PCM as the decoder returned it, before trimming, joining and conversion: for measurements."""

    chunk: PcmChunk


class Audio(NamedTuple):
    """PCM to be heard. All chunks of one speech have one format."""

    chunk: PcmChunk


class Words(NamedTuple):
    """The backend has told the times of further words of the utterance."""

    utterance: Utterance
    words: Sequence[WordEvent]


class UtteranceEnded(NamedTuple):
    """All audio of the utterance was yielded; what it has from here on is final."""

    utterance: Utterance


class TextAwaited(NamedTuple):
    """Nothing is under way, because the next text has not arrived. Silence is not an underrun until the next event."""


SpeechEvent = UtteranceStarted | EncodedData | Decoded | Audio | Words | UtteranceEnded | TextAwaited
