"""Cuts a stream of bare frames, each with a sync word and its length in its header.

libavcodec's parsers do the same, but do not report a cut frame at the end. No I/O: "need more data" is a return value,
as in h11.
"""

from collections.abc import Callable

from voice_cli.codecs.faults import Faults
from voice_cli.codecs.headers import FrameHeader, id3v2_length
from voice_cli.errors import TruncatedAudio

_TAGS = {b"ID3": 10, b"TAG": 3, b"APETAGEX": 32}
"""Tags before, between and after frames: first bytes, and how many bytes hold the length."""
_ID3V1_BYTES = 128


class Framer:
    """Cuts MPEG audio or ADTS into frames; tags (ID3v2, ID3v1, APE) and zero padding are skipped.

    A frame at the start of the stream, or right after another one, is returned when its last byte arrives. After
    garbage, or at a header that differs from the ones before, two headers in a row must agree: a sync word occurs by
    chance every few KiB.
    """

    def __init__(
        self,
        parse: Callable[[bytes | bytearray, int], FrameHeader | None],
        header_bytes: int,
        faults: Faults,
    ) -> None:
        self._parse = parse
        self._header_bytes = header_bytes
        self._faults = faults
        self._buffer = bytearray()
        self._skip = 0
        """Bytes of a tag that have not arrived."""
        self._key: tuple[int, ...] | None = None
        self._lost = False

    def receive(self, data: bytes) -> None:
        self._buffer += data

    def next_frame(self) -> tuple[FrameHeader, bytes] | None:
        """Return the next whole frame with its header; None: more data is needed.

        Raises:
            DecodeError: too many bytes are not frames.

        """
        buffer = self._buffer
        while True:
            if self._skip:
                passed = min(self._skip, len(buffer))
                del buffer[:passed]
                self._skip -= passed
            if not buffer:
                return None
            if buffer[0] == 0xFF:
                if len(buffer) < self._header_bytes:
                    return None
                header = self._parse(buffer, 0)
                if header is not None:
                    agreed = self._agrees(header)
                    if agreed is None or (agreed and len(buffer) < header.length):
                        return None
                    if agreed:
                        frame = bytes(buffer[: header.length])
                        del buffer[: header.length]
                        self._key = header.key
                        self._lost = False
                        return header, frame
                self._pass_garbage()
            elif self._lost:
                self._pass_garbage()
            elif buffer[0] == 0:
                padding = 1
                while padding < len(buffer) and not buffer[padding]:
                    padding += 1
                del buffer[:padding]
            else:
                tag = self._tag_length()
                if tag is None:
                    return None
                self._skip = tag
                if not tag:
                    self._pass_garbage()

    def close(self) -> None:
        """End the stream.

        Raises:
            TruncatedAudio: the stream stopped inside a frame, or in a tag before the first one.

        """
        if self._skip and not self._faults.good:
            raise TruncatedAudio(f"the stream stopped {self._skip} bytes before the end of its ID3 tag")
        rest = self._buffer
        if not rest:
            return
        if rest[0] == 0xFF and not self._lost:
            if len(rest) < self._header_bytes:
                raise TruncatedAudio("the stream stopped inside the header of a frame")
            header = self._parse(rest, 0)
            if header is not None and len(rest) < header.length:
                missing = header.length - len(rest)
                raise TruncatedAudio(f"the stream stopped {missing} bytes before the end of a frame")
        if not self._lost and rest[0] != 0xFF and self._tag_length() is None:
            # The start of a tag: no audio is lost if it is the one at the end.
            if self._faults.good:
                return
            raise TruncatedAudio("the stream stopped inside the head of its ID3 tag")
        self._faults.garbage(len(rest))

    def _agrees(self, header: FrameHeader) -> bool | None:
        """Return whether the header at the buffer's start can be trusted; None: more data is needed."""
        if not self._lost and self._key in (None, header.key):
            return True
        if len(self._buffer) < header.length + self._header_bytes:
            return None
        second = self._parse(self._buffer, header.length)
        return second is not None and second.key == header.key

    def _pass_garbage(self) -> None:
        """Skip to where a frame may begin."""
        self._lost = True
        sync = self._buffer.find(0xFF, 1)
        passed = len(self._buffer) if sync < 0 else sync
        del self._buffer[:passed]
        self._faults.garbage(passed)

    def _tag_length(self) -> int | None:
        """Return the size of the tag at the buffer's start; 0: there is none; None: more data is needed."""
        head = bytes(self._buffer[:32])
        for magic, needed in _TAGS.items():
            if head.startswith(magic[: len(head)]):
                if len(head) < needed:
                    return None
                return self._length_of(magic, head)
        return 0

    @staticmethod
    def _length_of(magic: bytes, head: bytes) -> int:
        if magic == b"ID3":
            return id3v2_length(head)
        if magic == b"TAG":
            return _ID3V1_BYTES
        # APEv2: the size covers the items and the footer; bit 29 of the flags marks the header.
        size = int.from_bytes(head[12:16], "little")
        is_header = int.from_bytes(head[20:24], "little") >> 29 & 1
        return 32 + size if is_header else 32
