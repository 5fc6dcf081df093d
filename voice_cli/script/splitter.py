"""From text that is still arriving to utterances: the pieces that are synthesized one by one.

Why not a library: sentencex 1.0, pysbd 0.3.4 and blingfire know a sentence only when the whole text is there;
stream2sentence 1.1 accepts a stream, but strips white space, joins what needs no space (Chinese, Hindi) and takes
quadratic time. None finds clauses, bounds an utterance, or gives the same result for every cut of the input.
"""

from voice_cli.script.boundaries import Scanner
from voice_cli.script.characters import SPEAKABLE, cluster_start, weight
from voice_cli.script.ends import CONTEXT, Boundary

__all__ = ["Boundary", "Splitter"]

_PIECE = 4096
"""Characters scanned at a time, so that a book fed whole takes no more memory than one that arrives."""

_MIN_CHARS = 16
_FIRST_CLAUSE = 10
"""Letters; a shorter first clause ("Well,") would end before the next utterance is ready."""
_FIRST_LIMIT = 160
"""Characters of the first utterance; without a mark, it ends between words."""
_GROWTH = (20, 80, 160)
"""Letters from which the second, third and fourth utterance end with their sentence."""
_PREFERRED = 200
"""Letters from which any later utterance ends with its sentence."""


class Splitter:
    """Splits a text into utterances as it arrives: any cut of the input gives the same ones.

    Joined, the utterances are the input. The first is a clause, so that it is heard early. The next is a sentence, and
    later ones are several, so that synthesis stays ahead of playback. A paragraph or a list item is never joined with
    another. Without a mark, the cut is between words; without a space, between grapheme clusters. At most `max_chars`
    characters and some look-ahead are buffered.

    Not thread-safe.
    """

    def __init__(
        self, *, max_chars: int = 400, language: str = "", every: Boundary | None = None, join_sentences: bool = True
    ) -> None:
        """Make a splitter for one text.

        Args:
            max_chars: the most characters of an utterance, at least 16.
            language: a code (`de`, `pt-BR`) whose first part selects the abbreviations; empty: unknown.
            every: end an utterance at each boundary that is this good or better.
            join_sentences: whether an utterance after the first may have several sentences.

        Raises:
            ValueError: `max_chars` is below 16.

        """
        if max_chars < _MIN_CHARS:
            raise ValueError(f"max_chars must be at least {_MIN_CHARS}, not {max_chars}")
        self._scanner = Scanner(language.replace("_", "-").split("-")[0].lower())
        self._every = every
        self._join_sentences = join_sentences
        self._limit = max_chars
        self._start = 0
        """Start of the next utterance, in the scanner's text."""
        self._marks: list[tuple[int, Boundary]] = []
        """The boundaries after `_start`."""
        self._count = 0
        """Utterances since the start or the last pause."""
        self._ready: list[str] = []

    def feed(self, text: str) -> list[str]:
        """Return the utterances that are complete."""
        for begin in range(0, len(text), _PIECE):
            self._scanner.text += text[begin : begin + _PIECE] if len(text) > _PIECE else text
            self._advance()
        return self._take()

    def pause(self) -> list[str]:
        """Return what can be spoken now: no text came for a while.

        It ends at the last boundary, as if white space followed. A word, number or abbreviation that may continue is
        kept. The next utterance counts as the first.
        """
        mark = self._scanner.probe()
        marks = [*self._marks, mark] if mark else self._marks
        ends = [offset for offset, boundary in marks if boundary >= (self._every or Boundary.WORD)]
        while ends and self._has_words(ends[-1]):
            if ends[-1] - self._start > self._limit:
                self._cut()
                continue
            self._emit(ends[-1])
            self._count = 0
            break
        return self._take()

    def finish(self) -> list[str]:
        """Return the rest; no more text may be fed."""
        self._scanner.final = True
        self._advance()
        end = len(self._scanner.text)
        while end - self._start > self._bound():
            self._cut()
        if end > self._start:
            self._emit(end)
        return self._take()

    def _take(self) -> list[str]:
        ready, self._ready = self._ready, []
        return ready

    def _advance(self) -> None:
        scanner = self._scanner
        while True:
            mark = scanner.next(self._start + self._bound())
            if mark:
                self._add(mark)
            elif scanner.position > self._start + self._bound():
                self._cut()
            else:
                break
        excess = self._start - CONTEXT
        if excess > _PIECE // 4:
            scanner.trim(excess)
            self._start -= excess
            self._marks = [(offset - excess, boundary) for offset, boundary in self._marks]

    def _bound(self) -> int:
        return self._limit if self._count or self._every else min(self._limit, _FIRST_LIMIT)

    def _add(self, mark: tuple[int, Boundary]) -> None:
        """End the utterance at the boundary if it is good enough, otherwise remember it."""
        offset, boundary = mark
        while offset - self._start > self._bound():
            self._cut()
        if not self._has_words(offset):
            return
        if boundary >= self._needed(offset):
            self._emit(offset)
        else:
            self._marks.append(mark)

    def _has_words(self, offset: int) -> bool:
        return SPEAKABLE.search(self._scanner.text, self._start, offset) is not None

    def _needed(self, offset: int) -> Boundary:
        """Return how good a boundary at this offset must be to end the utterance."""
        if self._every is not None:
            return self._every
        length = weight(self._scanner.text[self._start : offset].strip())
        if not self._count:
            return Boundary.CLAUSE if length >= _FIRST_CLAUSE else Boundary.SENTENCE
        if not self._join_sentences:
            return Boundary.SENTENCE
        target = _GROWTH[self._count - 1] if self._count <= len(_GROWTH) else _PREFERRED
        return Boundary.SENTENCE if length >= target else Boundary.PARAGRAPH

    def _cut(self) -> None:
        """End the utterance at the best place within its bound, after the first quarter if possible."""
        bound = self._start + self._bound()
        early = self._start + self._bound() // 4
        places = [(boundary if offset >= early else 0, offset) for offset, boundary in self._marks if offset <= bound]
        self._emit(max(places)[1] if places else cluster_start(self._scanner.text, bound, self._start))

    def _emit(self, end: int) -> None:
        utterance = self._scanner.text[self._start : end]
        self._ready.append(utterance)
        self._count += not utterance.isspace()
        self._start = end
        # The remaining boundaries may end the next utterance, which has other needs.
        marks, self._marks = self._marks, []
        for mark in marks:
            if mark[0] > end:
                self._add(mark)
