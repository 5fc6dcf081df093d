"""µ-law (ITU-T G.711), as telephones speak it: 8000 Hz, mono, a byte a sample, no header."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.encoders.converting import ConvertingEncoder
from voice_cli.errors import UsageError

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT = AudioFormat(8_000, 1)
CONTENT_TYPE = "audio/basic"
"""RFC 2046 section 4.3: 8-bit µ-law, one channel, 8000 Hz."""

_BIAS = 33
_MOST = 8191
"""The largest magnitude of 14 bits, with the bias."""


class MulawEncoder(ConvertingEncoder):
    """Stateful over the stream: what comes in pieces is, byte for byte, what the whole would be."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        """Take PCM of any rate.

        Raises:
            UsageError: `rate` is another than 8000.

        """
        if rate not in (None, FORMAT.rate):
            raise UsageError(f"mulaw is {FORMAT.rate} Hz, not {rate}")
        super().__init__(source, Encoding("mulaw", FORMAT), FORMAT, content_type=CONTENT_TYPE)
        self._codes = _codes()

    def _encoded(self, pcm: bytes) -> bytes:
        return np.take(self._codes, np.frombuffer(pcm, "<u2")).tobytes()


@cache
def _codes() -> "npt.NDArray[np.uint8]":
    """Give the code of each sample, which is its index as an unsigned number.

    The upper 14 bits count (G.711 table 2): a sign, the number of the segment that the magnitude lies in, four bits of
    its place there, all inverted. Rounding is that of Sun's g711.c, and so of Python's `audioop`.
    """
    samples = np.arange(1 << 16, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitudes = np.minimum(np.abs(samples) + _BIAS, _MOST)
    segments = np.floor(np.log2(magnitudes)).astype(np.int32) - 5
    places = magnitudes >> (segments + 1) & 15
    signs = np.where(samples < 0, 0x80, 0)
    codes: npt.NDArray[np.uint8] = (~(signs | segments << 4 | places) & 0xFF).astype(np.uint8)
    return codes
