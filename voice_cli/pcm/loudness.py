"""Loudness by ITU-R BS.1770-5: K-weighting, mean square, and two gates, as EBU R128 measures a programme."""

from array import array
from math import log10, pi, tan
from typing import Any

from voice_cli.audio import FULL_SCALE, AudioFormat

STEP_SECONDS = 0.1
"""Seconds from one gating block to the next one: they are 0.4 s long and overlap by 75 %."""
BLOCK_STEPS = 4

ABSOLUTE_GATE = -70.0
"""LUFS."""
RELATIVE_GATE = -10.0
"""LU below the loudness of the blocks above the absolute gate."""

OFFSET = -0.691
"""Of BS.1770: with it, a sine of 997 Hz at 0 dBFS in one channel has -3.01 LKFS."""

_ROW, _ROWS = 64, 32
"""The filter is computed for rows of 64 frames, and 32 of them at a time."""
_BATCH = _ROW * _ROWS


def load() -> None:
    """Import what a `Meter` needs, ahead of it. Any thread."""
    import numpy  # noqa: F401, ICN001


class Meter:
    """Measures the loudness of one stream. The result does not depend on how it is cut. numpy is loaded when made.

    `dual_mono`: measure mono as the two equal channels that it is heard from, which is 3 LU more.
    """

    def __init__(self, audio_format: AudioFormat, *, dual_mono: bool = False) -> None:
        import numpy as np

        self._np = np
        self._channels = audio_format.channels
        self._step_frames = audio_format.frames(STEP_SECONDS)
        self._weights = np.array(_channel_weights(audio_format.channels)) * (
            2.0 if dual_mono and audio_format.channels == 1 else 1.0
        )
        self._filter = _rows(np, *_k_weighting(np, audio_format.rate))
        self._state = np.zeros((audio_format.channels, 4))
        self._received = bytearray()
        self._weighted = np.empty(0)
        """Squares of weighted frames, summed over the channels, that are in no step yet."""
        self._steps = array("d")
        """The mean of each 0.1 s."""
        self._frames = 0

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Measure whole frames."""
        size = 2 * self._channels * _BATCH
        self._frames += len(data) // (2 * self._channels)
        self._received += data
        while len(self._received) >= size:
            batch = self._np.frombuffer(bytes(self._received[:size]), "<i2")
            del self._received[:size]
            self._measure(batch)

    def finish(self) -> None:
        """Measure the frames that do not fill a batch. Nothing may be fed afterwards."""
        whole = self._frames // self._step_frames
        missing = 2 * self._channels * _BATCH - len(self._received)
        self._measure(self._np.frombuffer(bytes(self._received) + bytes(missing), "<i2"))
        self._received.clear()
        del self._steps[whole:]

    def _measure(self, samples: Any) -> None:
        np = self._np
        response, observed, driven, moved = self._filter
        frames = samples.astype(np.float64).reshape(_ROWS, _ROW, self._channels) / FULL_SCALE
        total = np.zeros((_ROWS, _ROW))
        for channel in range(self._channels):
            rows = np.ascontiguousarray(frames[:, :, channel])
            inputs, states, state = rows @ driven, np.empty((_ROWS, 4)), self._state[channel]
            for row in range(_ROWS):
                states[row] = state
                state = moved @ state + inputs[row]
            self._state[channel] = state
            total += self._weights[channel] * (rows @ response + states @ observed) ** 2
        self._weighted = np.concatenate((self._weighted, total.reshape(-1)))
        while len(self._weighted) >= self._step_frames:
            self._steps.append(float(self._weighted[: self._step_frames].mean()))
            self._weighted = self._weighted[self._step_frames :]

    @property
    def seconds(self) -> float:
        """Seconds above both gates."""
        return len(self._gated()) * STEP_SECONDS

    @property
    def integrated(self) -> float | None:
        """LUFS of all that was measured; None: less than 0.4 s were, or nothing is above the gates."""
        blocks = self._gated()
        return _lufs(float(blocks.mean())) if len(blocks) else None

    def _gated(self) -> Any:
        """Return the mean squares of the gating blocks above both gates."""
        np = self._np
        steps = np.array(self._steps)
        if len(steps) < BLOCK_STEPS:
            return steps[:0]
        blocks = np.mean([steps[at : len(steps) - BLOCK_STEPS + 1 + at] for at in range(BLOCK_STEPS)], axis=0)
        blocks = blocks[blocks > _mean_square(ABSOLUTE_GATE)]
        return blocks[blocks > blocks.mean() * 10 ** (RELATIVE_GATE / 10)] if len(blocks) else blocks


def _lufs(mean_square: float) -> float:
    return OFFSET + 10 * log10(mean_square)


def _mean_square(lufs: float) -> float:
    return float(10 ** ((lufs - OFFSET) / 10))


def _channel_weights(channels: int) -> list[float]:
    """Return the weights of BS.1770 table 3: of surround channels 1.41, of the LFE 0, in the order of WAV files."""
    return {5: [1, 1, 1, 1.41, 1.41], 6: [1, 1, 1, 0, 1.41, 1.41]}.get(channels, [1] * channels)


def _k_weighting(np: Any, rate: int) -> tuple[Any, Any, Any, float]:
    """Return the two filters of BS.1770 in series as a state-space model (A, B, C, D).

    The standard has their coefficients at 48 kHz. These are the analogue filters that have them there, by the bilinear
    transform at any rate, as in libebur128 (ebur128.c, `ebur128_init_filter`).
    """
    k, q = tan(pi * 1681.974450955533 / rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = (
        ((high + middle * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - middle * k / q + k * k) / a0),
        (2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0),
    )
    k, q = tan(pi * 38.13547087602444 / rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    highpass = ((1.0, -2.0, 1.0), (2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0))
    (a1, b1, c1, d1), (a2, b2, c2, d2) = (_state_space(np, *biquad) for biquad in (shelf, highpass))
    a = np.block([[a1, np.zeros((2, 2))], [np.outer(b2, c1), a2]])
    return a, np.concatenate((b1, b2 * d1)), np.concatenate((c1 * d2, c2)), d1 * d2


def _state_space(np: Any, b: tuple[float, float, float], a: tuple[float, float]) -> tuple[Any, Any, Any, float]:
    """Return a biquad in transposed direct form II as (A, B, C, D)."""
    return (
        np.array([[-a[0], 1.0], [-a[1], 0.0]]),
        np.array([b[1] - a[0] * b[0], b[2] - a[1] * b[0]]),
        np.array([1.0, 0.0]),
        b[0],
    )


def _rows(np: Any, a: Any, b: Any, c: Any, d: float) -> tuple[Any, Any, Any, Any]:
    """Return the matrices with which a row of frames is filtered at once.

    A row x (a row vector) after the state s has the result `x @ response + s @ observed`, and leaves the state
    `moved @ s + x @ driven`.
    """
    powers = [np.eye(4)]
    for _ in range(_ROW):
        powers.append(a @ powers[-1])
    impulse = np.array([d, *(c @ powers[at] @ b for at in range(_ROW - 1))])
    response = np.zeros((_ROW, _ROW))
    for at in range(_ROW):
        response[at, at:] = impulse[: _ROW - at]
    observed = np.stack([c @ powers[at] for at in range(_ROW)], axis=1)
    driven = np.stack([powers[_ROW - 1 - at] @ b for at in range(_ROW)])
    return response, observed, driven, powers[_ROW]
