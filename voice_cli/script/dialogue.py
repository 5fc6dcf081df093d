"""Speakers of a text: lines that begin with a speaker's name and a colon, found as the text arrives."""

import re
from collections.abc import Iterable
from typing import NamedTuple

_COLONS = ":："
_SPACES = 8
_NAME = re.compile(rf"[ \t]{{0,{_SPACES}}}([^\n{_COLONS}]+)[{_COLONS}][*_]{{0,3}}[ \t]{{0,{_SPACES}}}")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_AROUND_NAME = " \t*_"
"""Spaces and emphasis marks."""


class TurnStarted(NamedTuple):
    """The text that follows belongs to this speaker, up to the next `TurnStarted`."""

    speaker: str


class Dialogue:
    """Splits a text into the turns of its speakers, without their names.

    A name of the table starts a turn, in any case, with or without emphasis marks (`**Ann:** Hello`). A line without a
    name continues the turn. Any cut of the input gives the same turns; only the start of a line that may become a name
    is buffered.
    """

    def __init__(self, speakers: Iterable[str]) -> None:
        """Raise ValueError if a name is empty, has a colon or a line break, or differs from another only in case."""
        self._names: dict[str, str] = {}
        for name in speakers:
            key = _key(name)
            if not key or key in self._names or any(char in name for char in _COLONS + "\r\n"):
                raise ValueError(f"invalid or duplicate speaker name: {name!r}")
            self._names[key] = name
        self._longest = max(map(len, self._names.values()), default=0) + 2 * _SPACES
        self._buffered = ""
        self._at_start = True
        self._final = False

    def feed(self, text: str) -> list[str | TurnStarted]:
        """Return the text and the starts of turns that are certain, in their order."""
        parts: list[str | TurnStarted] = []
        lines = _LINE.findall(self._buffered + text) if self._names else [text]
        self._buffered = ""
        for line in lines:
            rest = line
            if self._at_start and self._names:
                match = _NAME.match(line, 0, self._longest + 2 * _SPACES)
                name = self._names.get(_key(match[1])) if match and len(match[1]) <= self._longest else None
                # The marks and spaces after the colon may continue.
                is_open = match.end() == len(line) if match and name else not match and self._may_be_name(line)
                if is_open and not self._final:
                    self._buffered = line
                    break
                if match and name:
                    parts.append(TurnStarted(name))
                    rest = line[match.end() :]
            if rest:
                parts.append(rest)
            self._at_start = line.endswith("\n")
        return parts

    def finish(self) -> list[str | TurnStarted]:
        """Return the buffered rest."""
        self._final = True
        return self.feed("")

    def _may_be_name(self, line: str) -> bool:
        """Return whether the line could continue as a name and a colon."""
        if len(line) > self._longest + _SPACES or line.endswith("\n"):
            return False
        start = _key(line)
        return any(key.startswith(start) for key in self._names)


def _key(name: str) -> str:
    return " ".join(name.strip(_AROUND_NAME).split()).casefold()
