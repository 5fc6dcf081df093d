"""What the device's format and the person's volume ask of the samples; most often nothing."""

from typing import Any

from voice_cli.audio import FULL_SCALE, AudioFormat

_FILTER_SECONDS = 0.02
"""More than libswresample's filter is long: 32 samples of the lower rate."""


class Converter:
    """PCM of one format to PCM of another, as one stateful stream: how it is cut makes no difference to a sample.

    It lasts as long as before, to the frame. libswresample (PyAV) does rate and channels, 116 dB clean; it is loaded
    only where they differ.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source = source
        self.target = target
        self._resampler: Any = None
        self._taken = 0
        self._given = 0
        if source != target:
            import av

            self._av = av
            self._resampler = av.AudioResampler("s16", _layout(target.channels), target.rate)

    def convert(self, data: bytes) -> bytes:
        """Take whole frames of the source and give the target's frames that are now certain."""
        if self._resampler is None or not data:
            return data
        self._taken += len(data) // self.source.frame_bytes
        converted = self._push(data)
        self._given += len(converted) // self.target.frame_bytes
        return converted

    def flush(self) -> bytes:
        """Give the frames that the resampler's filter still holds; the stream is over."""
        if not self._taken:
            return b""
        # Left to itself, libswresample gives nothing of what is shorter than its filter, and a frame more or less else.
        silence = bytes(self.source.frames(_FILTER_SECONDS) * self.source.frame_bytes)
        rest = self._push(silence) + self._bytes(self._resampler.resample(None))
        due = round(self._taken * self.target.rate / self.source.rate) - self._given
        return rest[: due * self.target.frame_bytes]

    def _push(self, data: bytes) -> bytes:
        frame = self._av.AudioFrame(
            format="s16", layout=_layout(self.source.channels), samples=len(data) // self.source.frame_bytes
        )
        frame.sample_rate = self.source.rate
        frame.planes[0].update(data.ljust(frame.planes[0].buffer_size, b"\0"))
        return self._bytes(self._resampler.resample(frame))

    def _bytes(self, frames: list[Any]) -> bytes:
        size = self.target.frame_bytes
        return b"".join(bytes(frame.planes[0])[: frame.samples * size] for frame in frames)


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")


def amplify(data: bytes, gain: float) -> bytes:
    """Scale samples by a factor, clipped at full scale."""
    if gain == 1:
        return data
    import numpy as np

    scaled = np.rint(np.frombuffer(data, "<i2") * np.float32(gain))
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()
