"""EPUB 2 and 3, made by hand."""

import pytest

from support.books import epub, png
from voice_cli.books.reading import read_book
from voice_cli.errors import FileError

PAGES = {
    "cover.xhtml": '<img src="images/cover.png" alt="Cover"/>',
    "one.xhtml": "<h1>The start</h1><p>It began.</p>",
    "one-b.xhtml": "<p>It went on.</p>",
    "two.xhtml": '<h2 id="two">Second</h2><p>Then this.</p><h2 id="three">Third</h2><p>At last.</p>',
}
CONTENTS = [("one.xhtml", "One"), ("two.xhtml#two", "Two"), ("two.xhtml#three", "Three")]


@pytest.mark.parametrize("version", [2, 3])
def test_the_table_of_contents_has_the_chapters(tmp_path, version):
    book = read_book(str(epub(tmp_path / "b.epub", PAGES, version=version, contents=CONTENTS)))
    assert (book.title, book.author, book.language) == ("The & Book", "Ann Example, Bob Other", "en-GB")
    assert book.cover == png()
    assert [tuple(chapter) for chapter in book.chapters] == [
        ("One", "The start.\n\nIt began.\n\nIt went on.\n\n", "off"),
        ("Two", "Second.\n\nThen this.\n\n", "off"),
        ("Three", "Third.\n\nAt last.\n\n", "off"),
    ]


def test_without_a_table_of_contents_each_page_is_a_chapter(tmp_path):
    book = read_book(str(epub(tmp_path / "b.epub", PAGES, version=2)))
    assert [chapter.title for chapter in book.chapters] == ["The start", "one-b.xhtml", "Second"]


def test_text_before_the_first_entry_is_a_chapter(tmp_path):
    book = read_book(str(epub(tmp_path / "b.epub", PAGES, contents=CONTENTS[1:])))
    assert [chapter.title for chapter in book.chapters] == ["The start", "Two", "Three"]


def test_an_entry_whose_anchor_is_missing_begins_at_its_page(tmp_path):
    book = read_book(str(epub(tmp_path / "b.epub", PAGES, contents=[("one.xhtml#none", "One"), ("two.xhtml", "Two")])))
    assert [chapter.title for chapter in book.chapters] == ["One", "Two"]


def test_pages_outside_of_the_reading_order_are_left_out(tmp_path):
    pages = PAGES | {"notes.xhtml": "<p>A note.</p>"}
    texts = []
    for linear in ("yes", "no"):
        path = epub(tmp_path / "b.epub", pages, linear={"notes.xhtml": linear})
        texts.append("".join(chapter.text for chapter in read_book(str(path)).chapters))
    assert ["A note." in text for text in texts] == [True, False]


def test_the_text_is_bounded_while_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("voice_cli.books.epub.MAX_CHARACTERS", 20)
    with pytest.raises(FileError, match="more than 20 characters"):
        read_book(str(epub(tmp_path / "b.epub", PAGES)))


def test_encrypted_text_is_protected_and_encrypted_fonts_are_not(tmp_path):
    path = epub(tmp_path / "b.epub", PAGES, encrypted=["OEBPS/font.ttf"])
    assert read_book(str(path)).chapters
    path = epub(tmp_path / "b.epub", PAGES, encrypted=["OEBPS/one.xhtml"])
    with pytest.raises(FileError, match="is protected"):
        read_book(str(path))


def test_a_book_without_text_is_an_error(tmp_path):
    with pytest.raises(FileError, match="has no text to read"):
        read_book(str(epub(tmp_path / "b.epub", {"cover.xhtml": "<img src='x.png'/>"})))


def test_a_missing_page_is_an_error_that_names_it(tmp_path):
    extra = {"OEBPS/book.opf": '<package><manifest><item id="a" href="gone.xhtml" media-type="text/html"/></manifest>'
             '<spine><itemref idref="a"/></spine></package>'}  # fmt: skip
    path = epub(tmp_path / "b.epub", PAGES, extra=extra)
    with pytest.raises(FileError, match=r"it has no OEBPS/gone\.xhtml"):
        read_book(str(path))
