"""Encoders, whole-file reference decoders and stream splitters for the decoders' tests."""

import io
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import av
import numpy as np
import pytest

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.codecs.av_codec import AvDecoder
from voice_cli.codecs.base import Decoder
from voice_cli.codecs.mp3 import Mp3Decoder
from voice_cli.errors import TruncatedAudio

MONO24 = AudioFormat(24_000, 1)
MONO44 = AudioFormat(44_100, 1)
STEREO44 = AudioFormat(44_100, 2)
MONO48 = AudioFormat(48_000, 1)
STEREO48 = AudioFormat(48_000, 2)

_CONTAINERS = {
    # codec: (libavformat's muxer, libavcodec's encoder, its sample format)
    "mp3": ("mp3", "libmp3lame", "fltp"),
    "aac": ("adts", "aac", "fltp"),
    "flac": ("flac", "flac", "s16"),
    "opus": ("ogg", "libopus", "s16"),
    "mp2": ("mp2", "mp2", "s16"),
    "wav": ("wav", "pcm_s16le", "s16"),
}


@cache
def speech(audio_format: AudioFormat, seconds: float, seed: int = 1) -> bytes:
    """Return speech-like s16le audio: sweeps, noise bursts and pauses, different in each channel."""
    rng = np.random.default_rng(seed)
    count = audio_format.frames(seconds)
    time = np.arange(count) / audio_format.rate
    channels = []
    for channel in range(audio_format.channels):
        sweep = np.sin(2 * np.pi * (120 + 40 * channel + 900 * time) * time)
        noise = rng.normal(0, 0.3, count)
        syllables = np.sin(2 * np.pi * 3 * time + channel) > -0.3
        hiss = np.sin(2 * np.pi * 1.3 * time) > 0.7
        channels.append(0.5 * sweep * syllables + noise * hiss)
    pcm = np.clip(np.stack(channels, axis=1) * 20_000, -32_768, 32_767)
    return pcm.astype("<i2").tobytes()


def encode(
    codec: str,
    pcm: bytes,
    audio_format: AudioFormat,
    *,
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
    sample_format: str | None = None,
    seekable: bool = True,
) -> bytes:
    """Encode with PyAV; `seekable=False` leaves totals out of the header, as a streaming server does."""
    muxer, encoder, wanted = _CONTAINERS[codec]
    sink = io.BytesIO() if seekable else _Pipe()
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[audio_format.channels]
    with av.open(sink, "w", format=muxer, options=muxer_options or {}) as container:
        stream = container.add_stream(encoder, rate=audio_format.rate, options=options or {})
        stream.layout = layout
        stream.format = sample_format or wanted
        if bit_rate:
            stream.bit_rate = bit_rate
        resampler = av.AudioResampler(sample_format or wanted, layout, audio_format.rate)
        frame = av.AudioFrame("s16", layout, len(pcm) // audio_format.frame_bytes)
        frame.planes[0].update(pcm + bytes(frame.planes[0].buffer_size - len(pcm)))
        frame.sample_rate = audio_format.rate
        frame.pts = 0
        fifo = av.AudioFifo()
        for converted in resampler.resample(frame):
            fifo.write(converted)
        size = stream.codec_context.frame_size or 4096
        while (piece := fifo.read(size)) is not None or (piece := fifo.read(0, partial=True)) is not None:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
    return sink.getvalue()


class _Pipe(io.RawIOBase):
    def __init__(self) -> None:
        self._written = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def getvalue(self) -> bytes:
        return bytes(self._written)

    seek = None  # so PyAV treats it as not seekable


@cache
def encoded(codec: str, audio_format: AudioFormat, seconds: float = 0.6, *, seekable: bool = True) -> bytes:
    """Return encoded test speech; the bytes are always the same."""
    return encode(codec, speech(audio_format, seconds), audio_format, seekable=seekable)


def reference(data: bytes, muxer: str, *, decoder: str | None = None) -> tuple[AudioFormat, bytes]:
    """Decode the whole file with libavformat and libavcodec, as `ffmpeg -f s16le` would."""
    with av.open(io.BytesIO(data), format=muxer) as container:
        stream = container.streams.audio[0]
        context = stream.codec_context
        if decoder:
            context = av.CodecContext.create(decoder, "r")
            context.extradata = stream.codec_context.extradata
        frames = [f for packet in container.demux(stream) for f in context.decode(packet if packet.size else None)]
    resampler = av.AudioResampler("s16")
    out = [o for frame in frames for o in resampler.resample(frame)]
    audio_format = AudioFormat(out[0].sample_rate, len(out[0].layout.channels))
    size = audio_format.frame_bytes
    return audio_format, b"".join(bytes(o.planes[0])[: o.samples * size] for o in out)


def ffmpeg_reference(data: bytes, muxer: str, *, decoder: str | None = None) -> bytes:
    """Decode the whole file with the ffmpeg command (not PyAV's build)."""
    chosen = ["-c:a", decoder] if decoder else []
    command = ["ffmpeg", "-v", "error", "-f", muxer, *chosen, "-i", "pipe:0", "-f", "s16le", "pipe:1"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def mp3_decoder_by_pyav() -> Mp3Decoder:
    """Return the MP3 decoder used without libmpg123."""
    decoder = Mp3Decoder()
    decoder._codecs = {2: AvDecoder("mp2").decode, 3: AvDecoder("mp3float").decode}
    return decoder


def need(tool: str) -> None:
    """Skip the test, or fail it on CI, if the program is not installed."""
    if shutil.which(tool) is None:
        _missing(f"{tool} is not installed")


def need_libopus() -> None:
    """Skip the test, or fail it on CI, if libopus is not installed."""
    from voice_cli.codecs import opus

    if opus._opuslib() is None:
        _missing("libopus is not installed")


def _missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


_BIT_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def ogg_crc(page: bytes) -> int:
    """Compute RFC 3533's checksum: zlib's polynomial, most significant bit first, without inversion."""
    mirrored = zlib.crc32(page.translate(_BIT_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def ogg_page(
    lacing: Iterable[int],
    body: bytes,
    *,
    serial: int = 7,
    sequence: int = 0,
    granule: int = -1,
    bos: bool = False,
    eos: bool = False,
    continued: bool = False,
) -> bytes:
    """Build one page (RFC 3533 section 6)."""
    values = bytes(lacing)
    flags = continued | bos << 1 | eos << 2
    page = bytearray(struct.pack("<4sBBqIIIB", b"OggS", 0, flags, granule, serial, sequence, 0, len(values)))
    page += values + body
    page[22:26] = struct.pack("<I", ogg_crc(bytes(page)))
    return bytes(page)


def lacing_of(size: int) -> list[int]:
    """Return the lacing values of a packet of `size` bytes."""
    return [255] * (size // 255) + [size % 255]


def ogg_stream(
    packets: list[tuple[bytes, int]],
    *,
    serial: int = 7,
    per_page: int = 1,
    eos: bool = True,
    segments: int = 255,
) -> bytes:
    """Build a logical stream of (packet, granule position at its end); the first two get separate pages.

    `segments` is the maximum per page; longer packets continue on the next page.
    """
    out = bytearray()
    sequence = 0
    groups = [[packet] for packet in packets[:2]]
    groups += [packets[at : at + per_page] for at in range(2, len(packets), per_page)]
    for index, group in enumerate(groups):
        pieces: list[tuple[int, bytes, int]] = []  # lacing value, bytes, granule at a packet end
        for data, granule in group:
            at = 0
            for value in lacing_of(len(data)):
                pieces.append((value, data[at : at + value], granule if value < 255 else -1))
                at += value
        pages = [pieces[at : at + segments] for at in range(0, len(pieces), segments)]
        for number, page in enumerate(pages):
            ended = [granule for value, _, granule in page if value < 255]
            out += ogg_page(
                [value for value, _, _ in page],
                b"".join(part for _, part, _ in page),
                serial=serial,
                sequence=sequence,
                granule=ended[-1] if ended else -1,
                bos=index == 0 and number == 0,
                eos=eos and index == len(groups) - 1 and number == len(pages) - 1,
                continued=number > 0 and pages[number - 1][-1][0] == 255,
            )
            sequence += 1
    return bytes(out)


def cut(data: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Yield pieces of these sizes, then the rest."""
    at = 0
    for size in sizes:
        if at >= len(data):
            return
        yield data[at : at + size]
        at += size
    if at < len(data):
        yield data[at:]


def every(size: int, data: bytes) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def run(decoder: Decoder, pieces: Iterable[bytes], *, truncated: bool = False) -> list[PcmChunk]:
    """Decode the pieces; if `truncated`, check that the flush raises TruncatedAudio."""
    chunks = [chunk for piece in pieces for chunk in decoder.decode(piece)]
    if truncated:
        with pytest.raises(TruncatedAudio):
            decoder.flush()
        return chunks
    return chunks + decoder.flush()


def joined(chunks: Iterable[PcmChunk]) -> list[tuple[AudioFormat, bytes]]:
    """Join consecutive chunks of the same format."""
    runs: list[tuple[AudioFormat, bytearray]] = []
    for chunk in chunks:
        assert chunk.data
        assert len(chunk.data) % chunk.format.frame_bytes == 0
        if not runs or runs[-1][0] != chunk.format:
            runs.append((chunk.format, bytearray()))
        runs[-1][1].extend(chunk.data)
    return [(audio_format, bytes(data)) for audio_format, data in runs]


def bytes_to_first_pcm(make: Callable[[], Decoder], data: bytes) -> int:
    """Return the number of bytes before the first PCM."""
    decoder = make()
    for count in range(1, len(data) + 1):
        if decoder.decode(data[count - 1 : count]):
            return count
    raise AssertionError("no PCM")
