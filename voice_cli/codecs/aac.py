"""AAC in ADTS frames (ISO 13818-7 section 6.2, ISO 14496-3): coded by PyAV, framed here."""

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.av_codec import AvDecoder, AvEncoder, rate_of
from voice_cli.codecs.base import PacketEncoder
from voice_cli.codecs.framer import FramedDecoder
from voice_cli.codecs.headers import ADTS_HEADER_BYTES, ADTS_HERTZ, FrameHeader, adts_header

_BIT_RATE = 64_000
"""Bits a second and channel, nominal; about 75,000 in practice."""
_OPTIONS = {"aac_coder": "fast"}
"""A fifth of the default's work; 28 dB signal-to-noise ratio on speech, the default's is 21."""
_SYNC, _PROFILE, _FULLNESS = 0xFFF1, 1, 0x7FF
"""Fields of each header: MPEG-4 without a checksum, AAC-LC, unknown buffer fullness."""


class AacDecoder(FramedDecoder):
    """Returns the samples of `ffmpeg -f s16le`, each frame as soon as its last byte has arrived.

    The format is the codec's: a header declares half of HE-AAC's rate and channels.
    """

    def __init__(self) -> None:
        super().__init__("AAC", adts_header, ADTS_HEADER_BYTES)
        self._codec = AvDecoder("aac")

    def _decode_frame(self, _: FrameHeader, frame: bytes) -> list[PcmChunk]:
        return self._codec.decode(frame)


class AacEncoder(PacketEncoder):
    """Each packet with its header. ADTS cannot declare the encoder delay: 1024 frames of silence come first."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate_of("aac", source, rate), source.channels)
        super().__init__(source, Encoding("aac", target), target)
        self._codec = AvEncoder("aac", target, "fltp", _OPTIONS, _BIT_RATE * target.channels)
        rate_index = ADTS_HERTZ.index(target.rate)
        self._fixed = _SYNC << 40 | _PROFILE << 38 | rate_index << 34 | target.channels << 30 | _FULLNESS << 2
        """A header without its frame's length."""

    def _framed(self, packets: list[bytes]) -> bytes:
        parts: list[bytes] = []
        for packet in packets:
            header = self._fixed | (ADTS_HEADER_BYTES + len(packet)) << 13
            parts += (header.to_bytes(ADTS_HEADER_BYTES), packet)
        return b"".join(parts)
