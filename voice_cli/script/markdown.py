"""From Markdown, or the output of any terminal program, to the text that is read out, as it arrives.

Read: the text of headings, paragraphs, quotations and list items (an item's number, not its bullet), of links and
footnotes, the alternative text of images, tables row by row, code spans; of an address its host. Not read: fenced code,
emphasis marks, rules, frames, HTML tags and comments, footnote references, task boxes, emoji, escape sequences and
control characters. Headings, items and rows end with a full stop, since a voice has no other sign of their end.

The tests compare with markdown-it-py, which parses whole documents only. The intended differences: no indented code (in
a terminal it is text), and no look-ahead beyond some characters (see `inline`).
"""

import re
from typing import Literal

from voice_cli.script import spans
from voice_cli.script.incomplete import IncompleteTextError
from voice_cli.script.inline import Inline
from voice_cli.script.terminal import TerminalText

Mode = Literal["auto", "on", "off"]

_PIECE = 4096
_LINE_LIMIT = 2000
"""Characters of the longest table row or definition; a longer one is text."""
_RULE_LIMIT = 300

_FENCE = re.compile(r"(`{3,})([^`\n]*)(?=\n)|(~{3,})([^\n]*)(?=\n)")
_FENCE_BEGUN = re.compile(r"(?:`{1,2}|`{3,}[^`\n]*|~{1,2}|~{3,}[^\n]*)\Z")
_FENCE_LIMIT = 300
_HEADING = re.compile(r"#{1,6}(?=[ \t\n])")
_HEADING_BEGUN = re.compile(r"#{1,6}\Z")
_HEADING_END = re.compile(r"[ \t]+#+[ \t]*(?=\n)")
_HEADING_END_BEGUN = re.compile(r"[ \t]+#*[ \t]*\Z")
_DRAWN = re.compile(r"[-=*_+|:~ \t]+")
"""Rules, underlines of headings and frames of tables."""
_STROKES = re.compile(r"[-=*_+|]")
_BULLET = re.compile(r"[-*+•‣◦▪●○](?=[ \t\n])(?=[ \t]*(\d?))(?:[ \t]+\[[ xX]\](?=[ \t]))?")
_BULLET_BEGUN = re.compile(r"[-*+•‣◦▪●○](?:[ \t]+(?:\[(?:[ xX]\]?)?)?)?\Z")
_NUMBER = re.compile(r"(\d{1,9}[.)])(?=[ \t])")
_NUMBER_BEGUN = re.compile(r"\d{1,9}[.)]?\Z")
_NOTE = re.compile(r"\[\^[^\]\s]{1,60}\]:[ \t]*")
_NOTE_BEGUN = re.compile(r"\[(?:\^[^\]\s]{0,60}\]?)?\Z")
_DEFINITION = re.compile(
    r"""\[[^\[\]\n]{1,200}\]:[ \t]*(?:<[^<>\n]*>|[^\s<]\S*)"""
    r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*(?=\n)"""
)
_DEFINITION_BEGUN = re.compile(r"\[(?:[^\[\]\n]{1,200}(?:\](?::[^\n]*)?)?)?\Z")
_CELL = re.compile(r"(?:\\.|`[^`]*`|[^|\\])+|\\")


class SpokenMarkdown(Inline):
    """Converts Markdown to the text that is spoken. Any cut of the input gives the same.

    `auto` is for text that may be Markdown: what is common in plain text stays as it is (`snake_case`, `2*3*4`, a line
    that begins with `- 5`). `on` reads everything as Markdown. `off` removes only what a terminal does not show.
    """

    def __init__(self, mode: Mode = "auto") -> None:
        """Raise ValueError for an unknown mode."""
        if mode not in ("auto", "on", "off"):
            raise ValueError(f"mode must be auto, on or off, not {mode!r}")
        super().__init__(strict=mode == "on")
        self._off = mode == "off"
        self._terminal = TerminalText()
        self._fresh = True
        """Before the first character of a line that is no indent."""
        self._indented = False
        """After an indent."""
        self._kind = ""
        """The open block: `text`, `item`, `heading` or `row`; empty: none."""
        self._fence = ""
        """The fence that the open block of code began with."""
        self._skips = False
        """Inside a line that is not read."""
        self._piped = False
        """In a table whose rows begin without a bar."""

    def feed(self, text: str) -> str:
        """Return what is certain to be read."""
        shown = self._terminal.feed(text)
        if self._off:
            return shown
        parts: list[str] = []
        for begin in range(0, len(shown), _PIECE):
            self._text += shown[begin : begin + _PIECE]
            self._read()
            parts.append(self._take())
        return "".join(parts)

    def finish(self) -> str:
        """Return the rest; no more text may be fed."""
        rest = self._terminal.finish()
        if self._off:
            return rest
        self._text += rest
        self._final = True
        self._read()
        if self._kind != "text":
            self._stop()
        if self._breaks and not self._broken and self._last:
            self._written.append("\n")
        return self._take()

    def _read(self) -> None:
        try:
            while self._at < len(self._text):
                char = self._text[self._at]
                if self._skips:
                    self._skip_line()
                elif self._hidden:
                    self._skip_hidden()
                elif self._fresh and self._fence:
                    self._in_fence(char)
                elif self._fresh:
                    self._begin_line(char)
                elif char == "\n":
                    self._end_line()
                elif self._kind == "heading" and (marks := self._match(_HEADING_END, _HEADING_END_BEGUN, 80)):
                    self._at += marks.end()
                elif self._address:
                    self._skip_address()
                else:
                    self._inline()
        except IncompleteTextError:
            pass

    def _end_line(self) -> None:
        self._address = False
        self._at += 1
        self._fresh = True
        self._indented = False
        if self._kind in ("heading", "row"):
            self._stop()
            self._kind = ""
        self._break(1)

    def _skip_line(self) -> None:
        end = self._text.find("\n", self._at)
        self._skips = end < 0
        self._at = len(self._text) if end < 0 else end + 1

    def _line(self, limit: int) -> str:
        """Return the rest of this line, at most `limit` characters."""
        end = self._text.find("\n", self._at, self._at + limit)
        if end < 0:
            end = self._at + limit
            self._require(end)
        return self._text[self._at : end]

    def _begin_block(self, kind: str) -> None:
        """Open a block; the one before it ends as a sentence."""
        if self._kind:
            self._stop()
        self._visible = ""
        self._emphasis.clear()
        self._kind = kind
        self._lazy = kind not in ("", "text")

    def _begin_line(self, char: str) -> None:
        """Find what kind of line it is, and pass its marks."""
        if char == "\n":
            self._at += 1
            self._indented = False
            if self._kind == "item":
                self._stop()
            self._begin_blank()
        elif char.isspace() or spans.BOXES[0] <= char <= spans.BOXES[2]:
            self._at += 1
            self._indented = True
        elif char == ">":
            self._quotation()
        elif char in "`~" and (fence := self._match(_FENCE, _FENCE_BEGUN, _FENCE_LIMIT)):
            self._open_fence(fence)
        elif char == "#" and (heading := self._match(_HEADING, _HEADING_BEGUN, 8)):
            self._begin_block("heading")
            self._at += heading.end()
            self._fresh = False
        elif char == "#":
            self._begin_text()
        elif char == "[" and self._kind != "text":
            self._definition()
        elif char in "-=*_+|:" and self._is_drawn():
            self._skips = True
        elif char == "|" or self._piped:
            self._row()
        else:
            self._item()

    def _begin_blank(self) -> None:
        self._break(2)
        self._kind = ""
        self._lazy = self._piped = self._spaced = False
        self._visible = ""
        self._emphasis.clear()

    def _begin_text(self) -> None:
        """Continue inside the line.

        In plain text, a line that is not indented and begins with a capital does not continue the item above.
        """
        self._fresh = False
        is_apart = self._kind == "item" and not (self._strict or self._indented) and self._text[self._at].isupper()
        if not self._kind or is_apart:
            self._begin_block("text")

    def _quotation(self) -> None:
        after = self._after()
        if after and after in "=-)_:;":
            self._begin_text()  # an operator, an arrow, a face
        else:
            self._at += 1

    def _open_fence(self, fence: re.Match[str]) -> None:
        self._begin_block("")
        self._break(1)
        self._fence = fence[1] or fence[3]
        self._at += fence.end()
        self._skips = True

    def _in_fence(self, char: str) -> None:
        """Pass a line of code, or the fence that ends it."""
        if char in "\n \t>":
            self._at += 1
            return
        if char == self._fence[0]:
            line = self._line(_FENCE_LIMIT).rstrip()
            if len(line) >= len(self._fence) and not line.strip(char):
                self._fence = ""
                self._begin_blank()
        self._skips = True

    def _definition(self) -> None:
        note = self._match(_NOTE, _NOTE_BEGUN, 80)
        if note:
            self._begin_block("text")
            self._at += note.end()
            self._fresh = False
        elif self._match(_DEFINITION, _DEFINITION_BEGUN, _LINE_LIMIT):
            self._skips = True
        else:
            self._begin_text()

    def _is_drawn(self) -> bool:
        """Return whether the line is a rule, an underline or a frame, and end the block before it."""
        drawn = _DRAWN.match(self._text, self._at, self._at + _RULE_LIMIT)
        marks = drawn.group() if drawn else ""
        if self._after(len(marks)) not in ("", "\n") or not _STROKES.search(marks):
            return False
        self._begin_block("")
        self._break(1)
        self._piped = "|" in marks and "-" in marks
        return True

    def _row(self) -> None:
        line = self._line(_LINE_LIMIT)
        row = line.rstrip(" \t")
        is_open = line.startswith("|") and not (len(row) > 1 and row.endswith("|"))
        if len(line) == _LINE_LIMIT or "|" not in line or (is_open and not self._strict):
            self._begin_text()
            return
        read = ""
        for cell in filter(None, (cell.replace("\\|", "|").strip() for cell in _CELL.findall(row))):
            if read:
                read += " " if read[-1] in spans.PAUSES else ", "
            read += cell
        self._begin_block("row")
        self._fresh = False
        self._splice(self._at + len(line), read)

    def _item(self) -> None:
        bullet = self._match(_BULLET, _BULLET_BEGUN, 12)
        number = self._match(_NUMBER, _NUMBER_BEGUN, 12)
        inside = self._kind == "text" and self._visible not in spans.PAUSES
        if bullet and not (inside and bullet[1] and not self._strict):
            self._begin_block("item")
            self._at += bullet.end()
        elif number and not (inside and number[1][:-1] != "1"):
            self._begin_block("item")
            self._write(number[1])
            self._at += number.end()
            self._visible = ""
            self._spaced = True
        else:
            self._begin_text()
