"""WAV: RIFF chunks (Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", 1991).

Its forms with sizes of 64 bits are RF64 (EBU Tech 3306) and BW64 (ITU-R BS.2088).

A streaming server does not know the size of the data, and may write a header for each piece of it. Headers must not be
played as audio.
"""

import struct
from collections.abc import Iterator

from voice_cli.audio import SAMPLE_BYTES, AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import Encoder, ParsingDecoder, checked_format
from voice_cli.codecs.sample_types import SAMPLE_TYPES, SampleType
from voice_cli.errors import DecodeError, Hint, TruncatedAudio, UnmarkedEnd

HEADER_BYTES = 44
UNKNOWN_SIZE = 0xFFFFFFFF
"""The size to declare if it is unknown: ffmpeg, mpv, browsers and we read to the end."""

_RIFF_BYTES = 12
_CHUNK_BYTES = 8
_MAX_SECONDS = 3600
"""A larger data size means "until the end", as 0 does: writers have 0x7FFFFFFF, 0xFFFFFFFF, those less the headers,
2,000,000,000, and others."""
_DS64_BYTES = 28
_FMT_BYTES = 1024
"""The longest `fmt ` chunk that is read."""
_FILES = (b"RIFF", b"RF64", b"BW64")
_LATER = {
    **dict.fromkeys(_FILES, (b"WAVE",)),
    b"LIST": (b"INFO", b"adtl"),
    b"id3 ": (b"ID3\2", b"ID3\3", b"ID3\4"),
}
"""What ends data of unknown size, another file or a chunk: its name, and the four bytes after its size."""
_EXTENSIBLE = 0xFFFE
_PCM, _FLOAT = 1, 3
_SAMPLES = {
    # (format tag, bytes of a sample)
    (_PCM, 1): "u8",
    (_PCM, 2): "s16le",
    (_PCM, 3): "s24le",
    (_PCM, 4): "s32le",
    (_FLOAT, 4): "f32le",
    (_FLOAT, 8): "f64le",
    (6, 1): "alaw",
    (7, 1): "mulaw",
}
_FORMAT_NAMES = {
    _PCM: "PCM",
    _FLOAT: "floats",
    0x0002: "ADPCM",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0055: "MP3",
    0x00FF: "AAC",
}


class WavDecoder(ParsingDecoder):
    """Decodes the contents of `data` chunks.

    After data of known size, other chunks are skipped and another header may follow. Data "until the end" is searched
    for a whole new header, and for a chunk that often follows the data. PCM of 8, 16, 24 and 32 bits, floats of 32 and
    64, A-law and µ-law, also by WAVE_FORMAT_EXTENSIBLE, and PCM in the upper bits of larger samples.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left: int | None = 0
        """Bytes of the data chunk that were not decoded; None: until the end."""
        self._format: AudioFormat | None = None
        self._block_bytes = 0
        """Bytes of one frame in the file."""
        self._samples: SampleType = SAMPLE_TYPES["s16le"]
        self._long_size = 0
        """Bytes of the data by a `ds64` chunk, for a size of 0xFFFFFFFF."""
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
            error = UnmarkedEnd if not rest else TruncatedAudio
            raise error(f"the WAV stream stopped {self._left - rest} bytes before the end of its data")
        if not self._seen_data:
            raise TruncatedAudio("the WAV stream stopped before its data")
        if rest and any(name.startswith(bytes(self._buffer[:4])) for name in _FILES):
            raise TruncatedAudio("the WAV stream stopped inside a second header")
        return []

    def _parse(self) -> Iterator[PcmChunk | None]:
        while True:
            yield from self._need(_RIFF_BYTES)
            if not self._buffer.startswith(_FILES) or self._buffer[8:12] != b"WAVE":
                raise DecodeError("the server sent no WAV file")
            del self._buffer[:_RIFF_BYTES]
            self._format = None
            self._long_size = 0
            self._seen_data = False
            yield from self._chunks_to_header()

    def _chunks_to_header(self) -> Iterator[PcmChunk | None]:
        buffer = self._buffer
        while True:
            yield from self._need(_CHUNK_BYTES)
            name, size = bytes(buffer[:4]), int.from_bytes(buffer[4:8], "little")
            if name in _FILES:
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
                if size == UNKNOWN_SIZE and self._long_size:
                    size = self._long_size
                if size == 0 or size > _MAX_SECONDS * self._format.rate * self._block_bytes:
                    yield from self._data_to_end()
                else:
                    yield from self._data(size)
            else:
                if name == b"ds64":
                    yield from self._need(_CHUNK_BYTES + _DS64_BYTES)
                    self._long_size = int.from_bytes(buffer[_CHUNK_BYTES + 8 : _CHUNK_BYTES + 16], "little")
                elif name == b"fmt ":
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

    def _data_to_end(self) -> Iterator[PcmChunk | None]:
        """Decode data of unknown size, up to where something of `_LATER` begins."""
        buffer = self._buffer
        self._left = None
        while True:
            at, found = min(_find(buffer, name, kinds) for name, kinds in _LATER.items())
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
        return [PcmChunk(self._format, self._samples.convert(raw))]

    def _read_format(self, fmt: bytes) -> None:
        """Read a `fmt ` chunk: WAVEFORMATEX, or -EXTENSIBLE, whose GUID begins with the plain tag."""
        if len(fmt) < 16:
            raise DecodeError(f"a WAV format of {len(fmt)} bytes is not valid")
        tag, channels, rate = (int.from_bytes(fmt[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
        bits = int.from_bytes(fmt[14:16], "little")
        if tag == _EXTENSIBLE and len(fmt) >= 26:
            tag = int.from_bytes(fmt[24:26], "little")
        self._format = checked_format(rate, channels)
        block = int.from_bytes(fmt[12:14], "little")
        size, rest = divmod(block, channels)  # larger than `bits` if the samples have padding, in their lower bits
        if rest or 8 * size < bits:
            size = -(-bits // 8)
        if (tag, size) not in _SAMPLES:
            name = _FORMAT_NAMES.get(tag, f"format 0x{tag:04X}")
            hint = Hint("ask for PCM as the {format}")
            raise DecodeError(f"a WAV file of {bits}-bit {name} is not supported", hint=hint)
        self._samples = SAMPLE_TYPES[_SAMPLES[tag, size]]
        self._block_bytes = channels * size


def _find(buffer: bytearray, name: bytes, kinds: tuple[bytes, ...]) -> tuple[int, bool]:
    """Return the position of a chunk's name and whether it is one; if not, it may be when more data has arrived."""
    at = buffer.find(name)
    while at >= 0:
        kind = bytes(buffer[at + 8 : at + _RIFF_BYTES])
        if kind in kinds or any(each.startswith(kind) for each in kinds):
            return at, kind in kinds
        at = buffer.find(name, at + 1)
    return next(len(buffer) - n for n in range(len(name) - 1, -1, -1) if buffer.endswith(name[:n])), False


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
