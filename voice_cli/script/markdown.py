"""From Markdown, or whatever a terminal program prints, to what a person would read out, as it arrives.

What is read: the text of headings, paragraphs, quotations and items (an item's number too, its bullet not), of links
and footnotes, the alternative text of images, a table row by row, a code span; of an address its host. What is not:
fenced code (nobody reads code aloud; `code_notice` can say that there is some), marks of emphasis, rules, frames,
HTML's tags and comments, references of footnotes, boxes of tasks, emoji, escape sequences and control characters.
Headings, items and rows end as sentences, since a voice has no other sign of their end.

markdown-it-py is what the tests compare with. It cannot do this itself: it parses whole documents. The differences
are meant: no indented code (in a terminal it is text), and no look-ahead beyond some characters (see `inline`).
"""

import re
from typing import Literal

from voice_cli.script import spans
from voice_cli.script.inline import Inline
from voice_cli.script.terminal import TerminalText

Mode = Literal["auto", "on", "off"]

_PIECE = 4096
_LINE_LIMIT = 2000
"""Characters in which a table's row or a definition has to end; else it is read as text."""
_RULE_LIMIT = 300

_FENCE = re.compile(r"(`{3,})([^`\n]*)(?=\n)|(~{3,})([^\n]*)(?=\n)")
_FENCE_BEGUN = re.compile(r"(?:`{1,2}|`{3,}[^`\n]*|~{1,2}|~{3,}[^\n]*)\Z")
_FENCE_LIMIT = 300
_HEADING = re.compile(r"#{1,6}(?=[ \t\n])")
_HEADING_BEGUN = re.compile(r"#{1,6}\Z")
_HEADING_END = re.compile(r"[ \t]+#+[ \t]*(?=\n)")
_HEADING_END_BEGUN = re.compile(r"[ \t]+#*[ \t]*\Z")
_DRAWN = re.compile(r"[-=*_+|:~ \t]+")
"""What rules, the underlines of headings and the frames of tables are made of."""
_STROKES = re.compile(r"[-=*_+|]")
_BULLET = re.compile(r"[-*+•‣◦▪●○](?=[ \t\n])")
_BULLET_BEGUN = re.compile(r"[-*+•‣◦▪●○]\Z")
_NUMBER = re.compile(r"(\d{1,9}[.)])(?=[ \t])")
_NUMBER_BEGUN = re.compile(r"\d{1,9}[.)]?\Z")
_TASK = re.compile(r"[ \t]+\[[ xX]\](?=[ \t])")
_TASK_BEGUN = re.compile(r"[ \t]+(?:\[(?:[ xX]\]?)?)?\Z")
_NOTE = re.compile(r"\[\^[^\]\s]{1,60}\]:[ \t]*")
_NOTE_BEGUN = re.compile(r"\[(?:\^[^\]\s]{0,60}\]?)?\Z")
_DEFINITION = re.compile(
    r"""\[[^\[\]\n]{1,200}\]:[ \t]*(?:<[^<>\n]*>|[^\s<]\S*)"""
    r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*(?=\n)"""
)
_DEFINITION_BEGUN = re.compile(r"\[(?:[^\[\]\n]{1,200}(?:\](?::[^\n]*)?)?)?\Z")
_CELL = re.compile(r"(?:\\.|`[^`]*`|[^|\\])+|\\")


class SpokenMarkdown(Inline):
    """Gives what is to be spoken of a text. Any cut of the input gives the same.

    `auto` is for text that may be Markdown and may be none: what is common in plain text stays as it is
    (`snake_case`, `2*3*4`, a line that begins with `- 5`). `on` takes Markdown at its word. `off` drops what a terminal
    would not show, and nothing else.
    """

    def __init__(self, mode: Mode = "auto", *, code_notice: str = "") -> None:
        """Take the mode, and what is said in the place of each block of code (nothing)."""
        if mode not in ("auto", "on", "off"):
            raise ValueError(f"mode must be auto, on or off, not {mode!r}")
        super().__init__(strict=mode == "on")
        self._off = mode == "off"
        self._code_notice = code_notice
        self._terminal = TerminalText()
        self._finished = False
        self._fresh = True
        """Before the first character of a line that is no indent."""
        self._kind = ""
        """The block that is open: `text`, `item`, `heading`, `row`; none."""
        self._fence = ""
        """The fence that the open block of code began with."""
        self._skips = False
        """Inside a line that is not read."""
        self._piped = False
        """In a table whose rows begin without a bar."""

    def feed(self, text: str) -> str:
        """Take text that has arrived; give what can be read out of it."""
        if self._finished:
            raise RuntimeError("the text is finished")
        shown = self._terminal.feed(text)
        if self._off:
            return shown
        given: list[str] = []
        for begin in range(0, len(shown), _PIECE):
            self._text += shown[begin : begin + _PIECE]
            given.append(self._read())
        return "".join(given)

    def finish(self) -> str:
        """Give the rest; no more text may be fed."""
        if self._finished:
            return ""
        rest = self._terminal.finish()
        if self._off:
            self._finished = True
            return rest
        given = self.feed(rest)
        self._finished = self._final = True
        given += self._read()
        if self._kind != "text":
            self._stop()
        if self._owed and not self._broken and self._last:
            self._given.append("\n")
        return given + self._take()

    def _read(self) -> str:
        while self._at < len(self._text):
            if self._skips:
                going = self._skip_line()
            elif self._fresh and not self._hidden and not self._address:
                going = self._begin_line() if not self._fence else self._in_fence()
            elif self._text[self._at] == "\n" and not self._hidden:
                going = self._end_line()
            elif self._kind == "heading" and self._text[self._at] in " \t":
                going = self._heading_end()
            else:
                going = self._inline()
            if not going:
                break
        return self._take()

    def _end_line(self) -> bool:
        self._address = False
        self._at += 1
        self._fresh = True
        if self._kind in ("heading", "row"):
            self._stop()
            self._kind = ""
        self._break(1)
        return True

    def _skip_line(self) -> bool:
        end = self._text.find("\n", self._at)
        self._skips = end < 0
        self._at = len(self._text) if end < 0 else end + 1
        return True

    def _line(self, limit: int) -> str | None:
        """Give the rest of this line; None: more text is needed; longer than the limit: it is cut."""
        end = self._text.find("\n", self._at, self._at + limit)
        if end < 0 and not self._final and len(self._text) < self._at + limit:
            return None
        return self._text[self._at : end if end >= 0 else self._at + limit]

    def _matches(self, whole: re.Pattern[str], begun: re.Pattern[str], limit: int) -> re.Match[str] | bool | None:
        """Match here; False: more text is needed. What ends the input ends a line."""
        part = self._text[self._at : self._at + limit]
        if self._final and len(part) < limit:
            part += "\n"
        match = whole.match(part)
        if match is None and not self._final and len(part) < limit and begun.match(part):
            return False
        return match

    def _begin_block(self, kind: str) -> None:
        """Open a block; the one before it ends here, as a sentence."""
        if self._kind:
            self._stop()
        self._visible = ""
        self._emphasis.clear()
        self._kind = kind
        self._lazy = kind not in ("", "text")

    def _begin_line(self) -> bool:
        """Say what the line is, and pass its marks."""
        char = self._text[self._at]
        if char == "\n":
            self._at += 1
            if self._kind == "item":
                self._stop()
            self._begin_blank()
            return True
        if char.isspace() or spans.BOXES[0] <= char <= spans.BOXES[2]:
            self._at += 1
            return True
        if char == ">":
            return self._quotation()
        if char in "`~":
            fence = self._matches(_FENCE, _FENCE_BEGUN, _FENCE_LIMIT)
            if fence is False:
                return False
            if isinstance(fence, re.Match):
                return self._open_fence(fence)
        if char == "#":
            return self._heading()
        if char == "[" and self._kind != "text":
            return self._definition()
        if char in "-=*_+|:":
            drawn = _DRAWN.match(self._text, self._at, self._at + _RULE_LIMIT)
            end = drawn.end() if drawn else self._at
            if end == len(self._text) and not self._final and end < self._at + _RULE_LIMIT:
                return False
            marks = self._text[self._at : end]
            if self._text[end : end + 1] in ("", "\n") and _STROKES.search(marks):
                return self._drawn(end, marks)
        if char == "|" or self._piped:
            return self._row()
        return self._item(char)

    def _begin_blank(self) -> None:
        self._break(2)
        self._kind = ""
        self._lazy = self._piped = self._spaced = False
        self._visible = ""
        self._emphasis.clear()

    def _begin_text(self) -> bool:
        """Go on inside the line."""
        self._fresh = False
        if not self._kind:
            self._begin_block("text")
        return True

    def _quotation(self) -> bool:
        after = self._text[self._at + 1 : self._at + 2]
        if not after and not self._final:
            return False
        if after and after in "=-)_:;":
            return self._begin_text()  # an operator, an arrow, a face
        self._at += 1
        return True

    def _open_fence(self, fence: re.Match[str]) -> bool:
        self._begin_block("")
        self._break(1)
        self._fence = fence[1] or fence[3]
        self._at += fence.end()
        self._skips = True
        if self._code_notice:
            self._write(self._code_notice)
            self._stop()
            self._break(1)
        return True

    def _in_fence(self) -> bool:
        """Pass a line of code, or the fence that ends it."""
        mark = self._fence[0]
        char = self._text[self._at]
        if char in "\n \t>":
            self._at += 1
        elif char == mark:
            line = self._line(_FENCE_LIMIT)
            if line is None:
                return False
            if len(line.rstrip()) >= len(self._fence) and not line.rstrip().strip(mark):
                self._fence = ""
                self._begin_blank()
            self._skips = True
        else:
            self._skips = True
        return True

    def _heading(self) -> bool:
        heading = self._matches(_HEADING, _HEADING_BEGUN, 8)
        if heading is False:
            return False
        if isinstance(heading, re.Match):
            self._begin_block("heading")
            self._at += heading.end()
            self._fresh = False
            return True
        return self._begin_text()

    def _heading_end(self) -> bool:
        end = self._matches(_HEADING_END, _HEADING_END_BEGUN, 80)
        if end is False:
            return False
        if isinstance(end, re.Match):
            self._at += min(end.end(), len(self._text) - self._at)
            return True
        return self._inline()

    def _definition(self) -> bool:
        note = self._matches(_NOTE, _NOTE_BEGUN, 80)
        if note is False:
            return False
        if isinstance(note, re.Match):
            self._begin_block("text")
            self._at += min(note.end(), len(self._text) - self._at)
            return self._begin_text()
        definition = self._matches(_DEFINITION, _DEFINITION_BEGUN, _LINE_LIMIT)
        if definition is False:
            return False
        if isinstance(definition, re.Match):
            self._skips = True
            return True
        return self._begin_text()

    def _drawn(self, end: int, marks: str) -> bool:
        """Drop a rule, a heading's underline, a table's frame."""
        self._begin_block("")
        self._break(1)
        self._piped = "|" in marks and "-" in marks
        self._at = end
        self._skips = end < len(self._text)
        return True

    def _row(self) -> bool:
        line = self._line(_LINE_LIMIT)
        if line is None:
            return False
        begins = line.startswith("|")
        bare = line.rstrip(" \t")
        whole = len(line) < _LINE_LIMIT
        if (
            not whole
            or (not begins and "|" not in line)
            or (begins and not self._strict and (len(bare) < 2 or bare[-1] != "|"))
        ):
            return self._begin_text()
        cells = [cell.replace("\\|", "|").strip() for cell in _CELL.findall(bare)]
        said = ""
        for cell in filter(None, cells):
            said += (" " if said[-1:] in spans.PAUSES else ", ") * bool(said) + cell
        self._begin_block("row")
        self._fresh = False
        return self._splice(self._at + len(line), said)

    def _item(self, char: str) -> bool:
        bullet = self._matches(_BULLET, _BULLET_BEGUN, 2)
        number = self._matches(_NUMBER, _NUMBER_BEGUN, 12) if char.isdigit() else None
        if bullet is False or number is False:
            return False
        inside = self._kind == "text" and self._visible not in spans.PAUSES
        if isinstance(bullet, re.Match):
            after = self._text[self._at + 1 :].lstrip(" \t")[:1]
            if not after and not self._final and len(self._text) < self._at + 8:
                return False
            if inside and not self._strict and after.isdigit():
                return self._begin_text()
            task = self._matches_task()
            if task is None:
                return False
            self._begin_block("item")
            self._at += 1 + task
            return True
        if isinstance(number, re.Match) and not (inside and number[1][:-1] != "1"):
            self._begin_block("item")
            self._write(number[1])
            self._at += number.end()
            self._visible = ""
            self._spaced = True
            return True
        return self._begin_text()

    def _matches_task(self) -> int | None:
        """Give the length of the box of a task behind a bullet; None: more text is needed."""
        part = self._text[self._at + 1 : self._at + 12]
        task = _TASK.match(part)
        if task is None and not self._final and len(part) < 11 and _TASK_BEGUN.match(part):
            return None
        return task.end() if task else 0
