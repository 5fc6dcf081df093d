"""WAV: RIFF chunks (Microsoft, "Multimedia Programming Interface and Data Specifications 1.0", 1991).

A streaming server does not know the size of the data, and may write a header for each piece of it. Headers must not be
played as audio.
"""

import struct
from collections.abc import Callable

from voice_cli.audio import SAMPLE_BYTES, AudioFormat, Encoding, PcmChunk
from voice_cli.codecs import samples
from voice_cli.codecs.base import ConvertingEncoder, DeferredErrorDecoder
from voice_cli.errors import DecodeError, Hint, TruncatedAudio
from voice_cli.pcm import g711

HEADER_BYTES = 44
UNKNOWN_SIZE = 0xFFFFFFFF
"""The size to declare if it is unknown: ffmpeg, mpv, browsers and we read to the end."""

_RIFF_BYTES = 12
_CHUNK_BYTES = 8
_UNKNOWN_SIZE = 0x7FFF_0000
"""Data sizes from here on mean "until the end": 0x7FFFFFFF, 0xFFFFFFFF, and those less the headers. So does 0. (True
sizes this large are 12 hours of 24 kHz mono.)"""
_FMT_BYTES = 1024
"""The longest `fmt ` chunk that is read."""
_EXTENSIBLE = 0xFFFE
_FORMAT_NAMES = {0x0002: "ADPCM", 0x0011: "IMA ADPCM", 0x0031: "GSM 6.10", 0x0055: "MP3", 0x00FF: "AAC"}

_Step = Callable[[list[PcmChunk]], bool]
"""One step of a state; returns False if more bytes are needed."""


class WavDecoder(DeferredErrorDecoder):
    """Decodes the contents of `data` chunks.

    After data of known size, other chunks are skipped and another header may follow. Data "until the end" is searched
    for a whole new header. PCM of 8, 16, 24 and 32 bits, floats of 32 and 64, A-law and µ-law, also by
    WAVE_FORMAT_EXTENSIBLE.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffer = bytearray()
        self._skip = 0
        """Bytes to skip that have not arrived."""
        self._left: int | None = None
        """Bytes of the data chunk that have not arrived; None: until the end."""
        self._state: _Step = self._header
        self._odd = False
        """The data chunk's size is odd: a padding byte may follow."""
        self._format: AudioFormat | None = None
        self._block_bytes = 0
        """Bytes of one frame in the file."""
        self._convert: samples.Converter = samples.s16
        self._seen_data = False

    def _feed(self, data: bytes, chunks: list[PcmChunk]) -> None:
        self._buffer += data
        while self._state(chunks):
            pass

    def _end(self) -> list[PcmChunk]:
        rest = len(self._buffer)
        if self._state == self._data:
            if self._left is not None:
                raise TruncatedAudio(f"the WAV stream stopped {self._left - rest} bytes before the end of its data")
            return self._flush_unsized()
        if not self._seen_data:
            raise TruncatedAudio("the WAV stream stopped before its data")
        if rest and b"RIFF".startswith(bytes(self._buffer[:4])) and not self._skip:
            raise TruncatedAudio("the WAV stream stopped inside a second header")
        return []

    def _flush_unsized(self) -> list[PcmChunk]:
        # The buffer holds what may have been the start of a header.
        chunks: list[PcmChunk] = []
        self._play(len(self._buffer), chunks)
        if self._buffer:
            missing = self._block_bytes - len(self._buffer)
            raise TruncatedAudio(f"the WAV stream stopped {missing} bytes short of a whole frame")
        return chunks

    def _header(self, _: list[PcmChunk]) -> bool:
        if len(self._buffer) < _RIFF_BYTES:
            return False
        if not self._buffer.startswith((b"RIFF", b"RF64")) or self._buffer[8:12] != b"WAVE":
            raise DecodeError("the server sent no WAV file")
        del self._buffer[:_RIFF_BYTES]
        self._format = None
        self._seen_data = False
        self._state = self._chunk
        return True

    def _chunk(self, _: list[PcmChunk]) -> bool:
        buffer = self._buffer
        if self._odd and buffer:
            # Some writers omit the padding, a zero; no chunk's name begins with it.
            if not buffer[0]:
                del buffer[0]
            self._odd = False
        if self._skip:
            passed = min(self._skip, len(buffer))
            del buffer[:passed]
            self._skip -= passed
        if len(buffer) < _CHUNK_BYTES:
            return False
        name, size = bytes(buffer[:4]), int.from_bytes(buffer[4:8], "little")
        if name in (b"RIFF", b"RF64"):
            self._state = self._header
            return True
        if not (name.isascii() and name.decode("ascii").isprintable()):
            return self._junk()
        if name == b"data":
            if self._format is None:
                raise DecodeError("the WAV file has no format before its data")
            self._left = None if size == 0 or size >= _UNKNOWN_SIZE else size
            self._odd = bool(size & 1) and self._left is not None
            self._seen_data = True
            self._state = self._data
        elif name == b"fmt ":
            if size > _FMT_BYTES:
                raise DecodeError(f"a WAV format of {size} bytes is not valid")
            if len(buffer) < _CHUNK_BYTES + size:
                return False
            self._read_format(bytes(buffer[_CHUNK_BYTES : _CHUNK_BYTES + size]))
            self._skip = _CHUNK_BYTES + size + (size & 1)
            return True
        else:
            self._skip = _CHUNK_BYTES + size + (size & 1)
            return True
        del buffer[:_CHUNK_BYTES]
        return True

    def _junk(self) -> bool:
        """Skip zeros between chunks; raise for other bytes, which may be audio."""
        if not self._seen_data or self._buffer.strip(b"\0"):
            raise DecodeError("the WAV file has bytes that belong to no chunk")
        self._buffer.clear()
        return False

    def _data(self, chunks: list[PcmChunk]) -> bool:
        if self._left is None:
            return self._unsized(chunks)
        size = min(self._left, len(self._buffer))
        if size == self._left and size < self._block_bytes:
            del self._buffer[:size]  # an incomplete frame
            played = size
        else:
            played = self._play(size, chunks)
        self._left -= played
        if self._left:
            return played > 0 and self._left <= len(self._buffer)
        self._state = self._chunk
        return True

    def _unsized(self, chunks: list[PcmChunk]) -> bool:
        """Decode up to where a header begins, or may begin in the last bytes."""
        buffer = self._buffer
        at = buffer.find(b"RIFF")
        while at >= 0:
            if len(buffer) < at + _RIFF_BYTES:
                break
            if buffer[at + 8 : at + _RIFF_BYTES] == b"WAVE":
                self._play(at, chunks)
                del buffer[: at % self._block_bytes]
                self._state = self._header
                return True
            at = buffer.find(b"RIFF", at + 1)
        if at < 0:
            at = next(len(buffer) - n for n in (3, 2, 1, 0) if buffer.endswith(b"RIFF"[:n]))
        self._play(at, chunks)
        return False

    def _play(self, size: int, chunks: list[PcmChunk]) -> int:
        """Convert the whole frames in the next `size` bytes; return the number of bytes used."""
        size -= size % self._block_bytes
        if size and self._format is not None:
            raw = bytes(memoryview(self._buffer)[:size])
            del self._buffer[:size]
            chunks.append(PcmChunk(self._format, self._convert(raw)))
        return size

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
        self._convert = _converter(tag, bits)
        self._format = AudioFormat(rate, channels)
        self._block_bytes = channels * bits // 8


def _converter(tag: int, bits: int) -> samples.Converter:
    match tag, bits:
        case 1, 8:
            return samples.u8
        case 1, 16:
            return samples.s16
        case 1, 24:
            return samples.s24
        case 1, 32:
            return samples.s32
        case 3, 32:
            return samples.floats("<f4")
        case 3, 64:
            return samples.floats("<f8")
        case 6, 8:
            return g711.decode_a_law
        case 7, 8:
            return g711.decode
    name = _FORMAT_NAMES.get(tag, {1: "PCM", 3: "floats"}.get(tag, f"format 0x{tag:04X}"))
    raise DecodeError(f"a WAV file of {bits}-bit {name} is not supported", hint=Hint("ask for PCM as the {format}"))


class WavEncoder(ConvertingEncoder):
    """A header that declares no length, then s16le."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        target = AudioFormat(rate or source.rate, source.channels)
        super().__init__(source, Encoding("wav", target), target)
        self._head = wav_header(target, None)

    def _encoded(self, pcm: bytes) -> bytes:
        return pcm


def wav_header(audio_format: AudioFormat, data_bytes: int | None) -> bytes:
    """Return the 44 bytes of a header; `data_bytes` None: unknown."""
    if data_bytes is None:
        riff_size = size = UNKNOWN_SIZE
    else:
        size = min(data_bytes, UNKNOWN_SIZE - HEADER_BYTES)
        riff_size = size + HEADER_BYTES - 8
    frame = audio_format.frame_bytes
    pcm, fmt_bytes = 1, 16
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        riff_size,
        b"WAVE",
        b"fmt ",
        fmt_bytes,
        pcm,
        audio_format.channels,
        audio_format.rate,
        audio_format.rate * frame,
        frame,
        8 * SAMPLE_BYTES,
        b"data",
        size,
    )
