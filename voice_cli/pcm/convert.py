"""Conversion of rate and channels, and volume."""

import sys
from typing import Any

from voice_cli.audio import FULL_SCALE, AudioFormat
from voice_cli.pcm.av_libraries import preload

_FILTER_SECONDS = 0.02
"""Longer than libswresample's filter: 32 samples of the lower rate."""

_FEW_BYTES = 1 << 16
"""PCM up to this size is amplified without numpy: that takes some 5 ms, and importing numpy 100 ms."""


class Converter:
    """Converts one stream from a format to another; the samples do not depend on how it is cut.

    The duration is kept to the frame. libswresample (PyAV; 116 dB signal-to-noise ratio) is loaded only if the rates
    differ, or several channels become fewer. Mono becomes several equal channels, where libswresample would lower the
    level by 3 dB.
    """

    def __init__(self, source: AudioFormat, target: AudioFormat) -> None:
        self.source = source
        self.target = target
        self._resampler: Any = None
        self._received = 0
        """Frames of the source."""
        self._returned = 0
        """Frames of the target."""
        self._copies = target.channels if source.channels == 1 else 1
        """Channels of the target for each one that is resampled."""
        self._resampled = AudioFormat(target.rate, target.channels // self._copies)
        if source != self._resampled:
            preload()
            import av

            self._resampler = av.AudioResampler("s16", layout_of(self._resampled.channels), target.rate)

    def convert(self, data: bytes) -> bytes:
        """Convert whole frames of the source and return the target's frames that are complete."""
        if not data:
            return data
        if self._resampler is None:
            return repeated(data, self._copies)
        self._received += len(data) // self.source.frame_bytes
        converted = self._resample(data)
        self._returned += len(converted) // self._resampled.frame_bytes
        return repeated(converted, self._copies)

    def flush(self) -> bytes:
        """End the stream and return the frames that the resampler's filter still holds."""
        if not self._received:
            return b""
        # Flushed alone, libswresample returns nothing of a stream shorter than its filter, else a frame more or less.
        silence = bytes(self.source.frames(_FILTER_SECONDS) * self.source.frame_bytes)
        rest = self._resample(silence) + self._resample(None)
        due = round(self._received * self.target.rate / self.source.rate) - self._returned
        return repeated(rest[: due * self._resampled.frame_bytes], self._copies)

    def _resample(self, data: bytes | None) -> bytes:
        frame = to_av(data, self.source) if data is not None else None
        return b"".join(from_av(out, self._resampled) for out in self._resampler.resample(frame))


def repeated(data: bytes, copies: int) -> bytes:
    """Return mono samples with that many equal channels."""
    if copies == 1:
        return data
    from array import array

    samples = array("h", data)
    frames = array("h", bytes(len(data) * copies))
    for channel in range(copies):
        frames[channel::copies] = samples
    return frames.tobytes()


def to_av(data: bytes, audio_format: AudioFormat) -> Any:
    """Return whole frames of PCM as PyAV's AudioFrame."""
    import av

    frame = av.AudioFrame("s16", layout_of(audio_format.channels), len(data) // audio_format.frame_bytes)
    frame.sample_rate = audio_format.rate
    frame.planes[0].update(data.ljust(frame.planes[0].buffer_size, b"\0"))
    return frame


def from_av(frame: Any, audio_format: AudioFormat) -> bytes:
    """Return the PCM of PyAV's AudioFrame, whose plane ends in padding."""
    return bytes(frame.planes[0])[: frame.samples * audio_format.frame_bytes]


def layout_of(channels: int) -> str:
    """Return libavutil's name of a channel layout."""
    return {1: "mono", 2: "stereo"}.get(channels, f"{channels}c")


def amplify(data: bytes | memoryview, gain: float) -> bytes | memoryview:
    """Scale samples by a factor, rounded to the nearest (halves to even), clipped at full scale."""
    if gain == 1:
        return data
    if len(data) <= _FEW_BYTES and "numpy" not in sys.modules:
        from array import array

        samples = [round(sample * gain) for sample in memoryview(data).cast("B").cast("h")]
        if gain > 1 and samples and not -FULL_SCALE <= min(samples) <= max(samples) < FULL_SCALE:
            samples = [min(FULL_SCALE - 1, max(-FULL_SCALE, sample)) for sample in samples]
        return array("h", samples).tobytes()
    import numpy as np

    scaled = np.rint(np.frombuffer(data, "<i2") * np.float64(gain))
    return np.clip(scaled, -FULL_SCALE, FULL_SCALE - 1).astype("<i2").tobytes()
