"""Audio inside this program: signed 16-bit little-endian samples, interleaved.

With one sample type, PCM is copied to the device unchanged. Decoders convert to it; speech servers and engines have no
more than 16 significant bits.

The value types are named tuples: importing `dataclasses` takes 8 ms before the request.
"""

from typing import NamedTuple

SAMPLE_BYTES = 2
"""Bytes of one sample of one channel (s16le)."""

FULL_SCALE = 32768
"""The magnitude of 0 dBFS."""


MIN_HERTZ, MAX_HERTZ = 1000, 768_000
MAX_CHANNELS = 16
"""Limits of a stream from outside: nothing plays more."""


class AudioFormat(NamedTuple):
    """The rate and the channels of PCM."""

    rate: int
    """Hertz: frames a second."""
    channels: int
    """Samples a frame, interleaved."""

    @property
    def frame_bytes(self) -> int:
        return SAMPLE_BYTES * self.channels

    def frames(self, seconds: float) -> int:
        """Return the number of frames in `seconds`, rounded to the nearest."""
        return round(seconds * self.rate)

    def seconds(self, frames: int) -> float:
        return frames / self.rate

    def __str__(self) -> str:
        layout = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        return f"{self.rate} Hz {layout}"


class PcmChunk(NamedTuple):
    """Whole frames of PCM, and their format."""

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
"""The built-in codecs that can be requested, by their names in OpenAI's `response_format`."""
CODEC_ENTRY_POINTS = "voice_cli.codecs"
"""The entry point group of codecs of other packages (see `codecs.table`)."""


def codec_names() -> list[str]:
    """Return the names of all codecs that can be requested, those of other packages last. Reads the entry points."""
    from importlib.metadata import entry_points

    return [*CODECS, *sorted(entry_points(group=CODEC_ENTRY_POINTS).names - set(CODECS))]


class Encoding(NamedTuple):
    """A stream's codec and format, as announced or requested; `codecs.open_decoder` checks the bytes too."""

    codec: str | None
    """A codec's name; None: unknown."""
    format: AudioFormat | None = None
    """The format of raw PCM, or the expected one of a codec that declares its own; None: unknown."""
    samples: str = "s16le"
    """The sample type of raw PCM: a name of `codecs.sample_types`."""
    unsupported: str = ""
    """An announced media type that cannot be decoded, such as ``text/html``; the stream may be something else."""
