"""From s16le PCM to the bytes of one stream, in the codec that a client asked for.

A codec's module is imported when a stream of that codec is wanted: PCM and WAV at the engine's own rate wait for no
library.
"""

from importlib import import_module
from typing import cast

from voice_cli.audio import AudioFormat
from voice_cli.codecs.encoders.base import Encoder
from voice_cli.errors import UsageError

__all__ = ["Encoder", "open_encoder"]

_ENCODERS = {
    "pcm": ("pcm", "PcmEncoder"),
    "wav": ("pcm", "WavEncoder"),
    "mp3": ("mpeg", "Mp3Encoder"),
    "opus": ("opus", "OpusEncoder"),
    "aac": ("adts", "AacEncoder"),
    "flac": ("flac", "FlacEncoder"),
    "mulaw": ("mulaw", "MulawEncoder"),
}
"""Codec → its module here, and the class in it, which is made with `source` and `rate`."""

_LEAST_HERTZ, _MOST_HERTZ = 4_000, 96_000
"""Of what a client may ask for: no codec here has more, and a rate is work and memory for the server."""


def open_encoder(codec: str, source: AudioFormat, *, rate: int | None = None) -> Encoder:
    """Make the encoder of one stream.

    Args:
        codec: one of `audio.CODECS`, or mulaw (ITU-T G.711, 8000 Hz mono).
        source: what the PCM will be: mono or stereo, and so is the stream, but for mulaw.
        rate: hertz of the stream; None: the source's, or the nearest that the codec has. Opus is 48000 Hz to
            whoever decodes it, and mulaw 8000.

    Raises:
        UsageError: there is no such codec, or it has no such format.

    """
    if codec not in _ENCODERS:
        raise UsageError(f"there is no codec {codec!r}", hint=f"the codecs: {', '.join(_ENCODERS)}")
    if source.channels not in (1, 2):
        raise UsageError(f"speech of {source.channels} channels is not encoded here")
    if rate is not None and not _LEAST_HERTZ <= rate <= _MOST_HERTZ:
        raise UsageError(f"there is no speech at {rate} Hz here", hint=f"ask for {_LEAST_HERTZ} to {_MOST_HERTZ}")
    module, name = _ENCODERS[codec]
    return cast("Encoder", getattr(import_module(f"{__name__}.{module}"), name)(source, rate))
