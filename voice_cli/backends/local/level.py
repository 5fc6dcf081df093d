"""The level of a voice: one gain, so that voices are about as loud as espeak-ng's.

A network speaks as loudly as the recordings that it was trained on. The gain of a voice is measured once, from a fixed
text, and stored in the state file: it is the same for all sentences, and known before the first one is computed.
"""

from collections.abc import Callable
from typing import Any

from voice_cli.state_file import limited, read_section, state_path, update_section

TARGET = -20.0
"""dBFS: the level of espeak-ng's voices and of Kokoro's, within 1 dB."""
MOST = 12.0
"""Decibels: the highest gain, and the lowest one is its negative."""
TEXT = "1 2 3 4 5 6 7 8 9 10"
"""Is spoken for the measurement; espeak-ng reads it in every language. Of the voice joe, its level is within 0.3 dB of
that of long texts."""
KNEE = 0.8
"""Samples above it are compressed, so that none exceeds 1."""

BLOCK_SECONDS = 0.4
GATE = 0.1
"""Blocks whose power is below this part of the mean are pauses (-10 dB, as in EBU R128)."""
MOST_STORED = 256
"""How many gains are stored; the oldest is dropped."""


def stored_gain(name: str, speak: Callable[[], Any], rate: int) -> float:
    """Return the factor for a voice's samples: the stored one, or measure it and store it.

    Args:
        name: identifies the voice, its speaker and its content.
        speak: returns samples of `TEXT`, from -1 to 1.
        rate: hertz.

    """
    path = state_path()
    known = read_section(path, "levels").get(name)
    if known is None:
        known = measured_gain(speak(), rate)

        def store(levels: dict[str, Any]) -> None:
            levels[name] = known
            while len(levels) > MOST_STORED:
                del levels[next(iter(levels))]

        update_section(path, "levels", store)
    return float(10 ** (limited(known, -MOST, MOST) / 20))


def measured_gain(samples: Any, rate: int) -> float:
    """Return the gain in decibels, to a tenth; 0 for silence, and for what is shorter than a block."""
    import numpy as np

    size = round(BLOCK_SECONDS * rate)
    blocks = np.asarray(samples, np.float64)[: len(samples) // size * size].reshape(-1, size)
    powers = (blocks**2).mean(axis=1)
    loud = powers[powers > GATE * powers.mean()] if len(powers) else powers
    if not loud.size:
        return 0.0
    return round(min(max(TARGET - 10 * float(np.log10(loud.mean())), -MOST), MOST), 1)


def levelled(samples: Any, gain: float = 1.0) -> Any:
    """Return the samples with a gain, and without any beyond -1 to 1.

    Each sample is computed by itself: so the result is the same however the speech is cut.
    """
    import numpy as np

    result = np.asarray(samples, np.float32) * np.float32(gain)
    high = np.abs(result)
    above = high > KNEE
    if above.any():
        room = 1 - KNEE
        result[above] = np.copysign(KNEE + room * np.tanh((high[above] - KNEE) / room), result[above])
    return result
