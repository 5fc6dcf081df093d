"""Times of words, estimated from the phonemes and the sound of a sentence."""

from itertools import accumulate
from typing import TYPE_CHECKING, Any

from voice_cli.backends.base import WordEvent

if TYPE_CHECKING:
    from voice_cli.backends.local.espeak_phonemes import Sentence

QUIET = 0.02
"""The part of the loudest sample below which a sound is silence."""

_VOWELS = frozenset("aeiouyæøœɐɑɒɔəɘɚɛɜɝɞɤɨɪɯɵɶʉʊʌʏᵻ")
_LENGTHS = {**dict.fromkeys("ˈˌ", 0.0), "ː": 0.6, " ": 0.15, **dict.fromkeys(",;:—", 3.0), **dict.fromkeys(".!?", 0.0)}
"""Of symbols, in terms of a vowel; a consonant has 0.8, a combining mark none."""


def estimated_words(sentence: "Sentence", samples: Any, rate: int, begins: float) -> list[WordEvent]:
    """Return the words with their times.

    Args:
        sentence: its phonemes, and where its words begin in them.
        samples: its sound, a sequence of floats.
        rate: hertz.
        begins: where the sound begins in the stream, in seconds.

    """
    import numpy as np

    sound = np.abs(np.asarray(samples, np.float32))
    loud = np.flatnonzero(sound > QUIET * sound.max()) if sound.size else sound
    first, last = (int(loud[0]), int(loud[-1])) if loud.size else (0, len(sound))
    ends = [0.0, *accumulate(map(_length, sentence.ipa))]
    scale = (last - first) / (ends[-1] or 1.0)
    return [
        WordEvent(
            place.start, place.length, round(begins + (first + scale * ends[place.symbol]) / rate, 3), estimated=True
        )
        for place in sentence.places
    ]


def _length(symbol: str) -> float:
    if symbol in _LENGTHS:
        return _LENGTHS[symbol]
    if "\u0300" <= symbol <= "\u036f":
        return 0.0
    return 1.0 if symbol in _VOWELS else 0.8
