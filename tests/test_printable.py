"""Outside text is printed without terminal control characters."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.printable import escaped, escaped_text, one_line

DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("Grüß Gott, 世界 👨‍👩‍👧 می‌خواهم", "Grüß Gott, 世界 👨‍👩‍👧 می‌خواهم"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\tc\r\0\x7f\x9b", "a\\x0ab\\x09c\\x0d\\x00\\x7f\\x9b"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert escaped(text) == shown


@given(text=ANY_TEXT)
def test_any_text_is_escaped(text):
    for character in escaped(text):
        assert unicodedata.category(character) not in ("Cc", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in DIRECTIONS


@given(text=ANY_TEXT)
def test_escaped_text_keeps_its_lines(text):
    assert escaped_text(text).count("\n") == text.count("\n")
    assert escaped(escaped_text(text)) == escaped(text)


@given(text=ANY_TEXT, limit=st.integers(1, 300))
def test_one_line_is_printable_and_not_longer_than_its_limit(text, limit):
    line = one_line(text, limit)
    assert line.isprintable()
    assert len(line) <= limit
    assert line == line.strip()


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\r\n  b\x1b[1m\u202e c\0", "a b [1m c"), ("x" * 240, "x" * 240), ("x" * 241, "x" * 239 + "…")],
)
def test_one_line_joins_lines_and_removes_control_characters(text, line):
    assert one_line(text) == line
