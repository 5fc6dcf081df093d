"""A pull for a device in another format than that of the speech."""

from voice_cli.audio import AudioFormat
from voice_cli.pcm.convert import Converter
from voice_cli.playback.sinks.base import Pull

BLOCK_SECONDS = 0.005
"""Seconds of the source to convert at a time."""


class ConvertedPull:
    """Pulls from a source in one format, for a device that has another one. Its conversion keeps its state.

    Only a device that replaces another one in the middle of a speech needs it; otherwise the pump converts.
    """

    def __init__(self, pull: Pull, source: AudioFormat, target: AudioFormat) -> None:
        """Load the converter, which takes some 100 ms."""
        self._pull = pull
        self._block = memoryview(bytearray(source.frames(BLOCK_SECONDS) * source.frame_bytes))
        self._byte_rate = target.rate * target.frame_bytes
        self._converter = Converter(source, target)
        self._converted = b""
        self._last = b""
        self._underflow = False

    def __call__(self, out: memoryview, dac_time: float, underflow: bool = False, discarded: bool = False) -> None:
        """Fill `out`, as `SinkSource.pull`."""
        self._underflow |= underflow
        if discarded:
            self._converted = self._last + self._converted
        while len(self._converted) < len(out):
            self._pull(self._block, dac_time + len(self._converted) / self._byte_rate, self._underflow, False)
            self._converted += self._converter.convert(bytes(self._block))
            self._underflow = False
        out[:] = self._last = self._converted[: len(out)]
        self._converted = self._converted[len(out) :]
