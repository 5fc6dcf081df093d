"""Frame headers of MPEG audio and ADTS, whose streams are bare frames.

Not in the decoders' modules because the sniffer reads them too, before a codec library is loaded.
"""

from typing import NamedTuple


class FrameHeader(NamedTuple):
    """The fields of a frame header."""

    length: int
    """In bytes, the header included."""
    samples: int
    """PCM frames that it decodes to, before any spectral band replication."""
    key: tuple[int, ...]
    """Equal for all frames of one stream."""


MPEG_HEADER_BYTES = 4
ADTS_HEADER_BYTES = 7

_MPEG_KBITS = {
    # (is MPEG-1, layer): kbit/s by bit rate index 1..14
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_HERTZ = (44_100, 48_000, 32_000)
ADTS_HERTZ = (
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
)  # fmt: skip


def mpeg_header(data: bytes | bytearray, at: int = 0) -> FrameHeader | None:
    """Parse the MPEG audio frame header at `at`, where `MPEG_HEADER_BYTES` must be available. None: there is none.

    Layers II and III of MPEG-1, 2 and 2.5 (ISO 11172-3 section 2.4.1.3, ISO 13818-3). Layer I is not read: speech
    servers do not use it, and -1 in PCM (FF FF) looks like it. Nor is the free format, which has no length.
    """
    if data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version = data[at + 1] >> 3 & 3  # 0: MPEG-2.5, 2: MPEG-2, 3: MPEG-1
    layer = 4 - (data[at + 1] >> 1 & 3)
    bit_rate_index = data[at + 2] >> 4
    rate_index = data[at + 2] >> 2 & 3
    if version == 1 or layer not in (2, 3) or bit_rate_index in (0, 15) or rate_index == 3:
        return None
    if data[at + 3] & 3 == 2:  # the reserved emphasis
        return None
    mpeg1 = version == 3
    rate = _MPEG_HERTZ[rate_index] >> {3: 0, 2: 1, 0: 2}[version]
    kbits = _MPEG_KBITS[mpeg1, layer][bit_rate_index - 1]
    samples = 576 if layer == 3 and not mpeg1 else 1152
    padding = data[at + 2] >> 1 & 1
    return FrameHeader(samples * 125 * kbits // rate + padding, samples, (version, layer, rate))


def adts_header(data: bytes | bytearray, at: int = 0) -> FrameHeader | None:
    """Parse the ADTS frame header at `at`, where `ADTS_HEADER_BYTES` must be available (ISO 13818-7 section 6.2)."""
    if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate_index = data[at + 2] >> 2 & 15
    if rate_index >= len(ADTS_HERTZ):
        return None
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    without_crc = data[at + 1] & 1
    if length <= (ADTS_HEADER_BYTES if without_crc else ADTS_HEADER_BYTES + 2):
        return None
    blocks = (data[at + 6] & 3) + 1
    profile = data[at + 2] >> 6
    channels = (data[at + 2] & 1) << 2 | data[at + 3] >> 6
    mpeg2 = data[at + 1] >> 3 & 1
    rate = ADTS_HERTZ[rate_index]
    return FrameHeader(length, 1024 * blocks, (mpeg2, profile, rate, channels))


def id3v2_length(data: bytes | bytearray) -> int:
    """Return the size of the ID3v2 tag whose first ten bytes begin `data` (ID3v2.4 structure, section 3.1)."""
    length = 0
    for byte in data[6:10]:
        length = length << 7 | byte & 0x7F
    footer = 10 if data[5] & 0x10 else 0
    return 10 + length + footer
