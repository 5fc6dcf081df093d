"""Decoders of bare frames, each with a sync word and its length in its header: MPEG audio and ADTS.

libavcodec's parsers cut such streams too, but do not report a cut frame at the end.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator

from voice_cli.audio import PcmChunk
from voice_cli.codecs.base import ParsingDecoder
from voice_cli.codecs.faults import Faults
from voice_cli.codecs.headers import FrameHeader, id3v2_length
from voice_cli.errors import DecodeError, TruncatedAudio

_TAGS = {b"ID3": 10, b"TAG": 4, b"APETAGEX": 32}
"""Tags before, between and after frames: first bytes, and how many bytes hold the length."""
_ID3V1_BYTES = 128
_ENHANCED_BYTES = 227
"""Of an enhanced ID3v1 tag, `TAG+`, which precedes an ID3v1 tag."""


class FramedDecoder(ParsingDecoder):
    """Cuts a stream into frames; skips tags (ID3v2, ID3v1, APE) and zero padding.

    A frame at the start of the stream, or right after another one, is decoded when its last byte arrives. After
    garbage, or at a header that differs from the ones before, two headers in a row must agree: a sync word occurs by
    chance every few KiB. A frame that the codec refuses is skipped, and `flush` raises DecodeError (see `Faults`).
    """

    def __init__(
        self, codec: str, read_header: Callable[[bytes | bytearray, int], FrameHeader | None], header_bytes: int
    ) -> None:
        super().__init__()
        self._faults = Faults(codec)
        self._read_header = read_header
        self._header_bytes = header_bytes
        self._in_tag = False
        self._is_lost = False
        """The bytes before the buffer's start were no frame."""
        self._garbage = bytearray()
        """The last bytes that were no frame."""

    @abstractmethod
    def _decode_frame(self, header: FrameHeader, frame: bytes) -> list[PcmChunk] | None:
        """Decode one frame; return None if it holds no audio. Raises DecodeError if it is corrupt."""

    def _parse(self) -> Iterator[PcmChunk | None]:
        buffer = self._buffer
        key = None
        while True:
            yield from self._need(1)
            if buffer[0] == 0xFF:
                yield from self._need(self._header_bytes)
                header = self._read_header(buffer, 0)
                if header is not None and (self._is_lost or key not in (None, header.key)):
                    yield from self._need(header.length + self._header_bytes)
                    second = self._read_header(buffer, header.length)
                    header = header if second is not None and second.key == header.key else None
                if header is not None:
                    yield from self._need(header.length)
                    frame = bytes(buffer[: header.length])
                    del buffer[: header.length]
                    key = header.key
                    self._is_lost = False
                    yield from self._decoded(header, frame)
                    continue
            elif not self._is_lost and not buffer[0]:
                yield from self._skip(len(buffer) - len(buffer.lstrip(b"\0")))
                continue
            elif not self._is_lost:
                while (size := _tag_length(buffer)) is None:
                    yield None
                if size:
                    self._in_tag = True
                    yield from self._skip(size)
                    self._in_tag = False
                    continue
            if not self._is_lost:
                self._garbage.clear()
            self._is_lost = True
            sync = buffer.find(0xFF, 1)
            garbage = len(buffer) if sync < 0 else sync
            self._garbage += buffer[:garbage]
            del buffer[:garbage]
            self._faults.garbage(garbage)

    def _decoded(self, header: FrameHeader, frame: bytes) -> list[PcmChunk]:
        try:
            chunks = self._decode_frame(header, frame)
        except DecodeError as exc:
            self._faults.frame_refused(exc)
            return []
        if chunks is None:
            return []
        self._faults.frame_decoded()
        return chunks

    def _end(self) -> list[PcmChunk]:
        self._check_rest()
        self._faults.check()
        return []

    def _check_rest(self) -> None:
        """Raise TruncatedAudio if the stream stopped inside a frame, or in a tag before the first one."""
        rest = self._buffer
        if self._in_tag and not self._faults.good:
            raise TruncatedAudio("the stream stopped inside its ID3 tag")
        if rest and not self._is_lost:
            if rest[0] == 0xFF:
                if len(rest) < self._header_bytes:
                    raise TruncatedAudio("the stream stopped inside the header of a frame")
                header = self._read_header(rest, 0)
                if header is not None and len(rest) < header.length:
                    missing = header.length - len(rest)
                    raise TruncatedAudio(f"the stream stopped {missing} bytes before the end of a frame")
            elif _tag_length(rest) is None:
                if self._faults.good:
                    return  # the tag at the end: no audio is lost
                raise TruncatedAudio("the stream stopped inside the head of its ID3 tag")
        if rest:
            self._faults.garbage(len(rest))
            self._garbage += rest
        if self._is_lost and _is_tags(bytes(self._garbage)):
            self._faults.forgive(len(self._garbage))


def _is_tags(data: bytes) -> bool:
    """Return whether `data`, which ends a stream, is only tags that are found by their ends, and zero padding."""
    end = len(data)
    while end:
        size = _ending_tag(data, end) or int(not data[end - 1])
        if not size:
            return False
        end -= size
    return True


def _ending_tag(data: bytes, end: int) -> int:
    """Return the size of the tag that ends at `end`: ID3v1, its enhanced form, APE or Lyrics3; 0: there is none."""
    size = 0
    if data.startswith(b"TAG", max(0, end - _ID3V1_BYTES)):
        size = _ID3V1_BYTES
    elif data.startswith(b"TAG+", max(0, end - _ENHANCED_BYTES)):
        size = _ENHANCED_BYTES
    elif data.startswith(b"APETAGEX", max(0, end - 32)):
        has_header = data[end - 9] & 0x80
        size = int.from_bytes(data[end - 20 : end - 16], "little") + (32 if has_header else 0)
    elif data.endswith((b"LYRICS200", b"LYRICSEND"), 0, end):
        at = data.rfind(b"LYRICSBEGIN", 0, end)  # not by its size, which some programs write wrongly
        size = end - at if at >= 0 else 0
    return size if size <= end else 0


def _tag_length(data: bytearray) -> int | None:
    """Return the size of the tag at the start of `data`; 0: there is none; None: more data is needed."""
    head = bytes(data[:32])
    for magic, needed in _TAGS.items():
        if head.startswith(magic[: len(head)]):
            if len(head) < needed:
                return None
            if magic == b"ID3":
                return id3v2_length(head)
            if magic == b"TAG":
                return _ENHANCED_BYTES if head[3] == ord("+") else _ID3V1_BYTES
            # APEv2: the size covers the items and the footer; bit 29 of the flags marks the header.
            is_header = int.from_bytes(head[20:24], "little") >> 29 & 1
            return 32 + (int.from_bytes(head[12:16], "little") if is_header else 0)
    return 0
