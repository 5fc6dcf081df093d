"""Ogg pages (RFC 3533 section 6): written as soon as their packets are there."""

import struct
import zlib

_HEADER = struct.Struct("<4sBBqIIIB")
_CRC_AT = 22
_FIRST, _LAST = 2, 4
_MOST_SEGMENTS = 255
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in reverse order."""


class OggWriter:
    """One logical stream."""

    def __init__(self, serial: int) -> None:
        """Take the number that tells it from all others in a file, 32 bits."""
        self._serial = serial
        self._pages = 0

    def page(self, packets: list[bytes], granule: int, *, last: bool = False) -> bytes:
        """Put whole packets on a page of their own.

        Args:
            packets: all of them end on the page.
            granule: the position at the end of the last one, in the codec's units.
            last: the stream ends with it.

        Raises:
            ValueError: they do not fit.

        """
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        if len(lacing) > _MOST_SEGMENTS:
            raise ValueError(f"{sum(map(len, packets))} bytes do not fit on a page")
        flags = (0 if self._pages else _FIRST) | (_LAST if last else 0)
        head = _HEADER.pack(b"OggS", 0, flags, granule, self._serial, self._pages, 0, len(lacing))
        self._pages += 1
        page = bytearray().join((head, lacing, *packets))
        page[_CRC_AT : _CRC_AT + 4] = _crc(page)
        return bytes(page)


def _crc(page: bytearray) -> bytes:
    """Compute the checksum as it stands in a page: zlib's polynomial, but most significant bit first, nothing inverted.

    Taken from zlib, which does it in C, with all bits mirrored before and after.
    """
    crc = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(_MIRRORED)
