"""FLAC (RFC 9639): lossless, in frames of 24 ms or so."""

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.encoders.av_codec import AvCodec
from voice_cli.codecs.encoders.converting import ConvertingEncoder

_MARKER = b"fLaC"
_LAST_BLOCK = 0x80
_BLOCK_SIZES = (192, 576, 1152, 2304, 4608)
"""PCM frames a FLAC frame: the usual ones. libavcodec's own choice is 105 ms, and its parser, as in many a player,
gathers ten headers before it gives the first frame; blocks of 24 ms cost 1 % more bytes."""
_LEAST_SECONDS = 0.02


class FlacEncoder(ConvertingEncoder):
    """STREAMINFO alone stands before the frames; its number of samples is 0, which says that it is not known.

    libavcodec's encoder takes 7 MB a stream.
    """

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("flac", target), target)
        size = next((size for size in _BLOCK_SIZES if size >= target.frames(_LEAST_SECONDS)), _BLOCK_SIZES[-1])
        self._codec = AvCodec("flac", target, "s16", {"frame_size": str(size)})
        info = self._codec.header
        self._head = _MARKER + bytes([_LAST_BLOCK]) + len(info).to_bytes(3) + info

    def _encoded(self, pcm: bytes) -> bytes:
        return b"".join(self._codec.encode(pcm))

    def _end(self) -> bytes:
        return b"".join(self._codec.flush())
