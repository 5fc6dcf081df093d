"""Ratings of the marks that may end a sentence, by the text before and after them."""

import re
from collections.abc import Container
from enum import IntEnum

from voice_cli.script import abbreviations
from voice_cli.script.abbreviations import Point
from voice_cli.script.characters import CLOSERS, HARD, HARD_COMMAS, OPENERS, QUOTES_STRAIGHT, is_wide
from voice_cli.script.incomplete import IncompleteTextError


class Boundary(IntEnum):
    """How good a place is for a cut, from worst to best."""

    WORD = 1
    """Between words."""
    PHRASE = 2
    """At a comma within brackets, or a hyphen between spaces."""
    CLAUSE = 3
    SENTENCE = 4
    PARAGRAPH = 5
    """Or a list item. Never inside an utterance."""


CONTEXT = 64
"""Characters kept before the oldest offset of interest, for decisions that look back."""

SPACES = 64
CLOSING = 8
_WORD = 40
_LETTERS = 24
"""How far a decision looks, in characters."""

_NEXT_WORD = re.compile(rf"[^\W\d_]{{1,{_LETTERS}}}")
_ROMAN = re.compile(r"[IVXLCM]+\Z")
_INTEGER = re.compile(r"\d{1,4}\Z")
_NOT_PLAIN = re.compile(r"[\d@/\\.:=_<>|{}&%#$^+~]")
"""Marks of addresses, file names, code and numbers."""
_WORD_BREAKS = frozenset("—–,;:/…" + OPENERS + CLOSERS + '"*_~=|<>') - {"’"}
_BEFORE_NEXT = frozenset(OPENERS + QUOTES_STRAIGHT + "*_~")


class EndRater:
    """Rates the end marks in `text`. Its methods raise IncompleteTextError if a decision needs more text."""

    def __init__(self, language: str) -> None:
        self.text = ""
        self.final = False
        """Whether no more text follows."""
        self._language = language
        self._token = 0
        """Start of the run without white space."""
        self._begins_line = True
        """Whether that run is the first of its line."""
        self._glue = -1
        """Offset of white space after an abbreviation, which is no break."""

    def rate(self, at: int, end: int, close: int) -> int:
        """Return the boundary of the end mark from `at` to `end`, with closing marks up to `close`; 0: none."""
        text = self.text
        marks = text[at:end]
        before = text[at - 1] if at else " "
        after = self._char(close)
        if not HARD.isdisjoint(marks):
            if before.isdigit() and after.isdigit():
                return 0
            inside = close > end and ("\u3041" <= after <= "\u309f" or after in HARD_COMMAS)
            return Boundary.PHRASE if inside else Boundary.SENTENCE
        if not after.isspace():
            if close > end and "\uac00" <= after <= "\ud7a3":
                return 0  # a Korean particle: the quotation is part of the sentence
            return self._rate_unspaced(at, marks, before, after)
        if marks in (".", "․"):
            return self._rate_point(at, close)
        if close == end and any(mark not in ".…‥․" for mark in marks):
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

    def _rate_by_next(self, close: int, before_lower: int) -> int:
        return before_lower if self._peek(close)[0].islower() else Boundary.SENTENCE

    def _rate_point(self, at: int, close: int) -> int:
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
        point, is_pair = self._look_up(start, word, close)
        if point is None:
            return Boundary.SENTENCE if close == at + 1 else self._rate_by_next(close, Boundary.CLAUSE)
        if point is Point.NEVER or is_pair:
            self._glue = close
            return 0
        first, index = self._peek(close)
        if first.isspace():
            return Boundary.SENTENCE
        if point is Point.BEFORE_LOWER:
            return 0 if first.islower() or first.isdigit() or first in ",;:" else Boundary.SENTENCE
        following = self._peek_word(index)
        if point is Point.NUMERIC:
            if first.isdigit() or first.islower() or _ROMAN.match(following):
                self._glue = close
                return 0
            return Boundary.SENTENCE
        if first.islower() or first.isdigit():
            return 0
        if not following or abbreviations.begins_sentence(following, self._language):
            return Boundary.SENTENCE
        if len(word) == 1:
            self._glue = close  # J. Smith
        return 0

    def _look_up(self, start: int, word: str, close: int) -> tuple[Point | None, bool]:
        """Look the word up with its neighbours (`z. B.`) or alone; also return whether the next word belongs to it."""
        text = self.text
        if abbreviations.begins_pair(word, self._language):
            first, index = self._peek(close)
            following = "" if first.isspace() else self._peek_word(index)
            after = index + len(following)
            if following and len(following) <= 4 and text[after : after + 1] == ".":
                both = abbreviations.point_after(f"{word}.{following}", self._language)
                # Two initials look like a pair, so only a pair of the tables counts.
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
                point = abbreviations.point_after(whole, self._language)
                if point is not None:
                    return point, False
        return abbreviations.point_after(word, self._language), False

    def _rate_number(self, word: str, start: int, close: int) -> int:
        if not _INTEGER.match(word):
            return self._rate_by_next(close, 0)
        if self._begins_line and start == self._token:
            self._glue = close  # the number of a list item
            return 0
        first, index = self._peek(close)
        continues = first.islower() or first.isdigit()
        if first.isupper() and abbreviations.may_be_ordinal(self._language):
            continues = abbreviations.follows_ordinal(self._peek_word(index), self._language)
        if continues:
            self._glue = close
        return 0 if continues else Boundary.SENTENCE

    def _is_plain(self, at: int) -> bool:
        """Return whether the run of characters before `at` is words, not an address or a number."""
        return _NOT_PLAIN.search(self.text, max(self._token, at - CONTEXT), at) is None

    def _char(self, at: int) -> str:
        """Return the character at `at`; a space after the end of the text."""
        if at < len(self.text):
            return self.text[at]
        if not self.final:
            raise IncompleteTextError
        return " "

    def _skip(self, at: int, chars: Container[str], limit: int) -> int:
        """Return the end of the run of `chars` that starts at `at`, at most `limit` characters long."""
        end, bound = at, min(len(self.text), at + limit)
        while end < bound and self.text[end] in chars:
            end += 1
        return end

    def _peek(self, at: int) -> tuple[str, int]:
        """Return the first character of the next word after `at`, and its offset; white space if there is none."""
        text = self.text
        index, bound = at, at + SPACES
        lines = 0
        while index < len(text) and index < bound and text[index].isspace():
            lines += text[index] == "\n"
            index += 1
            if lines > 1:
                return "\n", index
        if index == bound:
            return "\n", index
        index = self._skip(index, _BEFORE_NEXT, CLOSING)
        return self._char(index), index

    def _peek_word(self, at: int) -> str:
        """Return the first letters of the word at `at`; empty if there is none."""
        match = _NEXT_WORD.match(self.text, at)
        if match is None:
            return ""
        if match.end() == len(self.text) and not self.final and match.end() - at < _LETTERS:
            raise IncompleteTextError
        return match.group()
