"""PDF: the text of its pages, with its outline's entries as chapters."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from voice_cli.books.book import MAX_CHARACTERS, Book, Chapter, parts_of
from voice_cli.errors import EngineError, FileError
from voice_cli.printable import one_line

if TYPE_CHECKING:
    from pypdf import PdfReader

MAX_PAGES = 20_000
_EDGES = 2
"""Lines at the top and at the bottom of a page that may be its number or a running title."""
_NUMBER = re.compile(
    r"[\W_]*(?:page|seite|p\.)?[\W_]*(?:\d{1,5}|[ivxlc]{1,8})(?:[\W_]*(?:of|von|/)[\W_]*\d{1,5})?[\W_]*", re.IGNORECASE
)


def read_pdf(path: str) -> Book:
    """Return the book.

    Raises:
        EngineError: pypdf is missing.
        FileError: the file is damaged, protected or too large.
        OSError: it cannot be read.

    """
    try:
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    except ModuleNotFoundError as exc:
        raise EngineError("reading PDF needs the package pypdf", hint="pip install 'voice-cli[pdf]'") from exc
    import logging

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns about each irregularity
    try:
        reader = PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise FileError(f"{path} is protected by a password")
        return _book(reader, path)
    except (PyPdfError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as exc:
        raise FileError(f"{path} is damaged: {one_line(str(exc))}") from exc


def _book(reader: "PdfReader", path: str) -> Book:
    if len(reader.pages) > MAX_PAGES:
        raise FileError(f"{path} has more than {MAX_PAGES} pages", hint="divide it")
    pages: list[list[str]] = []
    length = 0
    for page in reader.pages:
        text = page.extract_text()
        length += len(text)
        if length > MAX_CHARACTERS:
            raise FileError(f"{path} has more than {MAX_CHARACTERS} characters", hint="divide it")
        pages.append([line.strip() for line in text.splitlines()])
    texts = cleaned(pages)
    starts = list(_outline(reader, reader.outline))
    about = reader.metadata
    title, author = (about.title or "", about.author or "") if about is not None else ("", "")
    if not starts:
        return Book(title, parts_of("\n".join(texts)), author)
    if starts[0][1] > 0:
        starts.insert(0, ("Opening", 0))
    ends = [page for _, page in starts[1:]] + [len(texts)]
    chapters = [Chapter(name, "\n".join(texts[page:end])) for (name, page), end in zip(starts, ends, strict=True)]
    return Book(title, chapters, author)


def _outline(reader: "PdfReader", entries: Sequence[Any]) -> Iterator[tuple[str, int]]:
    """Yield the titles and page indices of the outline's upper level; of several on a page the first."""
    last = -1
    for entry in entries:
        if isinstance(entry, list):
            continue
        number = reader.get_destination_page_number(entry)
        if number is not None and number > last:
            last = number
            yield str(entry.title), number


def cleaned(pages: Sequence[Sequence[str]]) -> list[str]:
    """Return the text of pages, without their numbers and running titles, and with divided words joined.

    `pages`: the lines of each. A running title is at the edge of at least a third of the pages, and of three.
    """
    edges = Counter(key for lines in pages for key in {_key(line) for line in (*lines[:_EDGES], *lines[-_EDGES:])})
    texts = []
    for lines in pages:
        kept = list(lines)
        for _ in range(_EDGES):
            for at in (0, -1):
                if kept and (_NUMBER.fullmatch(kept[at]) or edges[_key(kept[at])] >= max(3, len(pages) / 3)):
                    kept.pop(at)
        texts.append(re.sub(r"(?<=[^\W\d_])[-\u00ad\u2010]\n(?=[^\W\d_A-Z])", "", "\n".join(kept)))
    return texts


def _key(line: str) -> str:
    return re.sub(r"\d+", "#", line)
