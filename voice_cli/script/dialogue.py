"""Who says what: lines that begin with a speaker's name and a colon, told apart as they arrive."""

import re
from collections.abc import Iterable
from typing import NamedTuple

_COLONS = ":："
_SPACES = 8
_LINE = re.compile(rf"[ \t]{{0,{_SPACES}}}([^\n{_COLONS}]+)[{_COLONS}][*_]{{0,3}}[ \t]{{0,{_SPACES}}}")
_AROUND = " \t*_"
"""Spaces, and marks of emphasis."""


class Line(NamedTuple):
    """A piece of what one speaker says."""

    speaker: str | None
    """The name as the table has it; None: before the first name."""
    text: str
    begins: bool
    """Whether this is where the speaker's turn begins; else it goes on with the piece before."""


class Dialogue:
    """Gives the text of `NAME: text` lines with the names of their speakers, and without them in it.

    Only the names of the table are speakers, in any case, with or without marks of emphasis (`**Ann:** Hello`). A line
    without a name goes on with the turn before it. Put together by turns, any cut of the input gives the same; what is
    held is a line's beginning that may still become a name.
    """

    def __init__(self, speakers: Iterable[str]) -> None:
        """Take the names.

        Raises:
            ValueError: a name is empty, has a colon or a line's end, or differs from another in its case alone.

        """
        self._names: dict[str, str] = {}
        for name in speakers:
            key = _key(name)
            if not key or key in self._names or any(char in name for char in _COLONS + "\r\n"):
                raise ValueError(f"no name for a speaker, or not the only one: {name!r}")
            self._names[key] = name
        self._longest = max((len(name) for name in self._names.values()), default=0) + 2 * _SPACES
        self._held = ""
        self._at_start = True
        self._speaker: str | None = None
        self._begins = True
        self._finished = False

    def feed(self, text: str) -> list[Line]:
        """Take text that has arrived; give what is known to be said, and by whom."""
        if self._finished:
            raise RuntimeError("the dialogue is finished")
        return self._read(text)

    def finish(self) -> list[Line]:
        """Give the rest; no more text may be fed."""
        if self._finished:
            return []
        self._finished = True
        return self._read("")

    def _read(self, text: str) -> list[Line]:
        text, self._held = self._held + text, ""
        given: list[Line] = []
        said: list[str] = []
        at = 0
        while at < len(text):
            if self._at_start:
                line = _LINE.match(text, at, at + self._longest + 2 * _SPACES)
                name = self._names.get(_key(line[1])) if line and len(line[1]) <= self._longest else None
                if line is None and self._may_be_name(text, at):
                    break
                if line and name and line.end() == len(text) and not self._finished:
                    break  # the marks and spaces behind the colon may go on
                self._at_start = False
                if line and name:
                    self._say(said, given)
                    self._speaker = name
                    self._begins = True
                    at = line.end()
                    continue
            end = text.find("\n", at)
            end = len(text) if end < 0 else end + 1
            said.append(text[at:end])
            self._at_start = text[end - 1] == "\n"
            at = end
        self._held = text[at:]
        self._say(said, given)
        return given

    def _say(self, said: list[str], given: list[Line]) -> None:
        text = "".join(said)
        said.clear()
        if text:
            given.append(Line(self._speaker, text, self._begins))
            self._begins = False

    def _may_be_name(self, text: str, at: int) -> bool:
        """Tell whether what stands at the line's beginning could go on to be a name and a colon."""
        if self._finished or not self._names:
            return False
        part = text[at:]
        if len(part) > self._longest + _SPACES or "\n" in part:
            return False
        begun = _key(part)
        return any(key.startswith(begun) for key in self._names)


def _key(name: str) -> str:
    return " ".join(name.strip(_AROUND).split()).casefold()
