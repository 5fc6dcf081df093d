"""Where a text may be cut: a scanner that finds offsets while the text arrives, each with how good the cut is.

Every decision depends on the text alone, not on how it was cut when it was fed. A decision that needs what follows
waits for it, and looks ahead a bounded number of characters, so what is buffered is bounded too.
"""

import re

from voice_cli.script import characters
from voice_cli.script.ends import CLOSING, SPACES, Boundary, EndRater
from voice_cli.script.incomplete import IncompleteTextError

_CLUSTER = 32
"""Characters of the longest end mark."""

_SPAN = 160
"""Characters after which an unclosed opening mark of code, a quotation or a bracket is ignored."""

_NOWHERE = -(10**9)

_NEWLINE = re.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_PARAGRAPH = re.compile(rf"\u2029|(?:{_NEWLINE.pattern})[^\S\n\r]*?(?:{_NEWLINE.pattern})")
_ITEM = re.compile(r"(?:[-*+•‣◦▪–—]|\(?\d{1,3}[.)]|\(?[a-z][.)]|\(?[A-Z]\))\s")
_ITEM_BEGUN = re.compile(r"(?:[-*+•‣◦▪–—]|\(?(?:\d{0,3}|[a-zA-Z])[.)]?)\Z")
_NOTE = re.compile(r"(?:\[\d{1,3}\]){1,3}")
_NOTE_BEGUN = re.compile(r"(?:\[\d{1,3}\]){0,2}\[\d{0,3}\Z")
_CURRENCY = frozenset("$€£¥₹₽₩₺¢")
_AFTER_NUMBER = frozenset("aApP%‰°") | _CURRENCY
_NO_BREAK_BEFORE = frozenset("!?»”’)]}…ๆฯ" + characters.COMMAS) | characters.ENDS | frozenset(characters.HARD_COMMAS)
_CLOSE = {
    "“": "”", "‟": "”", "„": "“”", "«": "»", "»": "«", "‹": "›", "›": "‹", "‘": "’", "‚": "‘’",
    "「": "」", "『": "』", "《": "》", "〈": "〉", '"': '"', "'": "'",
}  # fmt: skip
"""Opening quotation mark → the marks that close it, in the languages that use it."""


class Scanner(EndRater):
    """Finds the boundaries of a text in order. Offsets are into `text`, which the owner extends and trims."""

    def __init__(self, language: str = "") -> None:
        super().__init__(language)
        self._handlers = {
            **dict.fromkeys(characters.OPENERS + characters.CLOSERS + characters.QUOTES_STRAIGHT, self._mark),
            **dict.fromkeys(characters.ENDS, self._end),
            **dict.fromkeys(characters.COMMAS + characters.HARD_COMMAS, self._comma),
            **dict.fromkeys(characters.DASHES, self._dash),
            **dict.fromkeys(characters.WORD_SPACES, self._word_space),
            characters.CODE: self._tick,
        }
        self.position = 0
        """All before it is decided."""
        self._found: tuple[int, Boundary] | None = None
        self._returned = -1
        """The last offset returned."""
        self._code = self._quote = self._bracket = _NOWHERE
        """Where the last one was opened."""
        self._code_ticks = 0
        self._quote_mark = ""

    def next(self, edge: int) -> tuple[int, Boundary] | None:
        """Return the next boundary; None: more text is needed, or `position` is after `edge`."""
        text = self.text
        while True:
            match = characters.INTERESTING.search(text, self.position)
            at = self.position = match.start() if match else len(text)
            if match is None or at > edge:
                return None
            char = match.group()
            try:
                self.position = self._handlers.get(char, self._space)(at, char)
            except IncompleteTextError:
                return None
            found, self._found = self._found, None
            if found:
                self._returned = found[0]
                return found

    def trim(self, count: int) -> None:
        """Drop the first `count` characters of the text."""
        self.text = self.text[count:]
        self.position -= count
        self._token = max(0, self._token - count)
        self._glue -= count
        self._returned -= count
        self._code -= count
        self._quote -= count
        self._bracket -= count

    def probe(self) -> tuple[int, Boundary] | None:
        """Return the next boundary if white space followed, unless later text can still change it.

        There is none after a number's point or comma, nor after a word that may continue.
        """
        at = self.position
        if self.final or at >= len(self.text):
            return None
        char = self.text[at]
        if char.isspace():
            return None if at in (self._glue, self._returned) or self._in_code(at) else (at, Boundary.WORD)
        if at and self.text[at - 1].isdigit():
            return None
        kept = dict(self.__dict__)
        self.final = True
        self._handlers.get(char, self._space)(at, char)
        found = self._found
        self.__dict__.update(kept)
        return found

    # Each handler decides one place and returns the offset to continue at.

    def _space(self, at: int, char: str) -> int:
        text = self.text
        if char in characters.GLUE_SPACES:
            self._token = at + 1
            return at + 1
        end = at + 1
        bound = min(len(text), at + SPACES)
        while end < bound and text[end].isspace():
            end += 1
        waits = end == len(text) and end - at < SPACES and not self.final
        is_one_space = char == " " and end == at + 1
        paragraph = None if is_one_space else _PARAGRAPH.search(text, at, end)
        if paragraph and not (waits and paragraph.end() == end and text[end - 1] == "\r"):
            # Up to the second line break, whether or not more white space has arrived.
            return self._paragraph(at, paragraph.end())
        if end - at == SPACES:
            return self._paragraph(at, end)
        if waits:
            raise IncompleteTextError
        new_line = not is_one_space and _NEWLINE.search(text, at, end) is not None
        if new_line:
            if _ITEM.match(text, end):
                return self._paragraph(at, end)
            if not self.final and _ITEM_BEGUN.match(text, end):
                raise IncompleteTextError
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
        """Return the boundary at the white space from `at` to `end`."""
        text = self.text
        if at in (self._glue, self._returned) or not at or end == len(text) or self._in_code(at):
            return None
        before, after = text[at - 1], text[end]
        if before in characters.OPENERS or after in _NO_BREAK_BEFORE:
            return None
        if before.isdigit() and (after.isdigit() or after in _AFTER_NUMBER):
            return None
        if before in _CURRENCY and after.isdigit():
            return None
        return Boundary.CLAUSE if characters.is_unspaced(before) else Boundary.WORD

    def _word_space(self, at: int, _: str) -> int:
        self._found = (at + 1, Boundary.WORD)
        self._token = at + 1
        return at + 1

    def _tick(self, at: int, _: str) -> int:
        end = self._skip(at, characters.CODE, CLOSING)
        if end - at < CLOSING:
            self._char(end)  # another one may follow
        ticks = end - at
        if not self._in_code(at):
            self._code, self._code_ticks = at, ticks
        elif ticks == self._code_ticks:
            self._code_ticks = 0
        return end

    def _in_code(self, at: int) -> bool:
        return self._code_ticks > 0 and at - self._code <= _SPAN

    def _in_quote(self, at: int) -> bool:
        return bool(self._quote_mark) and at - self._quote <= _SPAN

    def _mark(self, at: int, char: str) -> int:
        """Remember a quotation mark or a bracket."""
        if char in "([{（［｛":
            self._bracket = at
        elif char in ")]}）］｝":
            self._bracket = _NOWHERE
        elif self._in_quote(at) and char in _CLOSE[self._quote_mark]:
            self._quote_mark = ""
        elif char in _CLOSE and (char not in "'»›" or not at or self.text[at - 1].isspace()):
            self._quote, self._quote_mark = at, char
        return at + 1

    def _comma(self, at: int, char: str) -> int:
        if self._in_code(at):
            return at + 1
        before = self.text[at - 1] if at else " "
        hard = char in characters.HARD_COMMAS
        certain = hard or (char == "," and not before.isspace() and self._is_plain(at))
        boundary = Boundary.PHRASE if at - self._bracket <= _SPAN else Boundary.CLAUSE
        in_quote = self._in_quote(at)
        if certain and not before.isdigit() and not in_quote:
            # Whatever follows, this is no part of a number.
            self._found = (at + 1, boundary)
            return at + 1
        own = self._quote_mark if in_quote and self._quote_mark in characters.QUOTES_STRAIGHT else ""
        end = self._skip(at + 1, characters.CLOSERS + own, CLOSING - 1)
        after = self._char(end)
        if after.isspace():
            is_greek = "\u0370" <= before <= "\u03ff"
            if char == "·" and not is_greek:
                return end
            if (char == ";" and is_greek) or (char == ":" and "\u0530" <= before <= "\u058f"):
                # The Greek question mark and the Armenian full stop, as most keyboards write them.
                boundary = Boundary.SENTENCE
            self._found = (end, boundary)
        elif (hard and not (before.isdigit() and after.isdigit())) or (char == "," and certain and after.isalpha()):
            self._found = (end, boundary)
        return at + 1

    def _dash(self, at: int, char: str) -> int:
        text = self.text
        before = text[at - 1] if at else "\n"
        spaced = before.isspace()
        if self._in_code(at) or (char == "-" and not spaced) or (self._begins_line and self._token == at):
            return at + 1
        end = self._skip(at, characters.DASHES, CLOSING)
        after = self._char(end)
        if not spaced:
            if char == "—" and before.isalpha() and after.isalpha():
                self._found = (end, Boundary.CLAUSE)
        elif after.isspace():
            if at > 1 and text[at - 2].isdigit() and self._char(end + 1).isdigit():
                return end  # 3 - 2
            self._found = (end, Boundary.PHRASE if text[at:end] == "-" else Boundary.CLAUSE)
        return end

    def _end(self, at: int, _: str) -> int:
        text = self.text
        end = self._skip(at, characters.ENDS, _CLUSTER)
        own = _CLOSE[self._quote_mark] if self._in_quote(at) else ""
        close = self._skip(end, characters.AFTER_END.union(own) if own else characters.AFTER_END, CLOSING)
        if own == "»" and text[close : close + 1].isspace() and self._char(close + 1) == "»":
            close += 2  # French puts a space before it
        self._char(close)  # a closing mark or a note may follow
        if not self.final and _NOTE_BEGUN.match(text, close):
            raise IncompleteTextError
        note = _NOTE.match(text, close)
        if note:
            close = note.end()
        if self._in_code(at):
            return end
        boundary = self.rate(at, end, close)
        if boundary:
            self._found = (close, Boundary(boundary))
        return end
