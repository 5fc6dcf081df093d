"""The place in one take of a text that corresponds to the end of another take, which was cut.

1. *Correlation*: if the takes have the same timing (one is a little noisier, or was resampled), the end of the cut take
   is found in the other one by the peak of their normalized cross-correlation, exact to the sample.
2. *Dynamic time warping*: otherwise, frames of 25 ms are compared by the logarithms of their energy in bands, without
   what is constant in a take (its timbre), and the cheapest monotonic path from the start of both takes to the end of
   the cut one ends at the place (H. Sakoe and S. Chiba, "Dynamic programming algorithm optimization for spoken word
   recognition", 1978; with an open end).
3. If the cut take ends in a pause, the place is in the corresponding pause of the other take, as far into it. Otherwise
   it is moved by some milliseconds to where the waveforms agree best.

numpy is imported when a place is needed, which is after a cut only. Samples are mono float32 arrays.
"""

from itertools import pairwise
from typing import Any

from voice_cli.audio import AudioFormat

HOP, WINDOW = 0.01, 0.025
"""Seconds between two frames, and of a frame."""
BANDS, LOWEST, HIGHEST = 20, 100.0, 7000.0
"""Number of bands, and their limits in Hz."""
FLOOR = 1e-5
"""Energy below this part of the highest is silence: -50 dB."""
QUIET = 0.02
"""A frame is quiet if its level is below this part of that of loud frames: -34 dB."""
SHORT_PAUSE = 0.03
"""Seconds: a quiet part at least so long is a pause."""
NEAR_PAUSE = 0.15
"""Seconds by which the place may be moved to a pause."""
TEMPLATE, SEARCHED, ALIKE = 1.5, 0.25, 0.6
"""Seconds of the cut take that are correlated, seconds of offset that are searched, and the least correlation."""
SHORTEST_TEMPLATE = 0.4
NUDGE, NUDGED = 0.01, 0.02
"""Seconds by which the place may be moved to fit the waveform, and seconds of waveform that are compared."""
MARGIN, LONG = 0.4, 1.5
"""Seconds of the other take behind the place, without which it is not certain; and how many times as long as the cut
take the other one must be to be certain in any case."""
RISE, RECENT = 1.25, 50
"""If the cost of the path rises more than this (a factor) in its last frames (a number), the place has not arrived."""
LOUDNESS = 3.0
"""The weight of a frame's level among its bands."""
STAY = 0.02
"""The cost of a frame that has no frame of its own in the other take, besides its distance."""


def find_end(cut: bytes, take: bytes, audio_format: AudioFormat, *, is_whole: bool) -> int | None:
    """Return the frame of `take` that follows the end of `cut`, both s16; None: more of the take is needed.

    `is_whole`: no more of the take will come.
    """
    heard, other = _mono(cut, audio_format.channels), _mono(take, audio_format.channels)
    rate = audio_format.rate
    if not len(other):
        return 0 if is_whole else None
    place = _correlated(heard, other, rate)
    if place is not None:
        return place if is_whole or place <= len(other) else None
    lead, other_lead = _leading_pause(heard, rate), _leading_pause(other, rate)
    if lead >= len(heard):  # nothing was said
        return min(len(heard), other_lead)
    warped, rise = _warped(heard[lead:], other[other_lead:], rate)
    place = other_lead + warped
    is_certain = is_whole or len(other) >= LONG * len(heard) + rate
    if not is_certain and (rise > RISE or place > len(other) - round(MARGIN * rate)):
        return None
    return min(_fitted(heard, other, min(place, len(other)), rate), len(other))


def _mono(data: bytes, channels: int) -> Any:
    import numpy as np

    samples = np.frombuffer(data, "<i2", count=len(data) // (2 * channels) * channels)
    return samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)


def _correlated(heard: Any, other: Any, rate: int) -> int | None:
    """Return the place after the template's best match, if that is one."""
    import numpy as np

    size = min(len(heard), round(TEMPLATE * rate))
    template = heard[-size:]
    if size < SHORTEST_TEMPLATE * rate or _level(template) < 0.3 * _level(heard):
        return None
    first = max(0, len(heard) - size - round(SEARCHED * rate))
    searched = other[first : len(heard) + round(SEARCHED * rate)]
    if len(searched) < size:
        return None
    products = _correlation(searched, template)
    squares = np.concatenate([[0.0], np.cumsum(searched.astype(np.float64) ** 2)])
    energy = np.sqrt(np.maximum(squares[size:] - squares[:-size], 1.0))
    likeness = products / (energy * np.linalg.norm(template.astype(np.float64)) + 1.0)
    best = int(np.argmax(likeness))
    return first + best + size if likeness[best] >= ALIKE else None


def _correlation(searched: Any, template: Any) -> Any:
    """Return the products of the template with each part of `searched`, by FFT."""
    import numpy as np

    size = 1 << (len(searched) + len(template) - 1).bit_length()
    spectrum = np.fft.rfft(searched, size) * np.conj(np.fft.rfft(template, size))
    return np.fft.irfft(spectrum, size)[: len(searched) - len(template) + 1]


def _level(samples: Any) -> float:
    import numpy as np

    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def _levels(samples: Any, rate: int) -> Any:
    """Return the level of each 10 ms."""
    import numpy as np

    hop = round(HOP * rate)
    whole = samples[: len(samples) // hop * hop].reshape(-1, hop)
    return np.sqrt(np.mean(np.square(whole, dtype=np.float64), axis=1))


def _is_quiet(samples: Any, rate: int) -> Any:
    """Return whether each 10 ms is quiet."""
    import numpy as np

    levels = _levels(samples, rate)
    return levels < max(QUIET * float(np.percentile(levels, 90)), 10.0) if len(levels) else np.zeros(0, bool)


def _leading_pause(samples: Any, rate: int) -> int:
    import numpy as np

    loud = np.flatnonzero(~_is_quiet(samples, rate))
    return int(loud[0]) * round(HOP * rate) if len(loud) else len(samples)


def _features(samples: Any, rate: int) -> Any:
    """Return the levels of each frame in the bands, without the mean of the loud frames, and in all of them."""
    import numpy as np

    hop, window = round(HOP * rate), round(WINDOW * rate)
    if len(samples) < window:
        samples = np.pad(samples, (0, window - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.geomspace(LOWEST, min(HIGHEST, 0.45 * rate), BANDS + 1) * window / rate
    centres = np.arange(power.shape[1])
    bands = np.stack(
        [
            power[:, (centres >= np.floor(low)) & (centres < max(np.ceil(high), np.floor(low) + 1))].sum(axis=1)
            for low, high in pairwise(edges)
        ],
        axis=1,
    )
    values = np.log(bands + FLOOR * max(float(bands.max()), 1.0))
    total = bands.sum(axis=1)
    loud = values[total > 1e-3 * total.max()]
    values -= loud.mean(axis=0)
    values /= float(loud.std()) or 1.0
    level = np.log(total + 1e-4 * max(float(total.max()), 1.0))
    level = (level - level.mean()) / (float(level.std()) or 1.0)
    return np.hstack([values, LOUDNESS * level[:, None]])


def _warped(heard: Any, other: Any, rate: int) -> tuple[int, float]:
    """Return the place by dynamic time warping, and how much the cost of the path rises in its last frames."""
    import numpy as np

    a, b = _features(heard, rate), _features(other, rate)
    squares = np.sum(b * b, axis=1)
    costs: Any = None
    spent: list[float] = []
    """The cost of the cheapest path to the end of each row."""
    for row in a:
        distance = np.sqrt(np.maximum(squares - 2.0 * (b @ row) + row @ row, 0.0))
        passed = np.cumsum(distance)
        if costs is None:
            costs = passed
            spent.append(float(costs.min()))
            continue
        # From (i - 1, k) to (i, k + 1), and along the row to (i, j).
        along = np.minimum.accumulate(costs - passed)
        advanced = costs + distance + STAY
        advanced[1:] = np.minimum(advanced[1:], passed[1:] + along[:-1])
        costs = advanced
        spent.append(float(costs.min()))
    recent = min(RECENT, len(spent) // 3)
    rise = 1.0
    if recent:
        before = (spent[-recent] - spent[0]) / max(1, len(spent) - recent - 1)
        rise = (spent[-1] - spent[-recent]) / recent / max(before, 1e-6)
    end = int(np.argmin(costs))
    hop, window = round(HOP * rate), round(WINDOW * rate)
    rest = len(heard) - ((len(a) - 1) * hop + window)  # behind the last frame
    return max(0, end * hop + window + rest), rise


def _fitted(heard: Any, other: Any, place: int, rate: int) -> int:
    """Return the place in a pause if the heard take ends in one, else where the waveforms agree best."""
    import numpy as np

    hop = round(HOP * rate)
    quiet = _is_quiet(heard, rate)
    paused = len(quiet) - (int(np.flatnonzero(~quiet)[-1]) + 1 if (~quiet).any() else 0)
    if paused * HOP >= SHORT_PAUSE:
        pauses = _runs(_is_quiet(other, rate))
        at = place // hop
        near = [(max(first - at, at - last, 0), first, last) for first, last in pauses if last - first > 1]
        if near and min(near)[0] * HOP <= NEAR_PAUSE:
            _, first, last = min(near)
            return min(last, first + paused) * hop
        return place
    size, reach = round(NUDGED * rate), round(NUDGE * rate)
    first = place - size - reach
    searched = other[max(0, first) : place + reach]
    if first < 0 or len(heard) < size or len(searched) < size:
        return place
    products = _correlation(searched, heard[-size:])
    return first + int(np.argmax(products)) + size


def _runs(flags: Any) -> list[tuple[int, int]]:
    """Return where the runs of true values begin and end."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]
