"""AAC in ADTS frames (ISO 13818-7 section 6.2, ISO 14496-3): coded by PyAV, framed here."""

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.av_codec import AvDecoder, AvEncoder, rate_of
from voice_cli.codecs.base import PacketEncoder
from voice_cli.codecs.framer import FramedDecoder
from voice_cli.codecs.headers import ADTS_HEADER_BYTES, FrameHeader, adts_header

_BIT_RATE = 64_000
"""Bits a second and channel, nominal; about 75,000 in practice."""
_OPTIONS = {"aac_coder": "fast"}
"""A fifth of the default's work; 28 dB signal-to-noise ratio on speech, the default's is 21."""


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
        self._fixed = _fixed_header(self._codec.header)

    def _framed(self, packets: list[bytes]) -> bytes:
        parts: list[bytes] = []
        for packet in packets:
            header = self._fixed | (ADTS_HEADER_BYTES + len(packet)) << 13
            parts += (header.to_bytes(ADTS_HEADER_BYTES), packet)
        return b"".join(parts)


def _fixed_header(config: bytes) -> int:
    """Return a header without its frame's length from an AudioSpecificConfig (ISO 14496-3 section 1.6.2.1)."""
    packed = int.from_bytes(config[:2])
    object_type, rate_index, channels = packed >> 11, packed >> 7 & 15, packed >> 3 & 15
    sync_mpeg4_no_crc = 0xFFF1
    fullness_unknown = 0x7FF
    return sync_mpeg4_no_crc << 40 | (object_type - 1) << 38 | rate_index << 34 | channels << 30 | fullness_unknown << 2
