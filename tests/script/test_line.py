"""A short text of plain words is one line; any other text needs the reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.script.line import SHORT, Line, plain_line
from voice_cli.script.pauses import Flush
from voice_cli.script.reader import LineReader


@pytest.mark.parametrize(
    "text", ["Hello", "It is 3.30 pm, Dr. Smith.", "Grüß Gott", "Why? No!", "a" * SHORT, "1 (one)"]
)
def test_plain_words_are_one_line(text):
    assert plain_line(text) == Line(text, text, end=len(text))
    assert plain_line(f"  {text} \n") == Line(text, text, end=len(text) + 4)


@pytest.mark.parametrize(
    "text",
    [
        *["", " \n\t", "a" * (SHORT + 1), "two\nlines", "a\0b", "\udce9", "👋 hi", "语", "a\u2028b"],
        *["*so*", "a_b_", "`code`", "# Title", "[a](b)", "<b>", "> quote", "| a |", "~~no~~", "a &amp; b", "\x1b[1mx"],
        *["- item", "+ item", "see https://a.b", "see www.a.b"],
    ],
)
def test_any_other_text_needs_the_reader(text):
    assert plain_line(text) is None


def made_of(parts):
    return " ".join(parts)


WORDS = st.lists(
    st.sampled_from(["Hello", "there,", "Dr.", "3.30", "is", "it?", "Yes.", "(so)", "a;", "'n'"]), max_size=30
)


@given(WORDS.map(made_of))
def test_the_reader_returns_the_same_text(text):
    line = plain_line(text)
    if line is not None:
        lines = LineReader().read(Flush(text))
        assert " ".join(read.spoken for read in lines) == " ".join(line.spoken.split())
        assert " ".join("".join(read.text for read in lines).split()) == " ".join(line.text.split())


@given(st.text(max_size=250))
def test_any_text_is_accepted(text):
    line = plain_line(text)
    assert line is None or (line.text == line.spoken == text.strip() and line.spoken)
