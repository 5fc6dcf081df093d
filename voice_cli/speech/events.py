"""The utterances of a speech, and the events that it yields."""

from typing import NamedTuple

from voice_cli.audio import PcmChunk
from voice_cli.backends.base import SpeechStream
from voice_cli.script.line import Line


class Utterance:
    """One line of the text and its sound. `Speech` updates it until it has ended; any thread may read it.

    Positions are seconds of the audio that the speech has yielded, pauses included.
    """

    def __init__(self, line: Line, stream: SpeechStream) -> None:
        self.line = line
        """The text. In a text stream it may grow until the utterance has ended."""
        self.stream = stream
        self.start: float | None = None
        """Position of the first frame; None until it is decoded."""
        self.end: float | None = None
        """Position after the last frame; None until it is decoded, or if the stream failed."""
        self.lead = 0.0
        """Seconds of leading silence that were trimmed."""
        self.decoded_seconds = 0.0
        """Seconds of decoded audio, before trimming."""
        self.notes: list[str] = []
        """Lines for the user, besides those of the stream."""


class UtteranceStarted(NamedTuple):
    """A request is under way; its response is read next."""

    utterance: Utterance


class EncodedData(NamedTuple):
    """Bytes of the utterance's stream as the backend sent them."""

    utterance: Utterance
    codec: str
    """The codec of the bytes: one of `audio.CODECS`."""
    data: bytes
    chunks: int
    """How many chunks from the backend `data` is made of."""


class Spliced(NamedTuple):
    """The utterance's stream was cut. What follows is of another stream, which continues its audio, and the
    `EncodedData` of an utterance is not one stream any more.
    """

    utterance: Utterance


class Decoded(NamedTuple):
    """PCM as the decoder returned it, before trimming, joining and conversion: for measurements."""

    chunk: PcmChunk


class Audio(NamedTuple):
    """PCM to play. All chunks of a speech have one format."""

    chunk: PcmChunk


class UtteranceEnded(NamedTuple):
    """All audio of the utterance was yielded, and its attributes are final."""

    utterance: Utterance


class TextAwaited(NamedTuple):
    """The next text has not arrived. Until the next event, silence is not an underrun."""


SpeechEvent = UtteranceStarted | EncodedData | Spliced | Decoded | Audio | UtteranceEnded | TextAwaited
