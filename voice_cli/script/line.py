"""What the script gives to the backends."""

from typing import NamedTuple

_MARKS = frozenset("*_`#[]<>|~\\&=\x1b\n\r\t")
"""What may mean something to a reader of Markdown, or to a terminal."""

SHORT = 200
"""Characters that are said as one utterance, however many sentences they are."""


class Line(NamedTuple):
    """One utterance, as it is reported and as it is spoken."""

    text: str
    """What is read out, with the white space before it; put together, these are the whole text."""
    spoken: str
    """What the voice is asked to say; never empty."""
    speaker: str | None = None
    pause: float = 1.0
    """The pause after it, as a multiple of the pause between two sentences."""
    end: int = 0
    """Code points of the source text up to the end of this line. Exact for the last line before a flush or the end of
    the text; otherwise estimated, since Markdown that is not spoken is not counted."""


def plain_line(text: str) -> Line | None:
    """Give a short text of plain words as the one line that it is; None: it has to be read with care.

    It spares such a text, which is most of what is said, the 10 ms that loading the reader takes.
    """
    end = len(text)
    text = text.strip()
    if not text:
        return None
    plain = len(text) <= SHORT and text.isprintable() and max(text) < "\u2000"
    if not plain or not _MARKS.isdisjoint(text) or text[0] in "-+" or "://" in text or "www." in text:
        return None
    return Line(text, text, end=end)
