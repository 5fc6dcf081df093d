"""PDF, written by pypdf."""

import sys

import pytest

from support.books import pdf
from voice_cli.books.pdf import cleaned
from voice_cli.books.reading import read_book
from voice_cli.errors import EngineError, FileError

PAGES = [["Title"], ["Chapter one", "It began."], ["It went", "on."], ["Chapter two", "It ended."]]


def test_the_outline_has_the_chapters(tmp_path):
    path = pdf(tmp_path / "b.pdf", PAGES, outline=[("One", 1), ("Same page", 1), ("Two", 3)], title="A book")
    book = read_book(str(path))
    assert (book.title, book.author) == ("A book", "Ann Example")
    assert [(chapter.title, chapter.text.split()) for chapter in book.chapters] == [
        ("Opening", ["Title"]),
        ("One", ["Chapter", "one", "It", "began.", "It", "went", "on."]),
        ("Two", ["Chapter", "two", "It", "ended."]),
    ]


def test_without_an_outline_it_is_one_text(tmp_path):
    book = read_book(str(pdf(tmp_path / "b.pdf", PAGES)))
    assert (book.title, len(book.chapters)) == ("b", 1)


def test_page_numbers_and_running_titles_are_left_out():
    body = ["alpha", "beta", "gamma", "delta"]
    pages = [[f"{number} A Running Title", word, f"more {word}", f"- {number} -"] for number, word in enumerate(body)]
    assert cleaned([*pages, ["iv", "Last"]]) == [*(f"{word}\nmore {word}" for word in body), "Last"]


def test_divided_words_are_joined():
    assert cleaned([["It is won-", "derful, Jean-", "Paul."]]) == ["It is wonderful, Jean-\nPaul."]


def test_a_password_and_damage_are_errors(tmp_path):
    path = pdf(tmp_path / "b.pdf", PAGES, password="secret")
    with pytest.raises(FileError, match="is protected by a password"):
        read_book(str(path))
    whole = pdf(tmp_path / "b.pdf", PAGES).read_bytes()
    for data in (b"", b"words", whole[:200], whole.replace(b"/Pages", b"/Pagez")):
        path.write_bytes(data)
        with pytest.raises(FileError):
            read_book(str(path))


def test_pypdf_is_an_extra(tmp_path, monkeypatch):
    path = pdf(tmp_path / "b.pdf", PAGES)
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(EngineError, match="needs the package pypdf"):
        read_book(str(path))
