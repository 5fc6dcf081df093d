"""A book from a file of any format."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.books.reading import read_book
from voice_cli.errors import FileError, UsageError


@given(title=st.text(st.characters(codec="utf-8"), min_size=1, max_size=300), suffix=st.sampled_from([".md", ".html"]))
def test_titles_have_no_control_characters(tmp_path_factory, title, suffix):
    path = tmp_path_factory.mktemp("book") / f"x{suffix}"
    heading = f"<h1>{title}</h1><p>Words.</p>" if suffix == ".html" else f"# {title}\n\nWords.\n"
    path.write_text(f"{heading}{heading}" if suffix == ".html" else f"{heading}\n{heading}", encoding="utf-8")
    try:
        book = read_book(str(path))
    except FileError:  # the title opens a comment, or the like, and nothing is left
        return
    assert all(chapter.title.isprintable() for chapter in book.chapters)
    assert book.title.isprintable()


@pytest.mark.parametrize("name", ["book", "book.mobi"])
def test_an_unknown_suffix_is_named(tmp_path, name):
    with pytest.raises(UsageError, match="no book format has the suffix"):
        read_book(str(tmp_path / name))
