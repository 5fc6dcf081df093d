"""What a mark that may end a sentence is worth, by what stands before and after it."""

import re
from enum import IntEnum

from voice_cli.script.abbreviations import (
    Point,
    begins_pair,
    begins_sentence,
    follows_ordinal,
    may_be_ordinal,
    point_after,
)
from voice_cli.script.characters import CLOSERS, HARD, HARD_COMMAS, OPENERS, QUOTES_STRAIGHT, is_wide


class Boundary(IntEnum):
    """How good a cut is here, from bad to best."""

    WORD = 1
    """Between words."""
    PHRASE = 2
    """At a comma within brackets, a hyphen between spaces."""
    CLAUSE = 3
    SENTENCE = 4
    PARAGRAPH = 5
    """Or an item of a list. Never inside an utterance."""


CONTEXT = 64
"""Characters that stay before the oldest offset of interest, to look back at."""

_SPACES = 64
_CLOSING = 8
_WORD = 40
_LETTERS = 24
"""How far a decision looks, in characters."""

_NEXT_WORD = re.compile(rf"[^\W\d_]{{1,{_LETTERS}}}")
_ROMAN = re.compile(r"[IVXLCM]+\Z")
_INTEGER = re.compile(r"\d{1,4}\Z")
_NOT_PLAIN = re.compile(r"[\d@/\\.:=_<>|{}&%#$^+~]")
"""What makes a token more than words: an address, a name of a file, code, a number."""
_WORD_BREAKS = frozenset("—–,;:/…" + OPENERS + CLOSERS + '"*_~=|<>') - {"’"}
_BEFORE_NEXT = frozenset(OPENERS + QUOTES_STRAIGHT + "*_~")


class EndRater:
    """Rates end marks in `text`. Its methods give None where that takes more text."""

    def __init__(self, language: str) -> None:
        self.text = ""
        self._language = language
        self._final = False
        self._token = 0
        """Where the run without white space began."""
        self._begins_line = True
        """Whether that run is the first of its line."""
        self._glue = -1
        """Where white space is no break, after an abbreviation."""

    def rate(self, at: int, end: int, close: int) -> int | None:
        """Say what the end mark at `at` to `end`, with closing marks to `close`, is worth; 0: nothing."""
        text = self.text
        marks = text[at:end]
        before = text[at - 1] if at else " "
        after = text[close] if close < len(text) else " "
        if not HARD.isdisjoint(marks):
            if before.isdigit() and after.isdigit():
                return 0
            inside = close > end and ("\u3041" <= after <= "\u309f" or after in HARD_COMMAS)
            return Boundary.PHRASE if inside else Boundary.SENTENCE
        if not after.isspace():
            if close > end and "\uac00" <= after <= "\ud7a3":
                return 0  # a particle: what is quoted goes on as a part of the sentence
            return self._rate_unspaced(at, marks, before, after)
        dots = all(mark in ".…‥․" for mark in marks)
        if dots and len(marks) == 1 and marks in ".․":
            return self._rate_point(at, close)
        if not dots and close == end:
            return Boundary.SENTENCE
        return self._rate_by_next(close, Boundary.CLAUSE)

    def _rate_unspaced(self, at: int, marks: str, before: str, after: str) -> int:
        if is_wide(before) or (is_wide(after) and not before.isdigit()):
            return Boundary.SENTENCE
        if not self._is_plain(at):
            return 0
        if after in "“„«「『¿¡":
            return Boundary.SENTENCE
        if "." in marks or "…" in marks:
            return 0
        return Boundary.SENTENCE if after.isalpha() and not after.islower() else 0

    def _rate_by_next(self, close: int, otherwise: int) -> int | None:
        """Rate an end after which a word in lower case goes on with the sentence."""
        first = self._peek(close)
        if first is None:
            return None
        return otherwise if first[0].islower() else Boundary.SENTENCE

    def _rate_point(self, at: int, close: int) -> int | None:
        text = self.text
        start = at
        low = max(self._token, at - _WORD)
        while start > low and text[start - 1] not in _WORD_BREAKS:
            start -= 1
        word = text[start:at].strip("'’-")
        if not word:
            return Boundary.SENTENCE
        if word[-1].isdigit():
            return self._rate_number(word, start, close)
        joined = self._joined(start, word, close)
        if joined is None:
            return None
        point, glued = joined
        if point is None:
            return Boundary.SENTENCE if close == at + 1 else self._rate_by_next(close, Boundary.CLAUSE)
        if point is Point.NEVER or glued:
            self._glue = close
            return 0
        peeked = self._peek(close)
        if peeked is None:
            return None
        first, index = peeked
        if first == "\n":
            return Boundary.SENTENCE
        if point is Point.BEFORE_LOWER:
            return 0 if first.islower() or first.isdigit() or first in ",;:" else Boundary.SENTENCE
        following = self._peek_word(index)
        if following is None:
            return None
        if point is Point.BEFORE_NAMES and (first.islower() or first.isdigit()):
            return 0
        if point is Point.NUMERIC:
            if first.isdigit() or first.islower() or _ROMAN.match(following):
                self._glue = close
                return 0
            return Boundary.SENTENCE
        if following and begins_sentence(following, self._language):
            return Boundary.SENTENCE
        if len(word) == 1 and following:
            self._glue = close  # J. Smith
        return 0 if following else Boundary.SENTENCE

    def _joined(self, start: int, word: str, close: int) -> tuple[Point | None, bool] | None:
        """Look the word up, alone and with its neighbours (`z. B.`); True: the next one belongs to it."""
        text = self.text
        if begins_pair(word, self._language):
            peeked = self._peek(close)
            if peeked is None:
                return None
            following = self._peek_word(peeked[1])
            if following is None:
                return None
            after = peeked[1] + len(following)
            if following and len(following) <= 4 and text[after : after + 1] == ".":
                both = point_after(f"{word}.{following}", self._language)
                # Only what a table knows: every two initials look like it.
                if both and (both is not Point.BEFORE_NAMES or not word.isupper() or len(word) > 1):
                    return both, True
        if len(word) <= 4:
            whole = word
            for _ in range(2):
                end = start
                while end and text[end - 1].isspace() and start - end < 2:
                    end -= 1
                if end == start or not end or text[end - 1] != ".":
                    break
                start = end - 1
                while start and end - start < 6 and not text[start - 1].isspace() and text[start - 1] not in OPENERS:
                    start -= 1
                whole = text[start:end] + whole
                point = point_after(whole, self._language)
                if point is not None:
                    return point, False
        return point_after(word, self._language), False

    def _rate_number(self, word: str, start: int, close: int) -> int | None:
        if not _INTEGER.match(word):
            return self._rate_by_next(close, 0)
        if self._begins_line and start == self._token:
            self._glue = close  # the number of a list's item
            return 0
        peeked = self._peek(close)
        if peeked is None:
            return None
        first, index = peeked
        if first.islower() or first.isdigit():
            self._glue = close
            return 0
        if first.isupper() and may_be_ordinal(self._language):
            following = self._peek_word(index)
            if following is None:
                return None
            if follows_ordinal(following, self._language):
                self._glue = close
                return 0
        return Boundary.SENTENCE

    def _is_plain(self, at: int) -> bool:
        """Tell whether the run of characters before `at` is words, not an address or a number."""
        return _NOT_PLAIN.search(self.text, max(self._token, at - CONTEXT), at) is None

    def _peek(self, at: int) -> tuple[str, int] | None:
        """Give the first character of the next word after `at`, and its offset; a line's end for none there."""
        text = self.text
        index, bound = at, at + _SPACES
        lines = 0
        while index < len(text) and index < bound and text[index].isspace():
            lines += text[index] == "\n"
            index += 1
            if lines > 1:
                return "\n", index
        if index == bound:
            return "\n", index
        bound = index + _CLOSING
        while index < len(text) and index < bound and text[index] in _BEFORE_NEXT:
            index += 1
        if index == len(text):
            return ("\n", index) if self._final else None
        return text[index], index

    def _peek_word(self, at: int) -> str | None:
        """Give the word at `at`, of which no more than a bound; empty where none is."""
        match = _NEXT_WORD.match(self.text, at)
        if match is None:
            return ""
        if match.end() == len(self.text) and not self._final and match.end() - at < _LETTERS:
            return None
        return match.group()
