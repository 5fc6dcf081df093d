"""The inside of a paragraph: what of a line of Markdown is read out, as it arrives.

CommonMark decides emphasis and links by the whole paragraph; a voice cannot wait for that. Each decision here looks a
bounded number of characters ahead, counted from the mark in question, so it is the same for every cut of the input.
An emphasis that is longer than that is taken for one: its marks are dropped, rather than read.
"""

import re

from voice_cli.script import spans
from voice_cli.script.output import Output

EMPHASIS = 64
"""Characters in which a mark of emphasis is looked for its other one."""
_NESTED = 16
"""Emphases in one another; what is deeper is a stream of marks that nobody closes."""
CODE_SPAN = 200
LONGEST_RUN = 64
"""Characters of the longest run of backticks, asterisks, underscores or tildes that is a mark; a longer one is text."""
_DUNDER = re.compile(r"__[a-z0-9_]+__")
_BACK = 8
"""Characters that stay, to look back at."""


class Inline(Output):
    """What `markdown` builds on: the text that is held, what was read out last, and all that stands inside lines.

    Every method that takes a step gives whether it did; False: more text is needed.
    """

    def __init__(self, *, strict: bool) -> None:
        super().__init__()
        self._strict = strict
        """Whether it is known to be Markdown; else what is plain in plain text stays."""
        self._text = ""
        self._at = 0
        self._final = False
        self._emphasis: list[tuple[str, int]] = []
        self._hidden = ""
        """Inside what nobody sees: the text that ends it."""
        self._address = False
        """Inside the rest of a bare URL."""
        self._depth = 0

    def _take(self) -> str:
        """Give what can be read out, and forget the text behind it."""
        given = "".join(self._given)
        self._given.clear()
        if self._at > _BACK:
            self._text = self._text[self._at - _BACK :]
            self._at = _BACK
        return given

    def _stop(self) -> None:
        super()._stop()
        self._emphasis.clear()

    def _behind(self) -> str:
        return self._text[self._at - 1] if self._at else "\n"

    def _inline(self) -> bool:
        """Read one piece of a line; not a line's end."""
        text = self._text
        if self._hidden:
            return self._skip_hidden()
        if self._address:
            return self._skip_address()
        match = spans.SPECIAL.search(text, self._at)
        end = match.start() if match else len(text)
        if end > self._at:
            self._write(text[self._at : end])
            self._at = end
            return True
        if match is None:
            return False
        char = text[end]
        if char.isspace() or spans.BOXES[0] <= char <= spans.BOXES[2]:
            self._space()
            self._at += 1
            return True
        if char in "*_~":
            return self._mark(char)
        if char == "\\":
            return self._escape()
        if char == "`":
            return self._code()
        if char in "[!":
            return self._bracket()
        if char == "<":
            return self._angle()
        if char == "&":
            return self._entity()
        if char == spans.JOINER:
            if not spans.EMOJI.match(self._behind()):
                return self._literal()
            self._at += 1
            return True
        emoji = spans.EMOJI.match(text, end)
        if emoji:
            self._at = emoji.end()
            return True
        return self._url()

    def _literal(self, count: int = 1) -> bool:
        self._write(self._text[self._at : self._at + count])
        self._at += count
        return True

    def _splice(self, end: int, text: str) -> bool:
        """Read `text` in the place of what stands up to `end`."""
        self._text = self._text[: self._at] + text + self._text[end:]
        return True

    def _escape(self) -> bool:
        after = self._text[self._at + 1 : self._at + 2]
        if not after and not self._final:
            return False
        if after == "\n":
            self._at += 1
        elif after and after in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~":
            self._at += 1
            return self._literal()
        else:
            return self._literal()
        return True

    def _run(self, char: str) -> int:
        """Return how often the character is repeated, up to `LONGEST_RUN`; 0 if more may follow."""
        end, most = self._at, min(len(self._text), self._at + LONGEST_RUN)
        while end < most and self._text[end] == char:
            end += 1
        is_cut = end == len(self._text) and end - self._at < LONGEST_RUN
        return 0 if is_cut and not self._final else end - self._at

    def _code(self) -> bool:
        count = self._run("`")
        if not count:
            return False
        if count == LONGEST_RUN:
            return self._literal(count)
        text, start = self._text, self._at + count
        stop = min(len(text), start + CODE_SPAN)
        index = start
        while index < stop:
            if text[index] == "\n" and text[index + 1 : index + 2] == "\n":
                return self._literal(count)
            end = index
            while end < min(len(text), stop + LONGEST_RUN) and text[end] == "`":
                end += 1
            if end == len(text) and end < stop + LONGEST_RUN and not self._final:
                return False
            if end - index == count:
                self._write(" ".join(text[start:index].split()))
                self._at = end
                return True
            index = max(end, index + 1)
        if self._final or len(text) >= start + CODE_SPAN:
            return self._literal(count)
        return False

    def _mark(self, char: str) -> bool:
        count = self._run(char)
        if not count:
            return False
        if count == LONGEST_RUN or (char == "~" and count != 2):
            return self._literal(count)
        text = self._text
        before = self._behind()
        after = text[self._at + count] if self._at + count < len(text) else " "
        intraword = before.isalnum() and after.isalnum()
        latin = intraword and before.isascii() and after.isascii()
        if (intraword and char == "_") or (latin and not self._strict):
            return self._literal(count)
        if spans.flanks(after, before) and not (char == "_" and intraword) and self._close(char, count):
            self._at += count
            return True
        if not spans.flanks(before, after) or (char == "_" and before.isalnum()):
            return self._literal(count)
        start = self._at + count
        closed = spans.closes(text, start, start + EMPHASIS, char, count, strict=self._strict, final=self._final)
        if closed is None:
            return False
        if closed and not self._strict and _DUNDER.match(text, self._at):
            return self._literal(count)
        blank = text.find("\n\n", start, start + EMPHASIS)
        long = not closed and blank < 0 and len(text) >= start + EMPHASIS and char == "*"
        if not closed and not long:
            return self._literal(count)
        self._emphasis.append((char, count))
        del self._emphasis[:-_NESTED]
        self._at += count
        return True

    def _is_open(self, char: str) -> bool:
        return any(mark == char for mark, _ in self._emphasis)

    def _close(self, char: str, count: int) -> bool:
        """Take the run for the end of the emphasis that it can end."""
        if not self._is_open(char):
            return False
        while count > 0 and self._is_open(char):
            mark, opened = self._emphasis.pop()
            if mark == char:
                if opened > count:
                    self._emphasis.append((mark, opened - count))
                count -= opened
        return True

    def _bracket(self) -> bool:
        """Read a link, an image or a note's mark."""
        from voice_cli.script import links

        text, image = self._text, self._text[self._at] == "!"
        if image and self._at + 1 >= len(text) and not self._final:
            return False
        at = self._at + image
        if text[at : at + 1] != "[":
            return self._literal()
        found = links.link_end(text, at, final=self._final)
        if found is None:
            return False
        label_end, end = found
        label = text[at + 1 : label_end]
        if label.startswith("^") and label_end and not image and not any(char.isspace() for char in label):
            self._at = label_end + 1
            return True
        before = self._behind()
        index = not self._strict and not image and before.isascii() and (before.isalnum() or before in "_])")
        if not end or index:
            return self._literal()
        return self._splice(end, label)

    def _angle(self) -> bool:
        from voice_cli.script import links

        text, at = self._text, self._at
        if at + 1 == len(text) and not self._final:
            return False
        after = text[at + 1 : at + 2]
        if not (after.isascii() and after.isalnum()) and (not after or after not in "/!?"):
            return self._literal()
        if text.startswith("<!--", at):
            self._hidden = "-->"
            self._at += 4
            return True
        part = text[at : at + links.TAG_LIMIT]
        link = links.AUTOLINK.match(part)
        if link:
            address = spans.HOST.match(link[1], link[1].find("://") + 3) if "://" in link[1] else None
            self._write(spans.host_name(address.group()) if address else link[1].removeprefix("mailto:"))
            self._at += link.end()
            return True
        name = links.TAG_NAME.match(part)
        if name and name[1].lower() not in links.ELEMENTS:
            return self._literal()
        tag = links.TAG.match(part)
        if tag:
            return self._tag(tag[1].lower(), tag[2] or "", part[: tag.end()])
        other = links.OTHER_TAG.match(part)
        if other:
            self._at += other.end()
            return True
        if not self._final and len(part) < links.TAG_LIMIT and links.TAG_BEGUN.match(part):
            return False
        return self._literal()

    def _tag(self, name: str, attributes: str, whole: str) -> bool:
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
        return True

    def _skip_hidden(self) -> bool:
        text, end = self._text, self._hidden
        found = re.compile(re.escape(end), re.IGNORECASE).search(text, self._at)
        if found is None:
            self._at = max(self._at, len(text) - len(end) + 1)
            return False
        # A closing tag is read as any other.
        self._at = found.end() if end == "-->" else found.start()
        self._hidden = ""
        return True

    def _entity(self) -> bool:
        from voice_cli.script import links

        text = self._text
        entity = links.ENTITY.match(text, self._at)
        if entity is None:
            if not self._final and links.ENTITY_BEGUN.match(text, self._at):
                return False
            return self._literal()
        from html import unescape  # its table costs a millisecond, and most texts have no entity

        char = unescape(entity.group())
        self._at = entity.end()
        if char.isspace():
            self._space()
        elif char.isprintable():
            self._write(char)
        return True

    def _url(self) -> bool:
        text = self._text
        scheme = spans.URL.match(text, self._at)
        if scheme is None:
            begun = text[self._at : self._at + len(spans.SCHEMES[0])].lower()
            if not self._final and any(scheme.startswith(begun) for scheme in spans.SCHEMES):
                return False
            return self._literal()
        start = scheme.end() if scheme.group()[-1] == "/" else self._at
        host = spans.HOST.match(text, start, start + spans.HOST_LIMIT)
        end = host.end() if host else start
        if end == len(text) and not self._final and end - start < spans.HOST_LIMIT:
            return False
        name = text[start:end].rstrip(".:?'_~")
        said = spans.host_name(name)
        if not said:
            return self._literal(end - self._at)
        self._write(said)
        self._at = start + len(name)
        self._address = True
        self._depth = 0
        return True

    def _skip_address(self) -> bool:
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            part = spans.URL_CHARS.match(text, self._at)
            if part:
                self._at = part.end()
            elif char == "(":
                self._depth += 1
                self._at += 1
            elif char == ")" and self._depth:
                self._depth -= 1
                self._at += 1
            else:
                marks = spans.URL_PUNCTUATION.match(text, self._at)
                if marks is None:
                    self._address = False
                    return True
                if marks.end() == len(text) and not self._final and len(marks.group()) < 16:
                    return False
                if not spans.URL_CHARS.match(text, marks.end()) and text[marks.end() : marks.end() + 1] != "(":
                    self._address = False
                    return True
                self._at = marks.end()
        return False
