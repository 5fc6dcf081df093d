"""MP3 (ISO 11172-3, ISO 13818-3), as nothing but frames."""

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.encoders.av_codec import AvCodec, rate_of
from voice_cli.codecs.encoders.converting import ConvertingEncoder

_BIT_RATES = (96_000, 160_000)
"""Bits a second, mono and stereo. At 64,000 the noise of this quick LAME is above a simple masking threshold in 23 % of
speech's time and bands, at 96,000 in 7 %, for as little work."""
_NARROW_BIT_RATES = (48_000, 64_000)
"""Of MPEG-2.5, whose most is 64."""
_NARROW_HERTZ = 12_000
_OPTIONS = {
    "reservoir": "0",  # a frame may leave at once, and decodes without those before it
    "compression_level": "7",  # LAME's -q: half the work of its default
}


class Mp3Encoder(ConvertingEncoder):
    """Constant bit rate, by LAME: who reckons time from bytes, as players do that are given no length, is right.

    No Xing frame: it would have to tell a number of frames that is not known, and players show the duration that it
    makes. No ID3 tag: nothing is to be said. So nothing tells of the encoder's delay either: the speech is preceded by
    1105 frames of silence (LAME's 576, and 529 of every decoder) and followed by less than two MP3 frames of it.
    """

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate_of("libmp3lame", source, rate), source.channels)
        super().__init__(source, Encoding("mp3", target), target)
        bit_rates = _NARROW_BIT_RATES if target.rate <= _NARROW_HERTZ else _BIT_RATES
        self._codec = AvCodec("libmp3lame", target, "s16p", _OPTIONS, bit_rates[target.channels - 1])

    def _encoded(self, pcm: bytes) -> bytes:
        return b"".join(self._codec.encode(pcm))

    def _end(self) -> bytes:
        return b"".join(self._codec.flush())
