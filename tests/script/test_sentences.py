"""Where sentences end: the labelled table, every case, whole and character by character."""

import pytest
from script.sentence_cases import CASES, SAID, cases

from voice_cli.script.boundaries import Boundary, Scanner

BY_LANGUAGE = cases(CASES)
WHERE_SAID = cases(SAID)


def marked(text: str, language: str, size: int) -> str:
    """Give the text with a bar where a sentence ends, except at its end."""
    scanner = Scanner(language)
    ends: set[int] = set()

    def scan() -> None:
        while found := scanner.next(len(text)):
            offset, boundary = found
            if boundary >= Boundary.SENTENCE and text[offset:].strip():
                ends.add(offset)

    for at in range(0, len(text), size):
        scanner.text += text[at : at + size]
        scan()
    scanner.final = True
    scan()
    return "".join("|" * (at in ends) + char for at, char in enumerate(text))


def test_the_table_is_what_the_issue_asks_for():
    assert len({text for _, text in BY_LANGUAGE + WHERE_SAID}) >= 200
    assert len(CASES) >= 10


@pytest.mark.parametrize(("language", "label"), BY_LANGUAGE + WHERE_SAID)
def test_with_the_language_said(language, label):
    text = label.replace("|", "")
    assert marked(text, language, len(text)) == label
    assert marked(text, language, 1) == label


@pytest.mark.parametrize(("language", "label"), BY_LANGUAGE)
def test_without(language, label):
    text = label.replace("|", "")
    assert marked(text, "", len(text)) == label
    assert marked(text, "", 1) == label
