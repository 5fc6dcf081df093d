"""FLAC (RFC 9639): coded by PyAV, framed here.

A frame header has no length. libavcodec's parser buffers ten headers before it returns the first frame, a second of
speech. Here a frame ends where its checksum matches and it decodes, so it is returned at its last byte. That costs 2 ms
of CPU a second of speech.
"""

from collections.abc import Callable
from typing import NamedTuple

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.av_codec import AvDecoder, AvEncoder
from voice_cli.codecs.base import ConvertingEncoder, DeferredErrorDecoder
from voice_cli.codecs.faults import Faults
from voice_cli.codecs.headers import id3v2_length
from voice_cli.errors import DecodeError, TruncatedAudio

_MARKER = b"fLaC"
_STREAMINFO_BYTES = 34
_HEADER_BYTES = 16
"""Of the longest frame header: 4, a number of 7, block size of 2, rate of 2, checksum of 1."""
_LEAST_FRAME_BYTES = 8
"""A header of 5, a subframe of 1 and a checksum of 2."""
_FRAME_MARGIN_BYTES = 64
_ID3V1_BYTES = 128

_LAST_BLOCK = 0x80
_BLOCK_SIZES = (192, 576, 1152, 2304, 4608)
"""PCM frames a FLAC frame. libavcodec's default is 105 ms, and its parser, which many players use, buffers ten headers
before it returns the first frame; blocks of 24 ms cost 1 % more bytes."""
_LEAST_SECONDS = 0.02

_Step = Callable[[list[PcmChunk]], bool]
"""One step of a state; returns False if more bytes are needed."""


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


class FlacDecoder(DeferredErrorDecoder):
    """Returns the samples of `ffmpeg -f s16le`; more than 16 bits are truncated to 16.

    Several streams may follow each other. A frame that the codec refuses is skipped, and `flush` raises DecodeError
    (see `Faults`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._state: _Step = self._marker
        self._skip = 0
        """Bytes to skip that have not arrived."""
        self._faults = Faults("FLAC")
        self._info: StreamInfo | None = None
        self._codec: AvDecoder | None = None
        self._last_block = False
        self._position = 0
        """PCM frames of this stream returned so far."""
        self._block_size = 0
        """PCM frames of the frame at the buffer's start; 0: its header is not read."""
        self._lost = False
        """The bytes before the buffer's start were no frame."""
        self._longest = 0
        """Maximum bytes of that frame."""
        self._crc = 0
        self._crc_bytes = 0
        """Bytes of the buffer that `_crc` covers."""

    def _feed(self, data: bytes, chunks: list[PcmChunk]) -> None:
        self._buffer += data
        while self._state(chunks):
            pass

    def _end(self) -> list[PcmChunk]:
        if self._info is None or self._state != self._frame:
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

    def _marker(self, _: list[PcmChunk]) -> bool:
        if not self._pass_skipped() or len(self._buffer) < 4:
            return False
        if self._buffer.startswith(b"ID3"):
            if len(self._buffer) < 10:
                return False
            self._skip = id3v2_length(self._buffer)
            return True
        if not self._buffer.startswith(_MARKER):
            raise DecodeError("the server sent no FLAC stream")
        del self._buffer[:4]
        self._info = None
        self._last_block = False
        self._state = self._block
        return True

    def _block(self, _: list[PcmChunk]) -> bool:
        """Read a metadata block (RFC 9639 section 8.1)."""
        if not self._pass_skipped():
            return False
        if self._last_block:
            self._state = self._frame
            return True
        buffer = self._buffer
        if len(buffer) < 4:
            return False
        kind, size = buffer[0] & 0x7F, int.from_bytes(buffer[1:4])
        if self._info is None:
            if kind or size != _STREAMINFO_BYTES:
                raise DecodeError("the FLAC stream does not begin with its STREAMINFO")
            if len(buffer) < 4 + size:
                return False
            self._begin(StreamInfo.parse(bytes(buffer[4 : 4 + size])))
        self._last_block = bool(buffer[0] & 0x80)
        self._skip = 4 + size
        return True

    def _begin(self, info: StreamInfo) -> None:
        if not info.rate:
            raise DecodeError("the FLAC stream declares a rate of 0 Hz")
        self._info = info
        self._codec = AvDecoder("flac", extradata=info.raw)
        self._position = 0
        self._block_size = 0

    def _frame(self, chunks: list[PcmChunk]) -> bool:
        buffer = self._buffer
        if not self._pass_skipped() or not buffer:
            return False
        if not self._block_size:
            if not self._lost and self._pass_tag():
                return True
            if not self._begin_frame():
                may_begin = _may_begin(buffer) and (not self._lost or buffer[0] == 0xFF)
                return not may_begin and self._resync()
        return self._end_at_checksum(chunks) or self._give_up()

    def _pass_tag(self) -> bool:
        """Skip padding or a tag, or go to the next stream; return False if there is none of these."""
        buffer = self._buffer
        if buffer.startswith((_MARKER, b"ID3")):
            self._state = self._marker
        elif buffer.startswith(b"TAG"):
            self._skip = _ID3V1_BYTES
        elif not buffer[0]:
            self._skip = len(buffer) - len(buffer.lstrip(b"\0"))
        else:
            return False
        return True

    def _begin_frame(self) -> bool:
        """Read the header at the buffer's start; return False if it is missing or incomplete."""
        info, block_size = self._info, frame_block_size(self._buffer, 0)
        if info is None or block_size is None:
            return False
        self._block_size = block_size
        # Uncompressed; a side channel has one more bit a sample.
        self._longest = block_size * info.channels * (info.bits + 1) // 8 + _FRAME_MARGIN_BYTES
        self._crc = self._crc_bytes = 0
        return True

    def _end_at_checksum(self, chunks: list[PcmChunk]) -> bool:
        """End the frame where its CRC-16 matches and it decodes.

        The CRC matches by chance once in 64 KiB, but a cut frame does not decode.
        """
        buffer, crc, table = self._buffer, self._crc, _CRC16
        at = self._crc_bytes
        for byte in memoryview(buffer)[at : self._longest].tobytes():
            at += 1
            crc = ((crc & 0xFF) << 8) ^ table[crc >> 8 ^ byte]
            if not crc and at >= _LEAST_FRAME_BYTES:
                decoded = self._decoded(at)
                if decoded is not None:
                    del buffer[:at]
                    self._position += self._block_size
                    self._block_size = 0
                    self._lost = False
                    self._faults.frame_decoded()
                    chunks += decoded
                    return True
        self._crc, self._crc_bytes = crc, at
        return False

    def _decoded(self, size: int) -> list[PcmChunk] | None:
        """Decode the first `size` bytes of the buffer; return None if they are not one whole frame."""
        if self._codec is None:
            raise RuntimeError("no STREAMINFO")
        try:
            decoded = self._codec.decode(bytes(memoryview(self._buffer)[:size]))
        except DecodeError:
            return None
        return decoded if sum(chunk.frames for chunk in decoded) == self._block_size else None

    def _give_up(self) -> bool:
        """Skip a frame whose checksum did not match within its maximum length."""
        if self._crc_bytes < self._longest:
            return False
        self._faults.frame_refused()
        return self._resync()

    def _resync(self) -> bool:
        """Skip to the next frame header, past tags and markers too."""
        self._lost = True
        buffer = self._buffer
        at = buffer.find(0xFF, 1)
        while at >= 0 and len(buffer) >= at + _HEADER_BYTES and frame_block_size(buffer, at) is None:
            at = buffer.find(0xFF, at + 1)
        passed = at if at >= 0 else len(buffer)
        del buffer[:passed]
        self._block_size = 0
        self._faults.garbage(passed)
        return bool(buffer)

    def _pass_skipped(self) -> bool:
        """Skip bytes in the buffer; return whether all of `_skip` are skipped."""
        passed = min(self._skip, len(self._buffer))
        del self._buffer[:passed]
        self._skip -= passed
        return not self._skip


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


class FlacEncoder(ConvertingEncoder):
    """Only STREAMINFO comes before the frames; its number of samples is 0: unknown. Takes 7 MB a stream."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("flac", target), target)
        size = next((size for size in _BLOCK_SIZES if size >= target.frames(_LEAST_SECONDS)), _BLOCK_SIZES[-1])
        self._codec = AvEncoder("flac", target, "s16", {"frame_size": str(size)})
        info = self._codec.header
        self._head = _MARKER + bytes([_LAST_BLOCK]) + len(info).to_bytes(3) + info

    def _encoded(self, pcm: bytes) -> bytes:
        return b"".join(self._codec.encode(pcm))

    def _end(self) -> bytes:
        return b"".join(self._codec.flush())
