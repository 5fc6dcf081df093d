"""Where a text may be cut, found while it arrives: a scanner of offsets, each with how good a cut it is.

Every decision is a function of the text alone, never of how it was cut when it was fed: a decision that needs what
follows waits for it (h11's way: "need more data" is a return value), and looks no further than a bound that is counted
from the place in question. So a text gives the same boundaries for every cut, and what is held is bounded.
"""

import re
from typing import TYPE_CHECKING

from voice_cli.script.characters import (
    AFTER_END,
    CLOSERS,
    CODE,
    COMMAS,
    DASHES,
    ENDS,
    GLUE_SPACES,
    HARD_COMMAS,
    INTERESTING,
    OPENERS,
    QUOTES_STRAIGHT,
    WORD_SPACES,
    is_unspaced,
)
from voice_cli.script.ends import CONTEXT, Boundary, EndRater

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CONTEXT", "Boundary", "Scanner"]


_SPACES = 64
_CLUSTER = 32
_CLOSING = 8
"""How far a decision looks, in characters."""

_SPAN = 160
"""Characters after which an opening mark is taken for a stray one: of code, a quotation, a bracket."""

_NOWHERE = -(10**9)

_NEWLINE = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_PARAGRAPH = re.compile(rf"\u2029|(?:{_NEWLINE.pattern})[^\S\n\r]*?(?:{_NEWLINE.pattern})")
_ITEM = re.compile(r"(?:[-*+•‣◦▪–—]|\(?\d{1,3}[.)]|\(?[a-z][.)]|\(?[A-Z]\))\s")
_ITEM_BEGUN = re.compile(r"(?:[-*+•‣◦▪–—]|\(?(?:\d{0,3}|[a-zA-Z])[.)]?)\Z")
_NOTE = re.compile(r"(?:\[\d{1,3}\]){1,3}")
_NOTE_BEGUN = re.compile(r"(?:\[\d{1,3}\]){0,2}\[\d{0,3}\Z")
_CURRENCY = frozenset("$€£¥₹₽₩₺¢")
_AFTER_NUMBER = frozenset("aApP%‰°") | _CURRENCY
_NO_BREAK_BEFORE = frozenset("!?»”’)]}…ๆฯ" + COMMAS) | ENDS | frozenset(HARD_COMMAS)
_CLOSE = {
    "“": "”", "‟": "”", "„": "“”", "«": "»", "»": "«", "‹": "›", "›": "‹", "‘": "’", "‚": "‘’",
    "「": "」", "『": "』", "《": "》", "〈": "〉", '"': '"', "'": "'",
}  # fmt: skip
"""Opening quotation mark → the marks that close it, in the languages that use it."""


class Scanner(EndRater):
    """Gives a text's boundaries in order. Offsets are into `text`, which its owner fills and trims."""

    def __init__(self, language: str = "") -> None:
        super().__init__(language)
        self._handlers: dict[str, Callable[[int, str], int | None]] = {
            **dict.fromkeys(OPENERS + CLOSERS + QUOTES_STRAIGHT, self._mark),
            **dict.fromkeys(ENDS, self._end),
            **dict.fromkeys(COMMAS + HARD_COMMAS, self._comma),
            **dict.fromkeys(DASHES, self._dash),
            **dict.fromkeys(WORD_SPACES, self._word_space),
            CODE: self._tick,
        }
        self.position = 0
        """All before it is decided."""
        self._found: tuple[int, Boundary] | None = None
        self._taken = -1
        """The last offset given."""
        self._code = self._quote = self._bracket = _NOWHERE
        """Where the last one was opened."""
        self._code_ticks = 0
        self._quote_mark = ""

    def next(self, edge: int) -> tuple[int, Boundary] | None:
        """Give the next boundary; None: more text is needed, or `position` has passed `edge`."""
        text = self.text
        while True:
            match = INTERESTING.search(text, self.position)
            at = self.position = match.start() if match else len(text)
            if match is None or at > edge:
                return None
            char = match.group()
            after = self._handlers.get(char, self._space)(at, char)
            if after is None:
                return None
            self.position = after
            found, self._found = self._found, None
            if found:
                self._taken = found[0]
                return found

    def finish(self) -> None:
        """Say that no more text follows."""
        self._final = True

    def trim(self, count: int) -> None:
        """Forget the first `count` characters of the text."""
        self.text = self.text[count:]
        self.position -= count
        self._token = max(0, self._token - count)
        self._glue -= count
        self._taken -= count
        self._code -= count
        self._quote -= count
        self._bracket -= count

    def probe(self) -> tuple[int, Boundary] | None:
        """Give the boundary that would be next if white space followed, and that nothing can take back.

        Not after a number's point or comma, nor after a word that is not known to be whole.
        """
        at = self.position
        if self._final or at >= len(self.text):
            return None
        char = self.text[at]
        if char.isspace():
            return None if at in (self._glue, self._taken) or self._in_code(at) else (at, Boundary.WORD)
        if at and self.text[at - 1].isdigit():
            return None
        kept = dict(self.__dict__)
        self._final = True
        self._handlers.get(char, self._space)(at, char)
        found = self._found
        self.__dict__.update(kept)
        return found

    # Each handler looks at one place and gives where to go on; None: it needs more text.

    def _space(self, at: int, char: str) -> int | None:
        text = self.text
        if char in GLUE_SPACES:
            self._token = at + 1
            return at + 1
        end = at + 1
        bound = min(len(text), at + _SPACES)
        while end < bound and text[end].isspace():
            end += 1
        waits = end == len(text) and end - at < _SPACES and not self._final
        broken = char != " " or end > at + 1  # else it is what most are, one space
        paragraph = _PARAGRAPH.search(text, at, end) if broken else None
        if paragraph and not (waits and paragraph.end() == end and text[end - 1] == "\r"):
            # Up to the second line's end, whether or not more white space is there already.
            return self._paragraph(at, paragraph.end())
        if end - at == _SPACES:
            return self._paragraph(at, end)
        if waits:
            return None
        new_line = broken and _NEWLINE.search(text, at, end) is not None
        if new_line:
            if _ITEM.match(text, end):
                return self._paragraph(at, end)
            if not self._final and _ITEM_BEGUN.match(text, end):
                return None
        boundary = self._gap(at, end)
        if boundary:
            self._found = (at, boundary)
        self._begins_line = new_line or (self._begins_line and self._token == at)
        self._token = end
        return end

    def _paragraph(self, at: int, end: int) -> int:
        self._found = (at, Boundary.PARAGRAPH)
        self._token = end
        self._begins_line = True
        self._code_ticks = 0
        self._quote_mark = ""
        self._bracket = _NOWHERE
        return end

    def _gap(self, at: int, end: int) -> Boundary | None:
        """Say what the white space from `at` to `end` is worth."""
        text = self.text
        if at in (self._glue, self._taken) or not at or end == len(text) or self._in_code(at):
            return None
        before, after = text[at - 1], text[end]
        if before in OPENERS or after in _NO_BREAK_BEFORE:
            return None
        if before.isdigit() and (after.isdigit() or after in _AFTER_NUMBER):
            return None
        if before in _CURRENCY and after.isdigit():
            return None
        if is_unspaced(before):
            return Boundary.CLAUSE
        return Boundary.WORD

    def _word_space(self, at: int, _: str) -> int:
        self._found = (at + 1, Boundary.WORD)
        self._token = at + 1
        return at + 1

    def _tick(self, at: int, _: str) -> int | None:
        text = self.text
        end = at + 1
        while end < len(text) and end - at < _CLOSING and text[end] == CODE:
            end += 1
        if end == len(text) and not self._final and end - at < _CLOSING:
            return None
        ticks = end - at
        if self._in_code(at):
            if ticks == self._code_ticks:
                self._code_ticks = 0
        else:
            self._code, self._code_ticks = at, ticks
        return end

    def _in_code(self, at: int) -> bool:
        return self._code_ticks > 0 and at - self._code <= _SPAN

    def _in_quote(self, at: int) -> bool:
        return bool(self._quote_mark) and at - self._quote <= _SPAN

    def _in_bracket(self, at: int) -> bool:
        return at - self._bracket <= _SPAN

    def _mark(self, at: int, char: str) -> int:
        """Remember a quotation mark or a bracket."""
        before = self.text[at - 1] if at else " "
        if char in "([{（［｛":
            self._bracket = at
        elif char in ")]}）］｝":
            self._bracket = _NOWHERE
        elif self._in_quote(at) and char in _CLOSE[self._quote_mark]:
            self._quote_mark = ""
        elif char in _CLOSE and not (char in "'»›" and not before.isspace()):
            self._quote, self._quote_mark = at, char
        return at + 1

    def _comma(self, at: int, char: str) -> int | None:
        if self._in_code(at):
            return at + 1
        text = self.text
        before = text[at - 1] if at else " "
        hard = char in HARD_COMMAS
        plain = hard or self._is_plain(at)
        boundary = Boundary.PHRASE if self._in_bracket(at) else Boundary.CLAUSE
        if (
            (hard or (char == "," and plain and not before.isspace()))
            and not before.isdigit()
            and not self._in_quote(at)
        ):
            # Whatever follows, it is no part of a number: not a character more is waited for.
            self._found = (at + 1, boundary)
            return at + 1
        end = at + 1
        while end < len(text) and end - at < _CLOSING and self._closes(text[end], at):
            end += 1
        if end == len(text) and not self._final:
            return None
        after = text[end] if end < len(text) else " "
        if after.isspace():
            if char == ";" and "\u0370" <= before <= "\u03ff":
                boundary = Boundary.SENTENCE  # the Greek question mark, on most keyboards
            elif char == ":" and "\u0530" <= before <= "\u058f":
                boundary = Boundary.SENTENCE  # the Armenian full stop, likewise
            elif char == "·" and not "\u0370" <= before <= "\u03ff":
                return end
            self._found = (end, boundary)
        elif (hard and not (before.isdigit() and after.isdigit())) or (
            char == "," and plain and after.isalpha() and not before.isspace()
        ):
            self._found = (end, boundary)
        return at + 1

    def _closes(self, char: str, at: int) -> bool:
        return char in CLOSERS or (char in QUOTES_STRAIGHT and self._in_quote(at) and char == self._quote_mark)

    def _dash(self, at: int, char: str) -> int | None:
        text = self.text
        before = text[at - 1] if at else "\n"
        spaced = before.isspace()
        if self._in_code(at) or (char == "-" and not spaced) or (self._begins_line and self._token == at):
            return at + 1
        end = at + 1
        while end < len(text) and end - at < _CLOSING and text[end] in DASHES:
            end += 1
        if end == len(text) and not self._final:
            return None
        after = text[end] if end < len(text) else " "
        if not spaced:
            if char == "—" and before.isalpha() and after.isalpha():
                self._found = (end, Boundary.CLAUSE)
        elif after.isspace():
            if at > 1 and text[at - 2].isdigit():
                if end + 1 >= len(text) and not self._final:
                    return None
                if text[end + 1 : end + 2].isdigit():  # 3 - 2
                    return end
            self._found = (end, Boundary.PHRASE if text[at:end] == "-" else Boundary.CLAUSE)
        return end

    def _end(self, at: int, _: str) -> int | None:
        text = self.text
        end = at + 1
        while end < len(text) and end - at < _CLUSTER and text[end] in ENDS:
            end += 1
        close = end
        own = _CLOSE[self._quote_mark] if self._in_quote(at) else ""
        while close < len(text) and close - end < _CLOSING and (text[close] in AFTER_END or text[close] in own):
            close += 1
        if own == "»" and text[close : close + 1].isspace():
            # French puts a space before it.
            if close + 1 == len(text) and not self._final:
                return None
            close += 2 * (text[close + 1 : close + 2] == "»")
        if not self._final and (close == len(text) or _NOTE_BEGUN.match(text, close)):
            return None
        note = _NOTE.match(text, close)
        if note:
            close = note.end()
        if self._in_code(at):
            return end
        if close == len(text) and not self._final:
            return None
        boundary = self.rate(at, end, close)
        if boundary is None:
            return None
        if boundary:
            self._found = (close, Boundary(boundary))
        return end
