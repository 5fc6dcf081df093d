"""A guard for the ears: compressed or encrypted bytes that are taken for s16le are noise at full scale.

Such bytes are nearly independent and evenly distributed. As samples they have a root mean square of 0.58 of full scale,
a kurtosis of 1.8 (normally distributed noise has 3, speech more), hardly any correlation between neighbours, and few
samples at the limits. Speech and music have at most three of the four: loud enough, they are clipped, so that many of
their samples are at the limits. MPEG frames, whose padding is not so even, are found by their headers.
`tests/bench/noise.py` measures it.
"""

import sys
from array import array
from collections.abc import Callable, Iterator
from operator import mul

from voice_cli.audio import FULL_SCALE
from voice_cli.codecs.headers import ADTS_HEADER_BYTES, MPEG_HEADER_BYTES, FrameHeader, adts_header, mpeg_header
from voice_cli.errors import DecodeError, Hint

BLOCK_SAMPLES = 1024
"""Samples that are judged together: 43 ms of 24 kHz mono."""
BLOCKS = 2
"""Blocks that are judged, and then both together."""
MIN_RMS = 0.43
"""Of full scale."""
MAX_KURTOSIS = 2.4
MAX_CORRELATION = 0.2
"""With each of the next `LAGS` frames."""
LAGS = 4
LIMIT = 32_700
MAX_LIMITED = 0.015
"""The share of samples beyond `LIMIT`; even distribution has 0.002."""
MIN_SAMPLES = 256
"""Fewer samples are not judged."""


class NoiseGuard:
    """Judges the first blocks of one stream, and holds them back while they may be noise."""

    def __init__(self, channels: int) -> None:
        self.is_done = False
        """Whether the stream was judged, so that `check` is not needed any more."""
        self._channels = channels
        self._seen = b""
        """What has arrived, up to the last block."""
        self._held = 0
        """Bytes at the end of `_seen` that were not returned."""

    def check(self, pcm: bytes) -> bytes:
        """Return the samples that may be played, including those that were held back.

        Raises:
            DecodeError: the stream is noise.

        """
        block = 2 * BLOCK_SAMPLES
        judged = len(self._seen) // block
        self._seen += pcm
        self._held += len(pcm)
        blocks = [self._seen[n * block : (n + 1) * block] for n in range(judged, min(BLOCKS, len(self._seen) // block))]
        self.is_done = len(self._seen) >= BLOCKS * block
        if self.is_done:
            blocks.append(self._seen[: BLOCKS * block])
        if any(is_noise(samples, self._channels) for samples in blocks) or (self.is_done and has_frames(blocks[-1])):
            self._held = 0
            raise DecodeError(
                "the server sent compressed or encrypted data instead of PCM", hint=Hint("ask for another {format}")
            )
        begun = self._seen[len(self._seen) // block * block :]
        if not self.is_done and is_noise(begun[: len(begun) // 2 * 2], self._channels):
            return b""
        ready, self._held = self._seen[len(self._seen) - self._held :], 0
        return ready

    def finish(self) -> bytes:
        """Return what was held back when the stream ends."""
        return self._seen[len(self._seen) - self._held :]


def is_noise(pcm: bytes, channels: int = 1) -> bool:
    """Return whether s16le is evenly distributed noise at full scale."""
    samples = array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    count = len(samples)
    energy = sum(map(mul, samples, samples))
    if count < MIN_SAMPLES or energy < (MIN_RMS * FULL_SCALE) ** 2 * count:
        return False
    squares = [sample * sample for sample in samples]
    if count * sum(map(mul, squares, squares)) > MAX_KURTOSIS * energy * energy:
        return False
    if sum(not -LIMIT < sample < LIMIT for sample in samples) > MAX_LIMITED * count:
        return False
    lags = range(channels, (LAGS + 1) * channels, channels)
    return all(abs(sum(map(mul, samples, samples[lag:]))) <= MAX_CORRELATION * energy for lag in lags)


def has_frames(data: bytes) -> bool:
    """Return whether three frames of MPEG audio or ADTS follow each other anywhere in `data`."""
    at = data.find(0xFF)
    while at >= 0:
        for read_header, size in ((mpeg_header, MPEG_HEADER_BYTES), (adts_header, ADTS_HEADER_BYTES)):
            keys = list(_keys(data, at, read_header, size))
            if len(keys) == 3 and len(set(keys)) == 1:
                return True
        at = data.find(0xFF, at + 1)
    return False


def _keys(
    data: bytes, at: int, read_header: Callable[[bytes, int], FrameHeader | None], size: int
) -> Iterator[tuple[int, ...]]:
    """Yield the keys of up to three frames in a row, from `at`."""
    for _ in range(3):
        header = read_header(data, at) if at + size <= len(data) else None
        if header is None:
            return
        yield header.key
        at += header.length
