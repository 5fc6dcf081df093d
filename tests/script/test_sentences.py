"""Sentence ends of the labelled table, in one piece and character by character."""

import pytest
from script.sentence_cases import CASES, SAID, cases

from voice_cli.script import abbreviations
from voice_cli.script.boundaries import Boundary, Scanner

BY_LANGUAGE = cases(CASES)
WHERE_SAID = cases(SAID)


def boundaries(text: str, language: str, size: int) -> list[tuple[int, Boundary]]:
    """Return the boundaries found in text fed in pieces of `size` characters."""
    scanner = Scanner(language)
    found: list[tuple[int, Boundary]] = []
    for at in range(0, len(text), size):
        scanner.text += text[at : at + size]
        found += iter(lambda: scanner.next(len(text)), None)
    scanner.final = True
    return found + list(iter(lambda: scanner.next(len(text)), None))


def marked(text: str, language: str, size: int) -> str:
    """Return the text with a bar at each sentence end except the last."""
    found = boundaries(text, language, size)
    ends = {at for at, boundary in found if boundary >= Boundary.SENTENCE and text[at:].strip()}
    return "".join("|" * (at in ends) + char for at, char in enumerate(text))


def test_the_table_is_large():
    assert len({text for _, text in BY_LANGUAGE + WHERE_SAID}) >= 200
    assert len(CASES) >= 10


@pytest.mark.parametrize(("language", "label"), BY_LANGUAGE + WHERE_SAID)
def test_sentence_ends_with_a_language(language, label):
    text = label.replace("|", "")
    assert marked(text, language, len(text)) == label
    assert marked(text, language, 1) == label


@pytest.mark.parametrize(("language", "label"), BY_LANGUAGE)
def test_sentence_ends_without_a_language(language, label):
    text = label.replace("|", "")
    assert marked(text, "", len(text)) == label
    assert marked(text, "", 1) == label


@pytest.mark.parametrize("language", ["", "de"])
def test_no_abbreviation_crosses_a_paragraph(language):
    text = "Es ist z.\n\nB. kam. "
    assert boundaries(text, language, len(text)) == boundaries(text, language, 1)


@pytest.mark.parametrize("table", [abbreviations._table, abbreviations._pair_starts, abbreviations._starters])
def test_languages_without_a_table_share_one(table):
    assert table("xx") is table("yy") is table("")
    assert table("de") != table("")
