"""WAV: RIFF chunks (Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", 1991).

A streaming server does not know the size of the data, and may write a header for each piece of it. Headers must not be
played as audio.
"""

import struct
from collections.abc import Callable, Iterator
from functools import partial

from voice_cli.audio import SAMPLE_BYTES, AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import Encoder, ParsingDecoder
from voice_cli.errors import DecodeError, Hint, TruncatedAudio
from voice_cli.pcm import g711

HEADER_BYTES = 44
UNKNOWN_SIZE = 0xFFFFFFFF
"""The size to declare if it is unknown: ffmpeg, mpv, browsers and we read to the end."""

_RIFF_BYTES = 12
_CHUNK_BYTES = 8
_MIN_UNKNOWN_SIZE = 0x7FFF_0000
"""Data sizes from here on mean "until the end": 0x7FFFFFFF, 0xFFFFFFFF, and those less the headers. So does 0. (True
sizes this large are 12 hours of 24 kHz mono.)"""
_FMT_BYTES = 1024
"""The longest `fmt ` chunk that is read."""
_EXTENSIBLE = 0xFFFE
_FORMAT_NAMES = {
    0x0001: "PCM",
    0x0003: "floats",
    0x0002: "ADPCM",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0055: "MP3",
    0x00FF: "AAC",
}


class WavDecoder(ParsingDecoder):
    """Decodes the contents of `data` chunks.

    After data of known size, other chunks are skipped and another header may follow. Data "until the end" is searched
    for a whole new header. PCM of 8, 16, 24 and 32 bits, floats of 32 and 64, A-law and µ-law, also by
    WAVE_FORMAT_EXTENSIBLE.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: int | None = 0
        """Bytes of the data chunk that were not decoded; None: until the end."""
        self._format: AudioFormat | None = None
        self._block_bytes = 0
        """Bytes of one frame in the file."""
        self._convert: Callable[[bytes], bytes] = bytes
        self._seen_data = False

    def _end(self) -> list[PcmChunk]:
        rest = len(self._buffer)
        if self._left is None:
            # The buffer holds what may have been the start of a header.
            chunks = self._frames(rest)
            if self._buffer:
                raise TruncatedAudio("the WAV stream stopped inside a frame")
            return chunks
        if self._left:
            raise TruncatedAudio(f"the WAV stream stopped {self._left - rest} bytes before the end of its data")
        if not self._seen_data:
            raise TruncatedAudio("the WAV stream stopped before its data")
        if rest and b"RIFF".startswith(bytes(self._buffer[:4])):
            raise TruncatedAudio("the WAV stream stopped inside a second header")
        return []

    def _parse(self) -> Iterator[PcmChunk | None]:
        while True:
            yield from self._need(_RIFF_BYTES)
            if not self._buffer.startswith((b"RIFF", b"RF64")) or self._buffer[8:12] != b"WAVE":
                raise DecodeError("the server sent no WAV file")
            del self._buffer[:_RIFF_BYTES]
            self._format = None
            self._seen_data = False
            yield from self._chunks_to_header()

    def _chunks_to_header(self) -> Iterator[PcmChunk | None]:
        buffer = self._buffer
        while True:
            yield from self._need(_CHUNK_BYTES)
            name, size = bytes(buffer[:4]), int.from_bytes(buffer[4:8], "little")
            if name in (b"RIFF", b"RF64"):
                return
            if not (name.isascii() and name.decode("ascii").isprintable()):
                if not self._seen_data or buffer.strip(b"\0"):  # may be audio
                    raise DecodeError("the WAV file has bytes that belong to no chunk")
                buffer.clear()
            elif name == b"data":
                if self._format is None:
                    raise DecodeError("the WAV file has no format before its data")
                self._seen_data = True
                del buffer[:_CHUNK_BYTES]
                if size == 0 or size >= _MIN_UNKNOWN_SIZE:
                    yield from self._data_to_header()
                    return
                yield from self._data(size)
            else:
                if name == b"fmt ":
                    if size > _FMT_BYTES:
                        raise DecodeError(f"a WAV format of {size} bytes is not valid")
                    yield from self._need(_CHUNK_BYTES + size)
                    self._read_format(bytes(buffer[_CHUNK_BYTES : _CHUNK_BYTES + size]))
                yield from self._skip(_CHUNK_BYTES + size + (size & 1))

    def _data(self, size: int) -> Iterator[PcmChunk | None]:
        """Decode a data chunk of known size."""
        buffer, left = self._buffer, size
        while left >= self._block_bytes:
            self._left = left
            chunks = self._frames(min(left, len(buffer)))
            yield from chunks
            if not chunks:
                yield None
            left -= sum(chunk.frames for chunk in chunks) * self._block_bytes
        self._left = left
        yield from self._need(left)
        del buffer[:left]  # an incomplete frame
        self._left = 0
        if size & 1:
            # Some writers omit the padding, a zero; no chunk's name begins with it.
            yield from self._need(1)
            if not buffer[0]:
                del buffer[0]

    def _data_to_header(self) -> Iterator[PcmChunk | None]:
        """Decode data up to where a header begins, or may begin in the last bytes."""
        buffer = self._buffer
        self._left = None
        while True:
            at = buffer.find(b"RIFF")
            while at >= 0 and len(buffer) >= at + _RIFF_BYTES and buffer[at + 8 : at + _RIFF_BYTES] != b"WAVE":
                at = buffer.find(b"RIFF", at + 1)
            found = at >= 0 and len(buffer) >= at + _RIFF_BYTES
            if at < 0:
                at = next(len(buffer) - n for n in (3, 2, 1, 0) if buffer.endswith(b"RIFF"[:n]))
            yield from self._frames(at)
            if found:
                del buffer[: at % self._block_bytes]
                self._left = 0
                return
            yield None

    def _frames(self, size: int) -> list[PcmChunk]:
        """Convert the whole frames in the next `size` bytes: one chunk or none."""
        size -= size % self._block_bytes
        if not size or self._format is None:
            return []
        raw = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        return [PcmChunk(self._format, self._convert(raw))]

    def _read_format(self, fmt: bytes) -> None:
        """Read a `fmt ` chunk: WAVEFORMATEX, or -EXTENSIBLE, whose GUID begins with the plain tag."""
        if len(fmt) < 16:
            raise DecodeError(f"a WAV format of {len(fmt)} bytes is not valid")
        tag, channels, rate = (int.from_bytes(fmt[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
        bits = int.from_bytes(fmt[14:16], "little")
        if tag == _EXTENSIBLE and len(fmt) >= 26:
            tag = int.from_bytes(fmt[24:26], "little")
        if not channels or not rate:
            raise DecodeError(f"{channels} channels at {rate} Hz are not a valid WAV format")
        if (tag, bits) not in _CONVERTERS:
            name = _FORMAT_NAMES.get(tag, f"format 0x{tag:04X}")
            hint = Hint("ask for PCM as the {format}")
            raise DecodeError(f"a WAV file of {bits}-bit {name} is not supported", hint=hint)
        self._convert = _CONVERTERS[tag, bits]
        self._format = AudioFormat(rate, channels)
        self._block_bytes = channels * bits // 8


def _upper_16_bits(data: bytes, size: int) -> bytes:
    """Truncate samples of `size` bytes, as libswresample does."""
    out = bytearray(len(data) // size * 2)
    out[0::2] = data[size - 2 :: size]
    out[1::2] = data[size - 1 :: size]
    return bytes(out)


def _floats(data: bytes, dtype: str) -> bytes:
    """Convert IEEE floats (±1 is full scale), rounded half to even and clipped."""
    import numpy as np

    scaled = np.frombuffer(data, dtype=dtype).astype(np.float64) * 32768
    whole = np.rint(np.nan_to_num(scaled, copy=False, nan=0, posinf=32767, neginf=-32768))
    return whole.clip(-32768, 32767).astype("<i2").tobytes()


_CONVERTERS: dict[tuple[int, int], Callable[[bytes], bytes]] = {
    # (format tag, bits a sample): from whole samples, little-endian, to s16le, with the same results as ffmpeg
    (1, 8): partial(g711.expand, low=bytes(256), high=bytes(code ^ 0x80 for code in range(256))),
    (1, 16): bytes,
    (1, 24): partial(_upper_16_bits, size=3),
    (1, 32): partial(_upper_16_bits, size=4),
    (3, 32): partial(_floats, dtype="<f4"),
    (3, 64): partial(_floats, dtype="<f8"),
    (6, 8): g711.decode_a_law,
    (7, 8): g711.decode,
}


class WavEncoder(Encoder):
    """A header that declares no length, then s16le."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("wav", target), target)
        self._head = wav_header(target, None)


def wav_header(audio_format: AudioFormat, data_bytes: int | None) -> bytes:
    """Return the 44 bytes of a header; `data_bytes` None: unknown."""
    if data_bytes is None:
        riff_size = size = UNKNOWN_SIZE
    else:
        size = min(data_bytes, UNKNOWN_SIZE - HEADER_BYTES)
        riff_size = size + HEADER_BYTES - 8
    rate, frame_bytes = audio_format.rate, audio_format.frame_bytes
    pcm = 1
    fmt = struct.pack("<HHIIHH", pcm, audio_format.channels, rate, rate * frame_bytes, frame_bytes, 8 * SAMPLE_BYTES)
    head = struct.pack("<4sI4s4sI", b"RIFF", riff_size, b"WAVE", b"fmt ", len(fmt))
    return head + fmt + struct.pack("<4sI", b"data", size)
