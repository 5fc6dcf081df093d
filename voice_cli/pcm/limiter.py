"""A gain, with a look-ahead limiter: no sample of the result is above the ceiling.

The stream is divided into blocks of 2.5 ms. The factor is linear inside a block; at the boundary of two blocks it is
low enough for both of them, so a block is returned when the next one is complete: 5 ms of look-ahead at most.
"""

from array import array
from collections.abc import Callable
from math import exp

from voice_cli.audio import FULL_SCALE, AudioFormat
from voice_cli.pcm.convert import amplify

BLOCK_SECONDS = 0.0025

CEILING = int(FULL_SCALE * 10 ** (-1 / 20))
"""The highest sample: -1 dBFS."""

RELEASE_SECONDS = 0.1
"""The time constant with which the gain returns."""


class Limiter:
    """Applies a gain to one stream. The samples do not depend on how it is cut. The duration is kept."""

    def __init__(self, audio_format: AudioFormat, gain_at: Callable[[int], float]) -> None:
        """`gain_at` returns the factor at a frame. It is called once for each block, in order, with its end."""
        self._frames = max(1, audio_format.frames(BLOCK_SECONDS))
        self._channels = audio_format.channels
        self._block_bytes = self._frames * audio_format.frame_bytes
        self._gain_at = gain_at
        self._rest = bytearray()
        self._held = b""
        """The block before those in `_rest`."""
        self._held_limit = 0.0
        """The highest factor that it may have."""
        self._factor = self._gain = gain_at(0)
        """The factor at the start of the held block, and the gain without the limiter there."""
        self._end = 0
        """The frame at its end."""
        self._release = 1 - exp(-self._frames / (RELEASE_SECONDS * audio_format.rate))
        self._run = bytearray()
        """Blocks with the same factor."""

    def process(self, data: bytes) -> bytes:
        """Return the frames that are certain after more whole frames of the stream."""
        self._rest += data
        out = bytearray()
        size = self._block_bytes
        whole = len(self._rest) // size * size
        for at in range(0, whole, size):
            self._push(bytes(self._rest[at : at + size]), out)
        del self._rest[:whole]
        return bytes(out + self._end_run())

    def flush(self) -> bytes:
        """Return all frames that are held back. The stream may go on; the ceiling is kept then, too."""
        out = bytearray()
        if self._rest:
            last = bytes(self._rest)
            self._rest.clear()
            self._push(last, out)
        if self._held:
            self._emit(float("inf"), out)
            self._held = b""
        return bytes(out + self._end_run())

    def _push(self, block: bytes, out: bytearray) -> None:
        """Hold a block, and append the one that was held to `out`."""
        samples = memoryview(block).cast("h")
        highest, lowest = max(samples), min(samples)
        peak = max(highest, -lowest)
        limit = CEILING / peak if peak else float("inf")
        if self._held:
            self._emit(limit, out)
        self._factor = min(self._factor, limit)  # it is lower already, except at the start and after a flush
        self._held, self._held_limit = block, limit

    def _emit(self, next_limit: float, out: bytearray) -> None:
        """Append the held block to `out`; its factor goes to one that the next block may have, too."""
        start = self._factor
        self._end += len(self._held) // (2 * self._channels)
        gain = self._gain_at(self._end)
        share = start / self._gain if self._gain else 1.0
        share += (1 - share) * self._release
        share = 1.0 if share > 0.9999 else share
        self._gain = gain
        self._factor = end = min(gain * share, self._held_limit, next_limit)
        if start == end:
            self._run += self._held
            return
        out += self._end_run(start)
        out += _ramp(self._held, self._channels, start, end)

    def _end_run(self, factor: float | None = None) -> bytes:
        """Return the blocks with the same factor, which is that of now, unless it has changed."""
        if not self._run:
            return b""
        data = bytes(amplify(bytes(self._run), self._factor if factor is None else factor))
        self._run.clear()
        return data


def _ramp(data: bytes, channels: int, start: float, end: float) -> bytes:
    """Return frames with a factor that goes from `start` to `end`, which is that of the frame after them."""
    samples = memoryview(data).cast("h")
    frames = len(samples) // channels
    step = (end - start) / frames
    factors = [start + step * frame for frame in range(frames) for _ in range(channels)]
    return array("h", [round(sample * factor) for sample, factor in zip(samples, factors, strict=True)]).tobytes()
