"""The lines that are sent to a backend one by one."""

from typing import NamedTuple

_MARKS = frozenset("*_`#[]<>|~\\&=\x1b\n\r\t")
"""Characters with a meaning in Markdown or for a terminal."""

SHORT = 200
"""Characters of a text that is spoken as one utterance, however many sentences it has."""


class Line(NamedTuple):
    """One utterance, as it is reported and as it is spoken."""

    text: str
    """What is read, with the white space before it. Joined, the texts of all lines are the whole text."""
    spoken: str
    """What is sent to the voice; never empty."""
    speaker: str | None = None
    pause: float = 1.0
    """The pause after it, as a multiple of the pause between two sentences."""
    end: int = 0
    """Code points of the source text up to the end of this line. Exact for the last line before a flush or the end of
    the text; otherwise estimated, since Markdown that is not spoken is not counted."""


def plain_line(text: str) -> Line | None:
    """Return a short text of plain words as one line; None: `LineReader` has to read it.

    This saves such a text, which is the most common, the 10 ms that loading the reader takes.
    """
    end = len(text)
    text = text.strip()
    if not text:
        return None
    plain = len(text) <= SHORT and text.isprintable() and max(text) < "\u2000"
    if not plain or not _MARKS.isdisjoint(text) or text[0] in "-+" or "://" in text or "www." in text:
        return None
    return Line(text, text, end=end)
