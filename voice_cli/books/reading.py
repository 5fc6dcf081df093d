"""Read a book from a file: EPUB, HTML, Markdown, plain text or PDF."""

import os

from voice_cli.books.book import MAX_FILE_BYTES, Book, checked
from voice_cli.errors import FileError, UsageError
from voice_cli.printable import one_line

SUFFIXES = {
    ".epub": "epub",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "plain",
    ".markdown": "plain",
    ".txt": "plain",
    ".text": "plain",
    ".pdf": "pdf",
}
"""The module that reads a file, by its suffix."""


def read_book(path: str) -> Book:
    """Return the book in a file. Nothing is written, whatever the file has in it.

    Raises:
        UsageError: the format is not known, or a package is missing.
        FileError: it cannot be read, is damaged, protected or too large, or has no text.

    """
    stem, suffix = os.path.splitext(os.path.basename(path))
    reader = SUFFIXES.get(suffix.lower())
    if reader is None:
        raise UsageError(f"{path}: no book format has the suffix {suffix!r}", hint=f"known: {' '.join(SUFFIXES)}")
    try:
        size = os.stat(path).st_size
        if size > MAX_FILE_BYTES:
            raise FileError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB", hint="divide it")
        if reader == "epub":
            from voice_cli.books.epub import read_epub

            book = read_epub(path)
        elif reader == "html":
            from voice_cli.books.html import read_page

            book = read_page(_content(path), path)
        elif reader == "pdf":
            from voice_cli.books.pdf import read_pdf

            book = read_pdf(path)
        else:
            from voice_cli.books.plain import read_text

            book = read_text(_content(path), path, is_markdown=suffix.lower() in (".md", ".markdown"))
    except OSError as exc:
        raise FileError(f"cannot read {path}: {exc.strerror}") from exc
    chapters = [chapter._replace(title=one_line(chapter.title)) for chapter in book.chapters]
    title = one_line(book.title) or one_line(stem)
    return checked(book._replace(title=title, author=one_line(book.author), chapters=chapters))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)  # a special file has no size
    if len(data) > MAX_FILE_BYTES:
        raise FileError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB")
    return data
