"""The sample types of WAV to s16le, with the same results as ffmpeg."""

from collections.abc import Callable

Converter = Callable[[bytes], bytes]
"""Converts whole samples, little-endian, to s16le."""


def s16(data: bytes) -> bytes:
    return data


def u8(data: bytes) -> bytes:
    out = bytearray(2 * len(data))
    out[1::2] = data.translate(_OFFSET_BINARY)
    return bytes(out)


def s24(data: bytes) -> bytes:
    return _upper_16_bits(data, 3)


def s32(data: bytes) -> bytes:
    return _upper_16_bits(data, 4)


def _upper_16_bits(data: bytes, size: int) -> bytes:
    """Truncate samples of `size` bytes, as libswresample does."""
    out = bytearray(len(data) // size * 2)
    out[0::2] = data[size - 2 :: size]
    out[1::2] = data[size - 1 :: size]
    return bytes(out)


def f32(data: bytes) -> bytes:
    return _floats(data, "<f4")


def f64(data: bytes) -> bytes:
    return _floats(data, "<f8")


def _floats(data: bytes, dtype: str) -> bytes:
    """Convert IEEE floats (±1 is full scale), rounded half to even and clipped."""
    import numpy as np

    scaled = np.frombuffer(data, dtype=dtype).astype(np.float64) * 32768
    whole = np.rint(np.nan_to_num(scaled, copy=False, nan=0, posinf=32767, neginf=-32768))
    return whole.clip(-32768, 32767).astype("<i2").tobytes()


_OFFSET_BINARY = bytes(code ^ 0x80 for code in range(256))
