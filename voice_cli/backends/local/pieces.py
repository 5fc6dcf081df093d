"""Cut sentences for an engine that is not much faster than speech: a few words first, then longer pieces."""

import time
from collections.abc import Iterator

from voice_cli.backends.local.espeak_phonemes import PAUSES, Sentence, short_parts

SYMBOLS_A_SECOND = 14.0
"""Phonemes, with spaces, in a second of speech."""
RESERVE = 0.75
"""The part of the buffered speech that the next piece may take to compute."""


class Pieces:
    """Cuts sentences into pieces, each as long as the engine can compute while the ones before are played."""

    def __init__(self, sentences: list[Sentence], *, rate: float, first: int, most: int) -> None:
        """Set the sentences.

        Args:
            sentences: what is spoken.
            rate: seconds of computing for a second of speech, as measured before.
            first: symbols of the first piece.
            most: symbols of the longest one.

        """
        self.rate = rate
        self._sentences = sentences
        self._first = first
        self._most = most
        self._began: float | None = None
        self._seconds = 0.0

    def computed(self, seconds: float, took: float) -> None:
        """Note that a piece of so many seconds took so long; the first one begins to play now."""
        if self._began is None:
            self._began = time.monotonic()
        self._seconds += seconds
        if seconds > 0:
            self.rate = 0.5 * self.rate + 0.5 * took / seconds

    def _limit(self) -> int:
        """Return the symbols that the next piece may have."""
        if self._began is None:
            return self._first
        buffered = self._began + self._seconds - time.monotonic()
        affordable = SYMBOLS_A_SECOND * RESERVE * buffered / max(self.rate, 0.01)
        return int(min(max(affordable, self._first), self._most))

    def __iter__(self) -> Iterator[tuple[Sentence, bool]]:
        """Yield the pieces, each with whether it ends a sentence."""
        for sentence in self._sentences:
            rest: Sentence | None = sentence
            while rest is not None:
                piece, rest = _cut(rest, self._limit())
                yield piece, rest is None


def _cut(sentence: Sentence, limit: int) -> tuple[Sentence, Sentence | None]:
    """Return a piece of about `limit` symbols and the rest: cut at the last pause in it, else between words."""
    if len(sentence.ipa) <= 1.3 * limit:  # no short rest
        return sentence, None
    pause = max(sentence.ipa.rfind(f"{mark} ", limit // 2, int(1.3 * limit)) for mark in PAUSES)
    parts = short_parts(sentence, pause + 1 if pause >= 0 else limit)
    if len(parts) == 1:
        return sentence, None
    size = len(parts[0].ipa) + 1
    later = tuple(place for place in sentence.places if place.symbol >= size)
    rest = Sentence(sentence.ipa[size:], tuple(place._replace(symbol=place.symbol - size) for place in later))
    return parts[0], rest
