"""Ogg (RFC 3533): pages to packets and packets to pages.

A page may hold a second of speech or more; libavformat waits for its end. Its header lists the length of every packet,
so the demuxer returns each packet when its last segment has arrived. The page's checksum is therefore not checked: TCP
and TLS have their own. No I/O: "need more data" is a return value, as in h11.
"""

import struct
import zlib
from collections import deque
from typing import NamedTuple

from voice_cli.errors import DecodeError

_CAPTURE = b"OggS"
_HEADER_BYTES = 27
_NO_GRANULE = (1 << 64) - 1
_MOST_GARBAGE = 1 << 17
"""Bytes without a page after which demuxing fails: two of the longest pages."""
_MOST_PACKET = 1 << 24
"""Bytes of the longest packet, comments with a picture included."""

_HEADER = struct.Struct("<4sBBqIIIB")
_CRC_AT = 22
_FIRST, _LAST = 2, 4
_MOST_SEGMENTS = 255
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits reversed."""


class Page(NamedTuple):
    """A page's header; its packets follow as events."""

    serial: int
    """Of the logical stream."""
    granule: int | None
    """Position at the end of the last packet that ends on this page, in the codec's units; None: none ends."""
    first: bool
    """Beginning of the logical stream (BOS)."""
    last: bool
    """End of the logical stream (EOS)."""
    packets: int
    """Packets that end on this page."""


class Packet(NamedTuple):
    """One whole packet."""

    page: Page
    """The page on which it ends."""
    data: bytes
    closes: bool
    """Whether it is the last one that ends on its page."""


class OggDemuxer:
    """Pass data to `receive`, then call `next_event` until it returns None.

    Any number of logical streams, chained and grouped; the caller chooses among them.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._partial: dict[int, bytearray] = {}
        """By serial: the start of a packet that continues on that stream's next page."""
        self._page: Page | None = None
        self._runs: deque[tuple[int, bool]] = deque()
        """Of the current page: size of each part of a packet, and whether the packet ends with it."""
        self._packets = 0
        """Packets of the current page that have not ended."""
        self._orphan = False
        """The page begins with the rest of a packet whose start is missing."""
        self._started = False
        self._garbage = 0

    def receive(self, data: bytes) -> None:
        self._buffer += data

    def next_event(self) -> Page | Packet | None:
        """Return the next page header or packet; None: more data is needed.

        Raises:
            DecodeError: the data is not Ogg.

        """
        while True:
            if not self._runs:
                return self._read_header()
            size, ends = self._runs[0]
            if len(self._buffer) < size:
                return None
            self._runs.popleft()
            packet = self._take(size, ends=ends)
            if packet is not None:
                return packet

    @property
    def missing(self) -> int:
        """Bytes missing at the end of the current page, as far as its header tells; 0: between two pages."""
        if self._runs:
            return sum(size for size, _ in self._runs) - len(self._buffer)
        if not self._buffer or not _CAPTURE.startswith(bytes(self._buffer[:4])):
            return 0
        if len(self._buffer) < _HEADER_BYTES:
            return _HEADER_BYTES - len(self._buffer)
        return max(1, _HEADER_BYTES + self._buffer[26] - len(self._buffer))

    def unfinished(self, serial: int) -> bool:
        """Return whether a packet of this stream has begun and not ended."""
        return bool(self._partial.get(serial))

    def _read_header(self) -> Page | None:
        buffer = self._buffer
        if not self._synced() or len(buffer) < _HEADER_BYTES:
            return None
        segments = buffer[26]
        if len(buffer) < _HEADER_BYTES + segments:
            return None
        if buffer[4]:
            raise DecodeError(f"unknown Ogg version {buffer[4]}")
        flags = buffer[5]
        granule = int.from_bytes(buffer[6:14], "little")
        serial = int.from_bytes(buffer[14:18], "little")
        self._lace(buffer[_HEADER_BYTES : _HEADER_BYTES + segments])
        del buffer[: _HEADER_BYTES + segments]
        page = Page(
            serial,
            None if granule == _NO_GRANULE else granule,
            first=bool(flags & 2),
            last=bool(flags & 4),
            packets=sum(ends for _, ends in self._runs),
        )
        self._started = True
        self._garbage = 0
        self._page = page
        self._packets = page.packets
        # RFC 3533 section 6: the first segment continues the packet of the page before.
        continued = bool(flags & 1)
        if not continued or page.first:
            self._partial.pop(serial, None)
        self._orphan = continued and serial not in self._partial
        return page

    def _lace(self, lacing: bytearray) -> None:
        size = 0
        for value in lacing:
            size += value
            if value < 255:
                self._runs.append((size, True))
                size = 0
        if size or (lacing and lacing[-1] == 255):
            self._runs.append((size, False))

    def _take(self, size: int, *, ends: bool) -> Packet | None:
        """Remove a packet, or a part of one, from the buffer; return the packet if it is complete."""
        page = self._page
        if page is None:
            raise RuntimeError("no page")
        data = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._packets -= ends
        if self._orphan:
            self._orphan = not ends
            return None
        if not ends or page.serial in self._partial:
            whole = self._partial.setdefault(page.serial, bytearray())
            whole += data
            if len(whole) > _MOST_PACKET:
                raise DecodeError("an Ogg packet does not end")
            if not ends:
                return None
            data = bytes(self._partial.pop(page.serial))
        return Packet(page, data, closes=self._packets == 0)

    def _synced(self) -> bool:
        """Move a page's capture pattern to the start of the buffer; return False if more data is needed."""
        buffer = self._buffer
        if buffer.startswith(_CAPTURE):
            return True
        if _CAPTURE.startswith(bytes(buffer[:4])):
            return False
        if not self._started:
            raise DecodeError("the server sent no Ogg stream")
        at = buffer.find(_CAPTURE)
        if at < 0:
            at = next(len(buffer) - n for n in (3, 2, 1, 0) if buffer.endswith(_CAPTURE[:n]))
        del buffer[:at]
        self._garbage += at
        if self._garbage > _MOST_GARBAGE:
            raise DecodeError(f"more than {_MOST_GARBAGE} bytes in a row are no Ogg page")
        return self._synced() if buffer else False


class OggWriter:
    """Writes the pages of one logical stream."""

    def __init__(self, serial: int) -> None:
        """Set the stream's number, 32 bits, unique in a file."""
        self._serial = serial
        self._pages = 0

    def page(self, packets: list[bytes], granule: int, *, last: bool = False) -> bytes:
        """Return a page of whole packets.

        Args:
            packets: all of them end on the page.
            granule: the position at the end of the last one, in the codec's units.
            last: the stream ends with this page.

        Raises:
            ValueError: the packets do not fit.

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
    """Return a page's checksum: zlib's polynomial, most significant bit first, not inverted.

    Computed by zlib, in C, with all bits mirrored before and after.
    """
    crc = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return crc.to_bytes(4, "big").translate(_MIRRORED)
