"""A book: chapters of text, and what its source says about it."""

from collections.abc import Iterable
from typing import NamedTuple

from voice_cli.errors import FileError
from voice_cli.script.markdown import Mode
from voice_cli.script.reader import LineReader, lines_of

MAX_FILE_BYTES = 512 << 20
MAX_CHARACTERS = 20_000_000
"""Of the text of a book: some 4 million words, 400 hours."""
MAX_CHAPTERS = 5000
MAX_COVER_BYTES = 16 << 20

PART_CHARACTERS = 30_000
"""Of a part of a text without chapters: half an hour."""

_PIECE = 4096
"""Characters that are read at a time, to find the first line."""
_OPENING = "Opening"
"""The title of a text before the first chapter, if the book has none."""


class Chapter(NamedTuple):
    """A part of the book that has a file of its own until the book is complete."""

    title: str
    text: str
    markdown: Mode = "off"
    """How `script` reads it: `on`, `off` or `auto`."""


class Book(NamedTuple):
    """What is read from a file."""

    title: str
    chapters: list[Chapter]
    author: str = ""
    language: str = ""
    """A tag such as `en-GB`; empty: not known."""
    cover: bytes | None = None
    """A JPEG or a PNG."""


class Section(NamedTuple):
    """A heading and the text up to the next one."""

    level: int | None
    """1 to 6; None: text before the first heading."""
    title: str
    text: str
    """With the heading."""


def checked(book: Book) -> Book:
    """Return the book without chapters of which nothing is read, such as one with code only.

    Raises:
        FileError: it has no text, or too much.

    """
    chapters = [chapter for chapter in book.chapters if _has_words(chapter)]
    if not chapters:
        raise FileError(f"{book.title} has no text to read")
    if sum(len(chapter.text) for chapter in chapters) > MAX_CHARACTERS:
        raise FileError(f"{book.title} has more than {MAX_CHARACTERS} characters", hint="divide it")
    if len(chapters) > MAX_CHAPTERS:
        raise FileError(f"{book.title} has more than {MAX_CHAPTERS} chapters", hint="divide it")
    return book._replace(chapters=chapters)


def _has_words(chapter: Chapter) -> bool:
    pieces = (chapter.text[at : at + _PIECE] for at in range(0, len(chapter.text), _PIECE))
    return any(True for _ in lines_of(pieces, LineReader(markdown=chapter.markdown)))


def chapters_of(sections: Iterable[Section], *, markdown: Mode = "off") -> tuple[str, list[Chapter]]:
    """Return the title and the chapters of a text with headings.

    The chapters begin at the headings of the highest level. If there is only one of these, and there are others, it is
    the title, and the next level has the chapters.
    """
    sections = list(sections)
    levels = sorted({section.level for section in sections if section.level is not None})
    title = ""
    if levels:
        highest = [section for section in sections if section.level == levels[0]]
        if len(highest) == 1 and len(levels) > 1:
            title = highest[0].title
            levels.pop(0)
    chapters: list[tuple[str, list[str]]] = []
    for section in sections:
        if section.level is not None and levels and section.level == levels[0]:
            chapters.append((section.title, []))
        elif not chapters:
            chapters.append((title or _OPENING, []))
        chapters[-1][1].append(section.text)
    return title, [Chapter(name, "".join(texts), markdown) for name, texts in chapters]


def parts_of(text: str, *, markdown: Mode = "off") -> list[Chapter]:
    """Return a text without chapters as parts that end at paragraphs or lines."""
    parts, length = [[""]], 0
    for line in text.splitlines(keepends=True):
        if length > PART_CHARACTERS and (not line.strip() or parts[-1][-1].rstrip().endswith((".", "!", "?"))):
            parts.append([])
            length = 0
        parts[-1].append(line)
        length += len(line)
    if len(parts) == 1:
        return [Chapter("Text", text, markdown)]
    return [Chapter(f"Part {number}", part, markdown) for number, part in enumerate(map("".join, parts), 1)]
