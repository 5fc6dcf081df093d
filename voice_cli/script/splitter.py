"""From text that is still arriving to utterances: what is sent to a voice as one piece.

Ours, not a library's, since none does this. Measured on one machine: sentencex 1.0 (Rust, 0.8 ms to import, 4 MB) is
quick and its languages are good, but a sentence is known only when the whole text is; pysbd 0.3.4 (unkept since 2021)
and blingfire (99 MB, wants numpy) likewise; stream2sentence 1.1 takes a stream, but strips white space, joins what
needs no space (Chinese, Hindi) and is quadratic: 0.17 s for 11 KB. None has clauses, bounds or a promise that the
cut of the input does not matter.
"""

from typing import NamedTuple

from voice_cli.script.boundaries import CONTEXT, Boundary, Scanner
from voice_cli.script.characters import SPEAKABLE, cluster_start, weight

__all__ = ["Boundary", "Splitter", "Utterance"]

_PIECE = 4096
"""Characters taken in at a time, so that a book fed whole costs no more memory than one that arrives."""

_FIRST_CLAUSE = 10
"""Letters; a shorter clause ("Well,") is over before its successor can be ready."""
_FIRST_LIMIT = 160
"""Characters; without any mark in so many, the first utterance ends between words."""
_GROWTH = (20, 80, 160)
"""Letters from which the second, the third and the fourth utterance may end with a sentence."""
_LEAST = 16


class Utterance(NamedTuple):
    """What is spoken as one piece, and where it stands in the text."""

    text: str
    """The slice of the input, with its white space. Put together they are the input."""
    spoken: str
    """`text` without white space around it. Empty where the input had white space alone: nothing to say."""
    start: int
    end: int
    """Offsets in characters from the beginning of all input."""


class Splitter:
    """Cuts a text into utterances as it arrives: any cut of the input gives the same ones.

    The first is a clause, so that it is heard early; then come a sentence, several, and several up to some
    `preferred` letters, so that what is synthesised stays ahead of what is heard. A paragraph and an item of a list
    are never joined with another. Where there is no mark to cut at, it is cut between words, or where no word ends,
    between grapheme clusters. At most `max_chars` characters are held, and some 100 that are looked at.

    Not for use by two threads at once.
    """

    def __init__(
        self,
        *,
        max_chars: int = 400,
        preferred: int = 200,
        language: str = "",
        every: Boundary | None = None,
        gathers: bool = True,
    ) -> None:
        """Take the bounds, and the text's language (`de`, `pt-BR`; empty: unknown) for its abbreviations.

        Args:
            max_chars: the most characters that an utterance may have; at least 16.
            preferred: letters from which on an utterance ends with its sentence; a syllable of Chinese, Japanese
                or Korean counts as three. Twice as many characters are the bound where no sentence ends.
            language: the code of a language, of which the first part counts.
            every: an utterance ends wherever the text has such a boundary, or a better one; None: as it is best heard.
            gathers: False: after the first utterance, each sentence is one, as soon as it is certain where it ends.

        Raises:
            ValueError: a bound is too small.

        """
        if max_chars < _LEAST or preferred < 1:
            raise ValueError(f"max_chars must be at least {_LEAST}, preferred at least 1")
        self._scanner = Scanner(language.replace("_", "-").split("-")[0].lower())
        self._preferred = preferred
        self._every = every
        self._gathers = gathers
        self._limit = min(max_chars, max(2 * preferred, _LEAST))
        self._base = 0
        """The offset in all input of the scanner's text."""
        self._start = 0
        """Where the next utterance begins, in the scanner's text."""
        self._marks: list[tuple[int, Boundary]] = []
        """The boundaries after `_start`."""
        self._speakable = False
        """Whether there is anything to say before the last of them."""
        self._count = 0
        """Utterances since the beginning or the last pause."""
        self._finished = False

    def feed(self, text: str) -> list[Utterance]:
        """Take text that has arrived; give the utterances that are complete."""
        if self._finished:
            raise RuntimeError("the splitter is finished")
        given: list[Utterance] = []
        for begin in range(0, len(text), _PIECE):
            self._scanner.text += text[begin : begin + _PIECE] if len(text) > _PIECE else text
            self._advance(given)
        return given

    def pause(self, least: Boundary = Boundary.WORD) -> list[Utterance]:
        """Give what can be spoken now: nothing has come for a while, or the voice is about to run dry.

        It ends at the last boundary that is `least` or better, if white space is taken to follow a mark at the end of
        the text. A word, a number or an abbreviation that may go on stays. The utterances after it grow anew.
        """
        given: list[Utterance] = []
        if self._finished:
            return given
        mark = self._scanner.probe()
        marks = [*self._marks, mark] if mark else self._marks
        ends = [offset for offset, boundary in marks if boundary >= least]
        while ends and self._has_words(ends[-1]):
            if ends[-1] - self._start > self._limit:
                self._cut(given)
                continue
            self._emit(ends[-1], given)
            self._count = 0
            break
        return given

    def finish(self) -> list[Utterance]:
        """Give the rest; no more text may be fed."""
        given: list[Utterance] = []
        if self._finished:
            return given
        self._finished = True
        self._scanner.finish()
        self._advance(given)
        end = len(self._scanner.text)
        while end - self._start > self._bound():
            self._cut(given)
        if end > self._start:
            self._emit(end, given)
        return given

    def _advance(self, given: list[Utterance]) -> None:
        scanner = self._scanner
        while True:
            mark = scanner.next(self._start + self._bound())
            if mark:
                self._weigh(mark, given)
            elif scanner.position > self._start + self._bound():
                self._cut(given)
            else:
                break
        excess = self._start - CONTEXT
        if excess > _PIECE // 4:
            scanner.trim(excess)
            self._base += excess
            self._start -= excess
            self._marks = [(offset - excess, boundary) for offset, boundary in self._marks]

    def _bound(self) -> int:
        return self._limit if self._count or self._every else min(self._limit, _FIRST_LIMIT)

    def _weigh(self, mark: tuple[int, Boundary], given: list[Utterance]) -> None:
        """End the utterance at the boundary, or keep it in mind."""
        offset, boundary = mark
        while offset - self._start > self._bound():
            self._cut(given)
        if offset <= self._start or not self._has_words(offset):
            return
        if boundary >= self._needed(offset):
            self._emit(offset, given)
        else:
            self._marks.append(mark)

    def _has_words(self, offset: int) -> bool:
        if not self._speakable and offset > self._start:
            self._speakable = SPEAKABLE.search(self._scanner.text, self._start, offset) is not None
        return self._speakable

    def _needed(self, offset: int) -> Boundary:
        """Say how good a boundary has to be to end the utterance here."""
        if self._every is not None:
            return self._every
        length = weight(self._scanner.text[self._start : offset].strip())
        if not self._count:
            return Boundary.CLAUSE if length >= _FIRST_CLAUSE else Boundary.SENTENCE
        if not self._gathers:
            return Boundary.SENTENCE
        target = _GROWTH[self._count - 1] if self._count <= len(_GROWTH) else self._preferred
        return Boundary.SENTENCE if length >= min(target, self._preferred) else Boundary.PARAGRAPH

    def _cut(self, given: list[Utterance]) -> None:
        """End the utterance at the best place within its bound."""
        bound = self._start + self._bound()
        early = self._start + self._bound() // 4
        for least in (Boundary.SENTENCE, Boundary.CLAUSE, Boundary.PHRASE, Boundary.WORD):
            fits = [offset for offset, boundary in self._marks if boundary >= least and early <= offset <= bound]
            if fits:
                self._emit(fits[-1], given)
                return
        words = [offset for offset, _ in self._marks if offset <= bound]
        if words:
            self._emit(words[-1], given)
        else:
            self._emit(cluster_start(self._scanner.text, bound, self._start), given)

    def _emit(self, end: int, given: list[Utterance]) -> None:
        text = self._scanner.text[self._start : end]
        spoken = text.strip()
        given.append(Utterance(text, spoken, self._base + self._start, self._base + end))
        self._count += bool(spoken)
        self._start = end
        self._speakable = False
        # What is left is looked at anew: it may end the next utterance, whose needs are others.
        marks, self._marks = self._marks, []
        for mark in marks:
            if mark[0] > end:
                self._weigh(mark, given)
