"""Chapters of Markdown and of plain text."""

import pytest

from voice_cli.books.book import PART_CHARACTERS
from voice_cli.books.reading import read_book
from voice_cli.errors import FileError, UsageError


def read(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_book(str(path))


def chapters(book):
    return [(chapter.title, chapter.text) for chapter in book.chapters]


def test_headings_of_markdown_are_chapters(tmp_path):
    book = read(tmp_path, "b.md", "# Book\n\nHi.\n\n## *One* [x](y)\na\n### In\nb\n\nTwo\n---\nc\n```\n# no\n```\n")
    assert book.title == "Book"
    assert chapters(book) == [
        ("Book", "# Book\n\nHi.\n\n"),
        ("One x", "## *One* [x](y)\na\n### In\nb\n\n"),
        ("Two", "Two\n---\nc\n```\n# no\n```\n"),
    ]
    assert {chapter.markdown for chapter in book.chapters} == {"on"}


def test_several_headings_of_the_highest_level_are_the_chapters(tmp_path):
    book = read(tmp_path, "b.md", "before\n# A\na\n## in\nb\n# B\nc\n")
    assert [title for title, _ in chapters(book)] == ["Opening", "A", "B"]
    assert book.title == "b"


def test_the_joined_chapters_of_markdown_are_its_text(tmp_path):
    text = "x\n\nOne\n===\n\ny\n- a\n---\n## Two ##\n~~~\n## no\n~~~\n#nospace\n\nz"
    assert "".join(chapter.text for chapter in read(tmp_path, "b.md", text).chapters) == text


def test_the_header_of_markdown_has_title_and_author(tmp_path):
    book = read(tmp_path, "b.md", '---\ntitle: "A book"\nauthor: Ann\nlang: de\n---\n# One\na\n# Two\nb\n')
    assert (book.title, book.author, book.language, len(book.chapters)) == ("A book", "Ann", "de", 2)


def test_a_chapter_of_which_nothing_is_read_is_left_out(tmp_path):
    book = read(tmp_path, "b.md", "```\nprint(1)\n```\n<!-- a comment -->\n\n# One\na\n# Two\nb\n")
    assert [title for title, _ in chapters(book)] == ["One", "Two"]
    with pytest.raises(FileError, match="has no text to read"):
        read(tmp_path, "b.md", "```\nprint(1)\n```\n")


def test_form_feeds_divide_plain_text(tmp_path):
    book = read(tmp_path, "b.txt", "First\n\ntext\f" + "x" * 90 + "\f\fThird\n")
    assert [title for title, _ in chapters(book)] == ["First", "Part 2", "Third"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_that_name_a_chapter_divide_plain_text(tmp_path, end):
    text = "A tale\n\nCHAPTER I. The start\n\nIn chapter 2\nall ends.\n\nChapter Two\n\nEnd.\n\nEpilogue\n\nx\n"
    book = read(tmp_path, "b.txt", text.replace("\n", end))
    assert [title for title, _ in chapters(book)] == ["Opening", "CHAPTER I. The start", "Chapter Two", "Epilogue"]
    assert {chapter.markdown for chapter in book.chapters} == {"auto"}


def test_a_long_text_without_chapters_is_divided_at_paragraphs(tmp_path):
    paragraph = "word " * 200 + "end.\n\n"
    text = paragraph * 100
    book = read(tmp_path, "b.txt", text)
    assert "".join(chapter.text for chapter in book.chapters) == text
    assert [chapter.title for chapter in book.chapters] == ["Part 1", "Part 2", "Part 3", "Part 4"]
    assert all(len(chapter.text) <= PART_CHARACTERS + 2 * len(paragraph) for chapter in book.chapters)


def test_a_short_text_is_one_chapter(tmp_path):
    assert chapters(read(tmp_path, "b.txt", "Hello.\n")) == [("Text", "Hello.\n")]


@pytest.mark.parametrize(
    ("name", "data"), [("b.txt", bytes(range(256)) * 20), ("b.md", b"%PDF-1.4"), ("b.txt", b" \n")]
)
def test_what_is_no_text_is_an_error(tmp_path, name, data):
    with pytest.raises(FileError):
        read(tmp_path, name, data)


def test_an_unknown_suffix_and_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"no book format has the suffix '\.doc'"):
        read_book(str(tmp_path / "b.doc"))
    for name in ("none.txt", "none.epub", "none.pdf", "none.html"):
        with pytest.raises(FileError, match="cannot read"):
            read_book(str(tmp_path / name))


def test_limits(tmp_path, monkeypatch):
    monkeypatch.setattr("voice_cli.books.reading.MAX_FILE_BYTES", 10)
    with pytest.raises(FileError, match="is larger than"):
        read(tmp_path, "b.txt", "word " * 10)
    monkeypatch.undo()
    monkeypatch.setattr("voice_cli.books.book.MAX_CHARACTERS", 10)
    with pytest.raises(FileError, match="more than 10 characters"):
        read(tmp_path, "b.txt", "word " * 10)
    monkeypatch.undo()
    monkeypatch.setattr("voice_cli.books.book.MAX_CHAPTERS", 2)
    with pytest.raises(FileError, match="more than 2 chapters"):
        read(tmp_path, "b.txt", "a\fb\fc")
