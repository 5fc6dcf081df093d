"""The inside of a paragraph: what is read of a line of Markdown, as it arrives.

CommonMark decides emphasis and links by the whole paragraph; speech cannot wait for that. Each decision here looks a
bounded number of characters ahead, counted from its mark, so it is the same for every cut of the input. An emphasis
that is longer than that counts as one: its marks are dropped, not read.
"""

import re

from voice_cli.script import spans
from voice_cli.script.incomplete import IncompleteTextError
from voice_cli.script.output import Output
from voice_cli.script.spans import EMPHASIS, MAX_RUN

_NESTED = 16
"""Nested emphases that are remembered."""
CODE_SPAN = 200
_DUNDER = re.compile(r"__[a-z0-9_]+__")
_TICKS = re.compile(r"`+|\n\n")
_BACK = 8
"""Characters kept before the current one, to look back at."""


class Inline(Output):
    """The base of `SpokenMarkdown`: the buffered text, and everything inside lines.

    Every method takes one step, or raises IncompleteTextError if that takes more text.
    """

    def __init__(self, *, strict: bool) -> None:
        super().__init__()
        self._strict = strict
        """Whether the text is certainly Markdown; otherwise what is common in plain text is kept."""
        self._text = ""
        self._at = 0
        self._final = False
        self._emphasis: list[tuple[str, int]] = []
        self._hidden = ""
        """The end of the comment or element that is skipped."""
        self._address = False
        """Inside the rest of a bare URL."""
        self._depth = 0
        """Open parentheses of that URL."""

    def _take(self) -> str:
        """Return what was written, and drop the text that was read."""
        written = "".join(self._written)
        self._written.clear()
        if self._at > _BACK:
            self._text = self._text[self._at - _BACK :]
            self._at = _BACK
        return written

    def _stop(self) -> None:
        super()._stop()
        self._emphasis.clear()

    def _before(self) -> str:
        return self._text[self._at - 1] if self._at else "\n"

    def _after(self, count: int = 1) -> str:
        """Return the character `count` after the current one; empty after the end of the text."""
        self._require(self._at + count + 1)
        return self._text[self._at + count : self._at + count + 1]

    def _require(self, end: int) -> None:
        """Check that the text up to `end` has arrived, or all of the text."""
        if len(self._text) < end and not self._final:
            raise IncompleteTextError

    def _match(self, whole: re.Pattern[str], begun: re.Pattern[str], limit: int) -> re.Match[str] | None:
        """Match at the current character, within `limit`. The end of the text counts as the end of a line.

        Raises IncompleteTextError if `begun` matches up to the end of what has arrived.
        """
        part = self._text[self._at : self._at + limit]
        if len(part) < limit:
            if self._final:
                part += "\n"
            elif begun.match(part):
                raise IncompleteTextError
        return whole.match(part)

    def _inline(self) -> None:
        """Read one piece of a line, not its end."""
        text = self._text
        match = spans.SPECIAL.search(text, self._at)
        end = match.start() if match else len(text)
        char = text[self._at]
        if end > self._at:
            self._literal(end - self._at)
        elif char.isspace() or spans.BOXES[0] <= char <= spans.BOXES[2]:
            self._space()
            self._at += 1
        elif char in "*_~":
            self._mark(char)
        elif char == "\\":
            self._escape()
        elif char == "`":
            self._code()
        elif char in "[!":
            self._bracket()
        elif char == "<":
            self._angle()
        elif char == "&":
            self._entity()
        elif char == spans.JOINER and not spans.EMOJI.match(self._before()):
            self._literal()
        elif char == spans.JOINER or spans.EMOJI.match(char):
            self._at += 1
        else:
            self._url()

    def _literal(self, count: int = 1) -> None:
        self._write(self._text[self._at : self._at + count])
        self._at += count

    def _splice(self, end: int, text: str) -> None:
        """Replace the text up to `end`; the replacement is read next."""
        self._text = self._text[: self._at] + text + self._text[end:]

    def _escape(self) -> None:
        after = self._after()
        if after and after in "\n!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~":
            self._at += 1
        if after != "\n":
            self._literal()

    def _run(self, char: str) -> int:
        """Return how often the character is repeated, at most `MAX_RUN` times."""
        count = 1
        while count < MAX_RUN and self._after(count) == char:
            count += 1
        return count

    def _code(self) -> None:
        count = self._run("`")
        if count == MAX_RUN:
            self._literal(count)
            return
        text, start = self._text, self._at + count
        bound = start + CODE_SPAN
        for match in _TICKS.finditer(text, start, bound + MAX_RUN):
            end = match.end()
            if match.start() >= bound or match.group() == "\n\n":
                break
            if end < bound + MAX_RUN:
                self._require(end + 1)
            if end - match.start() == count:
                self._write(" ".join(text[start : match.start()].split()))
                self._at = end
                return
        else:
            self._require(bound)
        self._literal(count)

    def _mark(self, char: str) -> None:
        count = self._run(char)
        text, end = self._text, self._at + count
        before, after = self._before(), text[end : end + 1] or " "
        intraword = before.isalnum() and after.isalnum()
        is_text = (
            count == MAX_RUN
            or (char == "~" and count != 2)
            or (intraword and (char == "_" or (before.isascii() and after.isascii() and not self._strict)))
        )
        if not is_text and spans.flanks(after, before) and self._close(char, count):
            self._at += count
        elif is_text or not self._opens(char, count, before, after):
            self._literal(count)
        else:
            self._emphasis.append((char, count))
            del self._emphasis[:-_NESTED]
            self._at += count

    def _opens(self, char: str, count: int, before: str, after: str) -> bool:
        """Return whether the run of marks opens an emphasis that is closed, or too long to know."""
        if not spans.flanks(before, after) or (char == "_" and before.isalnum()):
            return False
        text, start = self._text, self._at + count
        if spans.closes(text, start, char, count, strict=self._strict, final=self._final):
            return self._strict or not _DUNDER.match(text, self._at)
        return char == "*" and "\n\n" not in text[start : start + EMPHASIS] and len(text) >= start + EMPHASIS

    def _close(self, char: str, count: int) -> bool:
        """Close the emphasis that the run can end; return whether there is one."""
        is_open = False
        while count > 0 and any(mark == char for mark, _ in self._emphasis):
            is_open = True
            mark, opened = self._emphasis.pop()
            if mark == char:
                if opened > count:
                    self._emphasis.append((mark, opened - count))
                count -= opened
        return is_open

    def _bracket(self) -> None:
        """Read a link, an image or the mark of a note."""
        from voice_cli.script import links

        text, image = self._text, self._text[self._at] == "!"
        at = self._at + image
        if image and self._after() != "[":
            self._literal()
            return
        label_end, end = links.link_end(text, at, final=self._final)
        label = text[at + 1 : label_end]
        before = self._before()
        index = not self._strict and not image and before.isascii() and (before.isalnum() or before in "_])")
        if label.startswith("^") and not image and not any(char.isspace() for char in label):
            self._at = label_end + 1
        elif end and not index:
            self._splice(end, label)
        else:
            self._literal()

    def _angle(self) -> None:
        from voice_cli.script import links

        part = self._text[self._at : self._at + links.TAG_LIMIT]
        after = self._after()
        link = links.AUTOLINK.match(part)
        name = links.TAG_NAME.match(part)
        is_text = not after or not ((after.isascii() and after.isalnum()) or after in "/!?")
        if is_text or (name and name[1].lower() not in links.ELEMENTS and not link):
            self._literal()
        elif part.startswith("<!--"):
            self._hidden = "-->"
            self._at += 4
        elif link:
            address = spans.HOST.match(link[1], link[1].find("://") + 3) if "://" in link[1] else None
            self._write(spans.host_name(address.group()) if address else link[1].removeprefix("mailto:"))
            self._at += link.end()
        elif tag := self._match(links.TAG, links.TAG_BEGUN, links.TAG_LIMIT):
            self._tag(tag[1].lower(), tag[2] or "", tag.group())
        elif other := links.OTHER_TAG.match(part):
            self._at += other.end()
        else:
            self._literal()

    def _tag(self, name: str, attributes: str, whole: str) -> None:
        from voice_cli.script import links

        self._at += len(whole)
        if name in links.HIDDEN and whole[1] != "/" and not whole.endswith("/>"):
            self._hidden = f"</{name}"
        elif name in links.BLOCKS:
            if name not in ("br", "td", "th"):
                self._stop()
                self._break(1)
            elif self._visible:
                self._break(1) if name == "br" else self._space()
        elif name == "img":
            alt = links.ALT.search(attributes)
            if alt:
                self._write(alt[1] or alt[2] or "")

    def _skip_hidden(self) -> None:
        text, end = self._text, self._hidden
        found = re.compile(re.escape(end), re.IGNORECASE).search(text, self._at)
        if found is None:
            self._at = max(self._at, len(text) - len(end) + 1)
            raise IncompleteTextError
        # A closing tag is read like any other.
        self._at = found.end() if end == "-->" else found.start()
        self._hidden = ""

    def _entity(self) -> None:
        from voice_cli.script import links

        entity = self._match(links.ENTITY, links.ENTITY_BEGUN, links.ENTITY_LIMIT)
        if entity is None:
            self._literal()
            return
        from html import unescape  # its table takes a millisecond, and most texts have no entity

        char = unescape(entity.group())
        self._at += entity.end()
        if char.isspace():
            self._space()
        elif char.isprintable():
            self._write(char)

    def _url(self) -> None:
        text = self._text
        scheme = spans.URL.match(text, self._at)
        if scheme is None:
            begun = text[self._at : self._at + len(spans.SCHEMES[0])].lower()
            if not self._final and any(scheme.startswith(begun) for scheme in spans.SCHEMES):
                raise IncompleteTextError
            self._literal()
            return
        start = scheme.end() if scheme.group()[-1] == "/" else self._at
        host = spans.HOST.match(text, start, start + spans.HOST_LIMIT)
        end = host.end() if host else start
        if end - start < spans.HOST_LIMIT:
            self._require(end + 1)
        name = text[start:end].rstrip(".:?'_~")
        spoken = spans.host_name(name)
        if not spoken:
            self._literal(end - self._at)
            return
        self._write(spoken)
        self._at = start + len(name)
        self._address = True
        self._depth = 0

    def _skip_address(self) -> None:
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            part = spans.URL_CHARS.match(text, self._at)
            marks = spans.URL_PUNCTUATION.match(text, self._at)
            if part:
                self._at = part.end()
            elif char == "(":
                self._depth += 1
                self._at += 1
            elif char == ")" and self._depth:
                self._depth -= 1
                self._at += 1
            else:
                if marks and len(marks.group()) < 16:
                    self._require(marks.end() + 1)
                if not marks or not (
                    spans.URL_CHARS.match(text, marks.end()) or text[marks.end() : marks.end() + 1] == "("
                ):
                    self._address = False
                    return
                self._at = marks.end()
