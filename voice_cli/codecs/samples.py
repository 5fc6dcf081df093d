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
    """Keep the upper 16 bits; truncated, as libswresample does."""
    out = bytearray(len(data) // 3 * 2)
    out[0::2] = data[1::3]
    out[1::2] = data[2::3]
    return bytes(out)


def s32(data: bytes) -> bytes:
    """Keep the upper 16 bits; truncated, as libswresample does."""
    out = bytearray(len(data) // 2)
    out[0::2] = data[2::4]
    out[1::2] = data[3::4]
    return bytes(out)


def floats(dtype: str) -> Converter:
    """Return the converter of IEEE floats (±1 is full scale), rounded half to even and clipped.

    `dtype` is numpy's name of the type. Imports numpy.
    """
    import numpy as np

    def convert(data: bytes) -> bytes:
        scaled = np.frombuffer(data, dtype=dtype).astype(np.float64) * 32768
        whole = np.rint(np.nan_to_num(scaled, copy=False, nan=0, posinf=32767, neginf=-32768))
        return whole.clip(-32768, 32767).astype("<i2").tobytes()

    return convert


_OFFSET_BINARY = bytes(code ^ 0x80 for code in range(256))
