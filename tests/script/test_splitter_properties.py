"""What holds for every text and every cut of it."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voice_cli.script.splitter import Boundary, Splitter, Utterance

PIECES = [
    *" \n\t.,;:!?…—-\"'()[]`«»“”„‘’。！？，、」「।؟،։።·",
    *["\n\n", "\r\n", "\r", " \n \n", "\n- ", "\n1. ", "...", "--", " - ", " – ", "\u00a0", "\u2029"],
    *["Dr.", "e.g.", "U.S.", "z. B.", "p. ej.", "M. Dupont", "etc.", "J. R. R. ", "No. 5", "3. Oktober", "The", "he"],
    *["3.30 pm", "1,000.50", "v2.1", "10:30", "192.168.0.1", "https://a.b/c,d?e=f.", "me@x.org", "a.txt", "[12]"],
    *[
        "word",
        "I",
        "a",
        "Und",
        "é",
        "e\u0301",
        "你好",
        "ですか",
        "ไทย",
        "नमस्ते",
        "مرحبا",
        "👨‍👩‍👧",
        "🇩🇪🇫🇷",
        "\ud800",
        "\x00",
    ],
]
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=120).map("".join), st.text(max_size=300))
BOUNDS = st.sampled_from([(400, 200), (16, 1), (40, 20), (80, 200), (4096, 200)])


def split(text: str, sizes: list[int] | None = None, **options: object) -> list[Utterance]:
    splitter = Splitter(**options)
    given: list[Utterance] = []
    at, turn = 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)] if sizes else len(text)
        given += splitter.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    return given + splitter.finish()


@settings(max_examples=600, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 40), min_size=1, max_size=8), BOUNDS, st.booleans())
@example("x\n\r\n\r  y", [1], (400, 200), True)
@example("“Stop!”\u2029  \n\n 1. a", [1], (400, 200), True)
def test_any_cut_gives_the_same_utterances(text, sizes, bounds, gathers):
    options = {"max_chars": bounds[0], "preferred": bounds[1], "gathers": gathers}
    whole = split(text, **options)
    assert split(text, sizes, **options) == whole
    assert split(text, [1], **options) == whole


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(st.integers(1, 40), min_size=1, max_size=8), st.sampled_from(Boundary))
def test_any_cut_gives_the_same_where_every_boundary_ends_one(text, sizes, every):
    whole = split(text, every=every)
    assert split(text, sizes, every=every) == split(text, [1], every=every) == whole
    assert "".join(utterance.text for utterance in whole) == text


@settings(max_examples=300, deadline=None)
@given(TEXTS, BOUNDS, st.sampled_from(["", "de", "en", "fr", "xx"]))
def test_the_utterances_are_the_text(text, bounds, language):
    given = split(text, max_chars=bounds[0], preferred=bounds[1], language=language)
    assert "".join(utterance.text for utterance in given) == text
    at = 0
    for utterance in given:
        assert (utterance.start, utterance.end) == (at, at + len(utterance.text))
        assert utterance.spoken == utterance.text.strip()
        assert 0 < len(utterance.text) <= bounds[0]
        at = utterance.end


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(st.tuples(st.integers(1, 30), st.sampled_from([None, *Boundary])), min_size=1, max_size=8))
def test_pauses_lose_nothing(text, steps):
    splitter = Splitter(max_chars=60)
    given: list[Utterance] = []
    at, turn = 0, 0
    while at < len(text):
        size, least = steps[turn % len(steps)]
        given += splitter.feed(text[at : at + size])
        if least:
            given += splitter.pause(least)
        at, turn = at + size, turn + 1
    given += splitter.finish()
    assert "".join(utterance.text for utterance in given) == text
    assert all(len(utterance.text) <= 60 for utterance in given)


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "!",
        "\n",
        "。",
        ". ",
        "`",
        "1. ",
        "é",
        "你",
        "- ",
        ", ",
        "Dr. ",
        '("',
        "and so on,\n",
        "\r",
        "[1]",
        "🇩🇪",
    ],
)
def test_what_is_held_is_bounded_and_each_character_costs_the_same(unit):
    splitter = Splitter()
    count = 0
    begun = time.perf_counter()
    for char in unit * (60_000 // len(unit)):
        count += sum(len(utterance.text) for utterance in splitter.feed(char))
        assert len(splitter._scanner.text) < 4096
        assert len(splitter._marks) <= 400
    count += sum(len(utterance.text) for utterance in splitter.finish())
    assert count == 60_000 // len(unit) * len(unit)
    assert time.perf_counter() - begun < 20


def test_a_megabyte_one_character_at_a_time():
    text = "The quick brown fox, they say, jumps over Dr. Smith's dog at 3.30 pm. Then it left! " * 12_000
    begun = time.perf_counter()
    splitter = Splitter()
    given = [utterance for char in text for utterance in splitter.feed(char)] + splitter.finish()
    assert time.perf_counter() - begun < 60  # 3 s where it was written
    assert "".join(utterance.text for utterance in given) == text
    assert given == split(text)


def test_misuse():
    splitter = Splitter()
    splitter.feed("x")
    assert [utterance.text for utterance in splitter.finish()] == ["x"]
    assert splitter.finish() == splitter.pause() == []
    with pytest.raises(RuntimeError):
        splitter.feed("y")
    with pytest.raises(ValueError, match="max_chars"):
        Splitter(max_chars=3)
