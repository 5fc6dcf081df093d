"""FLAC (RFC 9639): coded by PyAV, framed here.

A frame header has no length. libavcodec's parser buffers ten headers before it returns the first frame, a second of
speech. Here a frame ends where its checksum matches and it decodes, so it is returned at its last byte. That costs 2 ms
of CPU a second of speech.
"""

from collections.abc import Generator, Iterator
from typing import NamedTuple

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.av_codec import AvDecoder, AvEncoder
from voice_cli.codecs.base import PacketEncoder, ParsingDecoder
from voice_cli.codecs.faults import Faults
from voice_cli.codecs.headers import id3v2_length
from voice_cli.errors import DecodeError, TruncatedAudio

_MARKER = b"fLaC"
_STREAMINFO_BYTES = 34
_HEADER_BYTES = 16
"""Of the longest frame header: 4, a number of 7, block size of 2, rate of 2, checksum of 1."""
_MIN_FRAME_BYTES = 8
"""A header of 5, a subframe of 1 and a checksum of 2."""
_FRAME_MARGIN_BYTES = 64
_ID3V1_BYTES = 128

_LAST_BLOCK = 0x80
_BLOCK_SIZES = (192, 576, 1152, 2304, 4608)
"""PCM frames a FLAC frame. libavcodec's default is 105 ms, and its parser, which many players use, buffers ten headers
before it returns the first frame; blocks of 24 ms cost 1 % more bytes."""
_MIN_SECONDS = 0.02


class StreamInfo(NamedTuple):
    """The first metadata block (RFC 9639 section 8.2)."""

    rate: int
    channels: int
    bits: int
    """Per sample."""
    frames: int
    """PCM frames in the stream; 0: unknown."""
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "StreamInfo":
        packed = int.from_bytes(raw[10:18])
        return cls(
            rate=packed >> 44,
            channels=(packed >> 41 & 7) + 1,
            bits=(packed >> 36 & 31) + 1,
            frames=packed & ((1 << 36) - 1),
            raw=raw,
        )


class FlacDecoder(ParsingDecoder):
    """Returns the samples of `ffmpeg -f s16le`; more than 16 bits are truncated to 16.

    Several streams may follow each other. A frame that the codec refuses is skipped, and `flush` raises DecodeError
    (see `Faults`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._faults = Faults("FLAC")
        self._info: StreamInfo | None = None
        """None: the stream's metadata is not complete."""
        self._position = 0
        """PCM frames of this stream returned so far."""

    def _end(self) -> list[PcmChunk]:
        if self._info is None:
            raise TruncatedAudio("the FLAC stream stopped before its first frame")
        total = self._info.frames
        if not self._buffer:
            self._faults.check(empty=True)  # missing samples were then corrupt, not cut off
        if self._position < total:
            raise TruncatedAudio(f"the FLAC stream stopped {total - self._position} of {total} samples before its end")
        if self._buffer:
            if not total and self._buffer[0] == 0xFF:
                raise TruncatedAudio("the FLAC stream stopped inside a frame")
            self._faults.garbage(len(self._buffer))
        self._faults.check()
        return []

    def _parse(self) -> Iterator[PcmChunk | None]:
        while True:
            self._info = None
            self._info = yield from self._metadata()
            self._position = 0
            yield from self._frames_to_marker(self._info, AvDecoder("flac", extradata=self._info.raw))

    def _metadata(self) -> Generator[None, None, StreamInfo]:
        """Read the marker and the metadata blocks (RFC 9639 section 8.1)."""
        buffer = self._buffer
        yield from self._need(4)
        while buffer.startswith(b"ID3"):
            yield from self._need(10)
            yield from self._skip(id3v2_length(buffer))
            yield from self._need(4)
        if not buffer.startswith(_MARKER):
            raise DecodeError("the server sent no FLAC stream")
        del buffer[:4]
        yield from self._need(4)
        if buffer[0] & 0x7F or int.from_bytes(buffer[1:4]) != _STREAMINFO_BYTES:
            raise DecodeError("the FLAC stream does not begin with its STREAMINFO")
        yield from self._need(4 + _STREAMINFO_BYTES)
        info = StreamInfo.parse(bytes(buffer[4 : 4 + _STREAMINFO_BYTES]))
        if not info.rate:
            raise DecodeError("the FLAC stream declares a rate of 0 Hz")
        is_last = False
        while not is_last:
            yield from self._need(4)
            is_last = bool(buffer[0] & _LAST_BLOCK)
            yield from self._skip(4 + int.from_bytes(buffer[1:4]))
        return info

    def _frames_to_marker(self, info: StreamInfo, codec: AvDecoder) -> Iterator[PcmChunk | None]:
        """Decode frames up to the next stream; skip padding, tags and what is not a frame."""
        buffer = self._buffer
        is_lost = False
        """The bytes before the buffer's start were no frame."""
        while True:
            yield from self._need(1)
            block_size = frame_block_size(buffer, 0)
            if block_size is not None:
                chunks = yield from self._frame(info, codec, block_size)
                is_lost = chunks is None
                yield from chunks or ()
                if is_lost:
                    self._faults.frame_refused()
                    self._resync()
            elif not is_lost and buffer.startswith((_MARKER, b"ID3")):
                return
            elif not is_lost and buffer.startswith(b"TAG"):
                yield from self._skip(_ID3V1_BYTES)
            elif not is_lost and not buffer[0]:
                yield from self._skip(len(buffer) - len(buffer.lstrip(b"\0")))
            elif _may_begin(buffer) and (not is_lost or buffer[0] == 0xFF):
                yield None
            else:
                is_lost = True
                self._resync()

    def _frame(
        self, info: StreamInfo, codec: AvDecoder, block_size: int
    ) -> Generator[None, None, list[PcmChunk] | None]:
        """Decode the frame at the buffer's start; return None if none ends within a frame's maximum length.

        It ends where its CRC-16 matches and it decodes. The CRC matches by chance once in 64 KiB, but a cut frame does
        not decode.
        """
        buffer, table = self._buffer, _CRC16
        # Uncompressed; a side channel has one more bit a sample.
        longest = block_size * info.channels * (info.bits + 1) // 8 + _FRAME_MARGIN_BYTES
        crc = at = 0
        while at < longest:
            for byte in memoryview(buffer)[at:longest].tobytes():
                at += 1
                crc = ((crc & 0xFF) << 8) ^ table[crc >> 8 ^ byte]
                if not crc and at >= _MIN_FRAME_BYTES:
                    chunks = _decoded(codec, bytes(memoryview(buffer)[:at]), block_size)
                    if chunks is not None:
                        del buffer[:at]
                        self._position += block_size
                        self._faults.frame_decoded()
                        return chunks
            if at < longest:
                yield None
        return None

    def _resync(self) -> None:
        """Skip to the next frame header, past tags and markers too."""
        buffer = self._buffer
        at = buffer.find(0xFF, 1)
        while at >= 0 and len(buffer) >= at + _HEADER_BYTES and frame_block_size(buffer, at) is None:
            at = buffer.find(0xFF, at + 1)
        passed = at if at >= 0 else len(buffer)
        del buffer[:passed]
        self._faults.garbage(passed)


def _decoded(codec: AvDecoder, data: bytes, block_size: int) -> list[PcmChunk] | None:
    """Decode one frame; return None if `data` is not one whole frame."""
    try:
        decoded = codec.decode(data)
    except DecodeError:
        return None
    return decoded if sum(chunk.frames for chunk in decoded) == block_size else None


def frame_block_size(data: bytes | bytearray, at: int) -> int | None:
    """Return the PCM frames of the frame whose header is at `at`; None: it is missing or incomplete.

    Source: RFC 9639 section 9.1. The header's CRC-8 rejects nearly all false matches.
    """
    head = bytes(data[at : at + _HEADER_BYTES])
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xFE != 0xF8:
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    if block_code == 0 or rate_code == 15 or head[3] >> 4 > 10 or head[3] & 1 or head[3] >> 1 & 7 == 3:
        return None
    # The frame's number is coded like UTF-8 in up to 7 bytes, counted by the leading ones of the first.
    ones = 8 - (head[4] ^ 0xFF).bit_length()
    uncommon = 4 + max(1, ones)
    end = uncommon + {6: 1, 7: 2}.get(block_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if ones in (1, 8) or len(head) <= end:
        return None
    crc = 0
    for byte in head[: end + 1]:
        crc = _CRC8[crc ^ byte]
    return None if crc else _block_size(block_code, head[uncommon : uncommon + 2])


def _block_size(code: int, uncommon: bytes) -> int:
    """Return the PCM frames in a frame (section 9.1.1)."""
    if code == 1:
        return 192
    if code <= 5:
        return 144 << code
    if code <= 7:
        return int.from_bytes(uncommon[: code - 5]) + 1
    return 1 << code


def _may_begin(rest: bytes | bytearray) -> bool:
    """Return whether a frame, a tag or another stream may begin with `rest`, the whole buffer."""
    if len(rest) >= _HEADER_BYTES:
        return False
    if rest[:1] == b"\xff":
        return len(rest) < 2 or rest[1] & 0xFE == 0xF8
    return any(mark.startswith(bytes(rest[: len(mark)])) for mark in (_MARKER, b"ID3", b"TAG"))


def _crc_table(polynomial: int, bits: int) -> list[int]:
    """Return the CRC of each byte, most significant bit first (sections 9.1.8 and 9.3)."""
    table = []
    for byte in range(256):
        crc = byte << (bits - 8)
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> (bits - 1) & 1 else 0)
        table.append(crc & ((1 << bits) - 1))
    return table


_CRC8 = _crc_table(0x07, 8)
_CRC16 = _crc_table(0x8005, 16)


class FlacEncoder(PacketEncoder):
    """Only STREAMINFO comes before the frames; its number of samples is 0: unknown. Takes 7 MB a stream."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("flac", target), target)
        size = next((size for size in _BLOCK_SIZES if size >= target.frames(_MIN_SECONDS)), _BLOCK_SIZES[-1])
        self._codec = AvEncoder("flac", target, "s16", {"frame_size": str(size)})
        info = self._codec.header
        self._head = _MARKER + bytes([_LAST_BLOCK]) + len(info).to_bytes(3) + info
