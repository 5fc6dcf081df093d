"""Ogg (RFC 3533): pages to packets and packets to pages.

A page may hold a second of speech or more; libavformat waits for its end. Its header lists the length of every packet,
so the demuxer returns each packet when its last segment has arrived. The page's checksum is therefore not checked: TCP
and TLS have their own. No I/O: "need more data" is a return value, as in h11.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from voice_cli.errors import DecodeError

_CAPTURE = b"OggS"
_HEADER_BYTES = 27
_NO_GRANULE = (1 << 64) - 1
_MAX_GARBAGE = 1 << 17
"""Bytes without a page after which demuxing fails: two of the longest pages."""
_MAX_PACKET = 1 << 24
"""Bytes of the longest packet, comments with a picture included."""

_HEADER = struct.Struct("<4sBBQIIIB")
_CRC_AT = 22
_CONTINUED, _FIRST, _LAST = 1, 2, 4
_MAX_SEGMENTS = 255
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


class Packet(NamedTuple):
    """One whole packet."""

    page: Page
    """The page on which it ends."""
    data: bytes


class OggDemuxer:
    """Reads the data that its owner appends to `buffer`: call `next_event` until it returns None.

    Any number of logical streams, chained and grouped; the caller chooses among them.
    """

    def __init__(self, buffer: bytearray) -> None:
        self.buffer = buffer
        """Data that was received and not returned."""
        self._partial: dict[int, bytearray] = {}
        """By serial: the start of a packet that continues on that stream's next page."""
        self._left = 0
        """Bytes of the current page's body that were not returned."""
        self._events = self._parse()

    def next_event(self) -> Page | Packet | None:
        """Return the next page header or packet; None: more data is needed. Raises DecodeError if it is not Ogg."""
        return next(self._events)

    @property
    def missing(self) -> int:
        """Bytes missing at the end of the current page, as far as its header declares; 0: between two pages."""
        if self._left:
            return self._left - len(self.buffer)
        if not self.buffer or not _CAPTURE.startswith(bytes(self.buffer[:4])):
            return 0
        if len(self.buffer) < _HEADER_BYTES:
            return _HEADER_BYTES - len(self.buffer)
        return max(1, _HEADER_BYTES + self.buffer[26] - len(self.buffer))

    def unfinished(self, serial: int) -> bool:
        """Return whether a packet of this stream has begun and not ended."""
        return bool(self._partial.get(serial))

    def _parse(self) -> Iterator[Page | Packet | None]:
        buffer = self.buffer
        is_first_page = True
        while True:
            yield from self._sync(is_first_page=is_first_page)
            while len(buffer) < _HEADER_BYTES or len(buffer) < _HEADER_BYTES + buffer[26]:
                yield None
            _, version, flags, granule, serial, _, _, segments = _HEADER.unpack_from(buffer)
            if version:
                raise DecodeError(f"unknown Ogg version {version}")
            runs = _runs(bytes(buffer[_HEADER_BYTES : _HEADER_BYTES + segments]))
            del buffer[: _HEADER_BYTES + segments]
            is_first_page = False
            page = Page(
                serial,
                None if granule == _NO_GRANULE else granule,
                first=bool(flags & _FIRST),
                last=bool(flags & _LAST),
            )
            self._left = sum(size for size, _ in runs)
            yield page
            # RFC 3533 section 6: the first segment continues the packet of the page before.
            if not flags & _CONTINUED or page.first:
                self._partial.pop(serial, None)
            yield from self._packets(page, runs, is_orphan=bool(flags & _CONTINUED) and serial not in self._partial)

    def _sync(self, *, is_first_page: bool) -> Iterator[None]:
        """Skip to a page's capture pattern."""
        buffer = self.buffer
        garbage = 0
        while not buffer.startswith(_CAPTURE):
            if not _CAPTURE.startswith(bytes(buffer[:4])):
                if is_first_page:
                    raise DecodeError("the server sent no Ogg stream")
                at = buffer.find(_CAPTURE)
                if at < 0:
                    at = next(len(buffer) - n for n in (3, 2, 1, 0) if buffer.endswith(_CAPTURE[:n]))
                del buffer[:at]
                garbage += at
                if garbage > _MAX_GARBAGE:
                    raise DecodeError(f"more than {_MAX_GARBAGE} bytes in a row are no Ogg page")
            if not buffer.startswith(_CAPTURE):
                yield None

    def _packets(self, page: Page, runs: list[tuple[int, bool]], *, is_orphan: bool) -> Iterator[Packet | None]:
        """Yield a page's packets. `is_orphan`: it begins with the rest of a packet whose start is missing."""
        for size, ends in runs:
            while len(self.buffer) < size:
                yield None
            data = self.buffer[:size]
            del self.buffer[:size]
            self._left -= size
            if is_orphan:
                is_orphan = not ends
                continue
            whole = self._partial.setdefault(page.serial, bytearray())
            whole += data
            if len(whole) > _MAX_PACKET:
                raise DecodeError("an Ogg packet does not end")
            if ends:
                del self._partial[page.serial]
                yield Packet(page, bytes(whole))


def _runs(lacing: bytes) -> list[tuple[int, bool]]:
    """Return the size of each part of a packet on a page, and whether the packet ends with it."""
    runs = []
    size = 0
    for value in lacing:
        size += value
        if value < 255:
            runs.append((size, True))
            size = 0
    if lacing.endswith(b"\xff"):
        runs.append((size, False))
    return runs


class OggWriter:
    """Writes the pages of one logical stream."""

    def __init__(self, serial: int) -> None:
        """Set the stream's number, 32 bits, unique in a file."""
        self._serial = serial
        self._pages = 0

    def page(self, packets: list[bytes], granule: int, *, last: bool = False) -> bytes:
        """Return a page of whole packets, `granule` being the position at its end, in the codec's units.

        Raises ValueError if the packets do not fit.
        """
        lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
        if len(lacing) > _MAX_SEGMENTS:
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
