"""Text to phonemes, by espeak-ng: the input of Piper's, Kokoro's and Matcha's models.

sherpa-onnx 2 no longer generates them.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

from voice_cli.backends.local.espeak_library import shared_library

ENDS = ".!?"
"""The marks that end a sentence in the models' alphabets."""
PAUSES = ",;:"

_MARKS = {
    **{mark: mark for mark in ENDS + PAUSES},
    **dict(zip("。！？｡।؟", ".!?..?", strict=True)),
    **dict(zip("，；：、،؛—–", ",;:,,;,,", strict=True)),
    "…": ".",
}
_LANGUAGE_SWITCH = re.compile(r"\([a-z-]+\)")
_ABBREVIATION = re.compile(r"\b[b-df-hj-np-tv-xz]{2,4}$", re.IGNORECASE)
"""Dr, Mrs, St, vs: words without a vowel, whose full stop does not end a sentence."""
_IPA = 0x02


_WORD = re.compile(r"\S*\w\S*")
_NEAR = 2
"""Symbols between an estimated start of a word and the start of a phoneme word that it is moved to."""


class Place(NamedTuple):
    """Where a word of the text begins in the phonemes."""

    symbol: int
    """The offset in the sentence's phonemes."""
    start: int
    """The offset in the text."""
    length: int


class Sentence(NamedTuple):
    """A sentence in IPA (NFD, as in Piper's phonemizer), with its punctuation marks."""

    ipa: str
    places: tuple[Place, ...]
    """Its words, in order."""


def phonemes(text: str, voice: str) -> list[str]:
    """Return the text's sentences in IPA. Waits while espeak-ng is in use. Any thread."""
    return [sentence.ipa for sentence in sentences(text, voice)]


def sentences(text: str, voice: str) -> list[Sentence]:
    """Return the text's sentences. Waits while espeak-ng is in use. Any thread."""
    found: list[Sentence] = []
    spoken = read = ""
    places: list[Place] = []
    for clause_phonemes, clause in _whole_words(shared_library().clauses(text, voice, _IPA)):
        ipa = unicodedata.normalize("NFD", _LANGUAGE_SWITCH.sub("", " ".join(clause_phonemes.split())))
        at = max((clause.rfind(letter) for letter in _MARKS), default=-1)
        mark = _MARKS[clause[at]] if at >= 0 else ""
        if mark == "." and _ABBREVIATION.search(read + clause[:at]):
            mark = ""
        if ipa:
            spoken += " " if spoken else ""
            places += [
                Place(len(spoken) + symbol, len(read) + start, length) for symbol, start, length in _places(ipa, clause)
            ]
            spoken += ipa
        read += clause
        if not ipa:
            continue
        if mark in PAUSES:  # the empty string, too: a clause that ends without a mark, or a line
            spoken += mark
        else:
            found.append(Sentence(spoken + mark, tuple(places)))
            spoken, places = "", []
    if spoken:
        found.append(Sentence(spoken.rstrip(PAUSES) + ".", tuple(places)))
    return found


def _whole_words(clauses: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the clauses with whole words: espeak-ng's end after the first letter of the next clause."""
    rest = ""
    for index, (spoken, part) in enumerate(clauses):
        following = clauses[index + 1][1] if index + 1 < len(clauses) else ""
        clause, rest = rest + part, ""
        if clause[-1:].isalnum() and following[:1].isalnum():
            kept = len(clause.rstrip("".join(filter(str.isalnum, clause))))
            clause, rest = clause[:kept], clause[kept:]
        yield spoken, clause


def _places(ipa: str, clause: str) -> list[Place]:
    """Return where the clause's words begin in its phonemes.

    espeak-ng joins some words ("of the"), and makes several of others ("25"). The places are then estimated from the
    letters, and moved to the start of a phoneme word if that is near.
    """
    words = [match.span() for match in _WORD.finditer(clause)]
    starts = [0, *(index + 1 for index, symbol in enumerate(ipa) if symbol == " ")]
    if len(words) != len(starts):
        sizes = [_weight(clause[first:last]) for first, last in words]
        scale = len(ipa) / (sum(sizes) or 1)
        ideal = [scale * each for each in accumulate([0, *sizes])][:-1]
        starts = [_nearest(round(place), starts) for place in ideal]
    return [Place(place, first, last - first) for place, (first, last) in zip(starts, words, strict=True)]


def _weight(word: str) -> float:
    """Return about how many symbols a word is spoken as: a digit is a word."""
    return 1 + sum(4 if letter.isdigit() else 1 for letter in word if letter.isalnum())


def _nearest(place: int, starts: list[int]) -> int:
    after = bisect_right(starts, place)
    near = min(starts[max(0, after - 1) : after + 1], key=lambda start: abs(start - place))
    return near if abs(near - place) <= _NEAR else place


def first_clause(sentence: Sentence, least: int) -> list[Sentence]:
    """Return a sentence in two parts, cut after the first pause that follows `least` symbols; or whole."""
    for index, symbol in enumerate(sentence.ipa):
        if symbol in PAUSES and index >= least and sentence.ipa[index + 1 : index + 2] == " ":
            return _cut(sentence, index + 1)
    return [sentence]


def short_parts(sentence: Sentence, most: int) -> list[Sentence]:
    """Return a sentence in parts of at most `most` symbols, cut between words; a longer word is kept."""
    parts = []
    while len(sentence.ipa) > most:
        at = sentence.ipa.rfind(" ", 1, most + 1)
        at = at if at > 0 else sentence.ipa.find(" ", most)
        if at <= 0:
            break
        part, sentence = _cut(sentence, at)
        parts.append(part)
    return [*parts, sentence]


def _cut(sentence: Sentence, space: int) -> list[Sentence]:
    """Return the parts before and after a space."""
    at = space + 1
    before = tuple(place for place in sentence.places if place.symbol < at)
    after = tuple(place._replace(symbol=place.symbol - at) for place in sentence.places[len(before) :])
    return [Sentence(sentence.ipa[:space], before), Sentence(sentence.ipa[at:], after)]
