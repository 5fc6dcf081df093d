"""Decoding of text files: byte order marks and invalid bytes."""

import contextlib
import gzip
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.material import cut
from voice_cli.errors import FileError
from voice_cli.script.text_encoding import FORMATS, MARKS, TextDecoder, decode_text

TEXT = "Grüß Gott, 世界 👋\nbye"


def in_pieces(data, sizes):
    decoder = TextDecoder("a pipe")
    return "".join(decoder.decode(piece) for piece in cut(data, sizes)) + decoder.decode(b"", final=True)


@pytest.mark.parametrize(("mark", "encoding"), MARKS.items())
@given(sizes=st.lists(st.integers(1, 9), min_size=1))
def test_a_byte_order_mark_sets_the_encoding(mark, encoding, sizes):
    assert in_pieces(mark + TEXT.encode(encoding), sizes) == TEXT


@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffd")))
def test_utf8_without_a_mark(text):
    if not any(text.encode().startswith(first) for first in FORMATS):
        assert decode_text(text.encode(), "a") == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\xef", "\ufffd"),
        (b"\xff\xfe", ""),
        (b"\xff\xfeH\0i", "H\ufffd"),
        (b"caf\xe9 noir", "caf\ufffd noir"),
        ("Die Größe der Flüsse überrascht, schön für Käufer.".encode("latin-1"), None),
        (b"\x1b[31mred\x1b[0m \x1b[1mbold\x1b[0m", "\x1b[31mred\x1b[0m \x1b[1mbold\x1b[0m"),
        (b"/etc/hosts\0/etc/passwd\0" * 9, "/etc/hosts\0/etc/passwd\0" * 9),
    ],
)
def test_few_invalid_bytes_are_replaced(data, text):
    assert decode_text(data, "a") == (data.decode("utf-8", "replace") if text is None else text)


NOT_TEXT = {
    "random bytes": random.Random(1).randbytes(5000),
    "UTF-16 without a mark": "This is text of sixteen bits.".encode("utf-16-le"),
    "Cyrillic in an encoding of 8 bits": "Съешь же ещё этих мягких французских булок".encode("cp1251"),
    "audio": bytes(range(256)) * 8,
    "gzip": gzip.compress(TEXT.encode()),
    "text, then a program": b"#!/bin/sh\n" * 500 + random.Random(2).randbytes(9000),
    **{name: first + b" and so on" for first, name in FORMATS.items()},
}


@pytest.mark.parametrize("data", NOT_TEXT.values(), ids=NOT_TEXT.keys())
def test_bytes_that_are_not_text_are_refused(data):
    with pytest.raises(FileError, match=r"^notes\.txt is not text: it "):
        decode_text(data, "notes.txt")


@given(data=st.binary(max_size=300), sizes=st.lists(st.integers(1, 50), min_size=1))
def test_any_bytes_are_text_or_refused(data, sizes):
    try:
        whole = decode_text(data, "a")
    except FileError:
        return
    with contextlib.suppress(FileError):  # short pieces are checked separately
        assert in_pieces(data, sizes) == whole
