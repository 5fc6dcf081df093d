"""What sound is inside this program: frames of signed 16-bit little-endian samples, interleaved.

One sample type everywhere keeps the path from a PCM stream to the device a copy: every speech server and engine of
the field delivers 16 bits or decodes to no more than 16 good ones. Converting to it is a decoder's work, once.

Value types on the way from Enter to the request are named tuples: a frozen dataclass takes ten times as long to define,
and its module 8 ms to import.
"""

from typing import NamedTuple

SAMPLE_BYTES = 2
"""Bytes of one sample of one channel (s16le)."""

FULL_SCALE = 32768
"""The magnitude of 0 dBFS."""


class AudioFormat(NamedTuple):
    """The two numbers that turn PCM bytes into time."""

    rate: int
    """Hertz: frames a second."""
    channels: int
    """Samples a frame, interleaved."""

    @property
    def frame_bytes(self) -> int:
        return SAMPLE_BYTES * self.channels

    def frames(self, seconds: float) -> int:
        """The frames that `seconds` hold, rounded to the nearest."""
        return round(seconds * self.rate)

    def seconds(self, frames: int) -> float:
        return frames / self.rate

    def __str__(self) -> str:
        layout = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        return f"{self.rate} Hz {layout}"


class PcmChunk(NamedTuple):
    """Whole frames of PCM and the format that they are in."""

    format: AudioFormat
    data: bytes
    """s16le, interleaved; its length is a multiple of `format.frame_bytes`."""

    @property
    def frames(self) -> int:
        return len(self.data) // self.format.frame_bytes

    @property
    def seconds(self) -> float:
        return self.format.seconds(self.frames)


CODECS = ("pcm", "wav", "opus", "mp3", "aac", "flac")
"""The names that OpenAI's `response_format` gave the encodings; ours everywhere."""


class Encoding(NamedTuple):
    """What a backend says that its bytes are. It may be wrong: `codecs.open_decoder` looks at the bytes too."""

    codec: str | None
    """One of `CODECS`, or None where the backend did not say or said something we do not know."""
    format: AudioFormat | None = None
    """The format of raw PCM, or the one to expect of a codec that carries its own; None: not known."""
