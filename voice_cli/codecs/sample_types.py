"""The sample types of raw PCM and WAV, by ffmpeg's names, and their conversion to s16le with ffmpeg's results."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from voice_cli.pcm import g711


class SampleType(NamedTuple):
    """One type of samples."""

    size: int
    """Bytes of a sample."""
    convert: Callable[[bytes], bytes]
    """Converts whole samples to s16le."""


def _two_bytes(data: bytes, size: int, low: int, high: int) -> bytes:
    """Truncate samples of `size` bytes to the two bytes at these places, as libswresample does."""
    out = bytearray(len(data) // size * 2)
    out[0::2] = data[low::size]
    out[1::2] = data[high::size]
    return bytes(out)


def _floats(data: bytes, dtype: str) -> bytes:
    """Convert IEEE floats (±1 is full scale), rounded half to even and clipped."""
    import numpy as np

    scaled = np.frombuffer(data, dtype=dtype).astype(np.float64) * 32768
    whole = np.rint(np.nan_to_num(scaled, copy=False, nan=0, posinf=32767, neginf=-32768))
    return whole.clip(-32768, 32767).astype("<i2").tobytes()


SAMPLE_TYPES = {
    "u8": SampleType(1, partial(g711.expand, low=bytes(256), high=bytes(code ^ 0x80 for code in range(256)))),
    "s16le": SampleType(2, bytes),
    "s16be": SampleType(2, partial(_two_bytes, size=2, low=1, high=0)),
    "s24le": SampleType(3, partial(_two_bytes, size=3, low=1, high=2)),
    "s24be": SampleType(3, partial(_two_bytes, size=3, low=1, high=0)),
    "s32le": SampleType(4, partial(_two_bytes, size=4, low=2, high=3)),
    "s32be": SampleType(4, partial(_two_bytes, size=4, low=1, high=0)),
    "f32le": SampleType(4, partial(_floats, dtype="<f4")),
    "f32be": SampleType(4, partial(_floats, dtype=">f4")),
    "f64le": SampleType(8, partial(_floats, dtype="<f8")),
    "f64be": SampleType(8, partial(_floats, dtype=">f8")),
    "alaw": SampleType(1, g711.decode_a_law),
    "mulaw": SampleType(1, g711.decode),
}
