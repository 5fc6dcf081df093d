"""µ-law and A-law (ITU-T G.711): 8 bits a sample, to and from s16le."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from voice_cli.audio import AudioFormat

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FORMAT = AudioFormat(rate=8000, channels=1)
SILENCE = 0xFF
"""The µ-law code of 0."""

_BIAS = 33
_MAX_MAGNITUDE = 8191
"""Of 14 bits, bias included."""


def decode(data: bytes) -> bytes:
    """Return µ-law as s16le. Each byte is a sample, so any cut of the stream is fine."""
    return expand(data, *_tables(_mu_law_sample))


def decode_a_law(data: bytes) -> bytes:
    """Return A-law as s16le."""
    return expand(data, *_tables(_a_law_sample))


def encode(pcm: bytes) -> bytes:
    """Return s16le as µ-law. Imports numpy."""
    import numpy as np

    return np.take(_codes(), np.frombuffer(pcm, "<u2")).tobytes()


def expand(data: bytes, low: bytes, high: bytes) -> bytes:
    """Return 8-bit codes as s16le; `low` and `high` have the two bytes of each code's sample."""
    samples = bytearray(2 * len(data))
    samples[0::2] = data.translate(low)
    samples[1::2] = data.translate(high)
    return bytes(samples)


@cache
def _tables(sample: Callable[[int], int]) -> tuple[bytes, bytes]:
    """Return the low and the high byte of the sample of each code."""
    samples = [sample(code).to_bytes(2, "little", signed=True) for code in range(256)]
    return bytes(s[0] for s in samples), bytes(s[1] for s in samples)


def _mu_law_sample(code: int) -> int:
    """Return the sample of a µ-law code (table 2), scaled to 16 bits."""
    bits = ~code & 0xFF
    magnitude = (2 * (bits & 15) + _BIAS << (bits >> 4 & 7)) - _BIAS << 2
    return -magnitude if bits & 0x80 else magnitude


def _a_law_sample(code: int) -> int:
    """Return the sample of an A-law code (table 1), scaled to 16 bits."""
    bits = code ^ 0x55
    exponent = bits >> 4 & 7
    magnitude = ((bits & 15) << 4) + 8
    if exponent:
        magnitude = magnitude + 0x100 << exponent - 1
    return magnitude if bits & 0x80 else -magnitude


@cache
def _codes() -> "npt.NDArray[np.uint8]":
    """Return the µ-law code of each sample; the index is the sample as an unsigned number.

    The upper 14 bits count (table 2): a sign, the segment of the magnitude, and four bits of its place in the segment,
    all inverted. Rounding is that of Sun's g711.c and Python's `audioop`.
    """
    import numpy as np

    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitudes = np.minimum(np.abs(samples) + _BIAS, _MAX_MAGNITUDE)
    segments = np.floor(np.log2(magnitudes)).astype(np.int32) - 5
    places = magnitudes >> (segments + 1) & 15
    signs = np.where(samples < 0, 0x80, 0)
    codes: npt.NDArray[np.uint8] = (~(signs | segments << 4 | places) & 0xFF).astype(np.uint8)
    return codes
