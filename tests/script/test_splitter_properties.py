"""Properties of the splitter for any text and any cut."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from script.work import lines_run, repeated

from voice_cli.script.ends import CONTEXT, SPACES
from voice_cli.script.splitter import _PIECE, Boundary, Splitter

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
MAX_CHARS = st.sampled_from([16, 40, 80, 400])
EVERY = st.sampled_from([None, *Boundary])


def split(text: str, sizes: list[int] | None = None, **options: object) -> list[str]:
    splitter = Splitter(**options)
    utterances: list[str] = []
    at, turn = 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)] if sizes else len(text)
        utterances += splitter.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    return utterances + splitter.finish()


@settings(max_examples=600)
@given(TEXTS, st.lists(st.integers(1, 40), min_size=1, max_size=8), MAX_CHARS, st.booleans())
@example("x\n\r\n\r  y", [1], 400, True)
@example("“Stop!”\u2029  \n\n 1. a", [1], 400, True)
def test_any_cut_gives_the_same_utterances(text, sizes, max_chars, join_sentences):
    options = {"max_chars": max_chars, "join_sentences": join_sentences}
    whole = split(text, **options)
    assert split(text, sizes, **options) == whole
    assert split(text, [1], **options) == whole


@settings(max_examples=200)
@given(TEXTS, st.lists(st.integers(1, 40), min_size=1, max_size=8), st.sampled_from(Boundary))
def test_any_cut_gives_the_same_for_every_boundary(text, sizes, every):
    whole = split(text, every=every)
    assert split(text, sizes, every=every) == split(text, [1], every=every) == whole
    assert "".join(whole) == text


@settings(max_examples=300)
@given(TEXTS, MAX_CHARS, st.sampled_from(["", "de", "en", "fr", "xx"]))
def test_joined_utterances_are_the_text(text, max_chars, language):
    utterances = split(text, max_chars=max_chars, language=language)
    assert "".join(utterances) == text
    assert all(0 < len(utterance) <= max_chars for utterance in utterances)


@settings(max_examples=300)
@given(TEXTS, st.lists(st.tuples(st.integers(1, 30), st.booleans()), min_size=1, max_size=8), EVERY)
def test_pauses_lose_nothing(text, steps, every):
    splitter = Splitter(max_chars=60, every=every)
    utterances: list[str] = []
    at, turn = 0, 0
    while at < len(text):
        size, pauses = steps[turn % len(steps)]
        utterances += splitter.feed(text[at : at + size])
        if pauses:
            utterances += splitter.pause()
        at, turn = at + size, turn + 1
    utterances += splitter.finish()
    assert "".join(utterances) == text
    assert all(len(utterance) <= 60 for utterance in utterances)


UNITS = [
    *[
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
    "The quick brown fox, they say, jumps over Dr. Smith's dog at 3.30 pm. Then it left! ",
]


def feed_characters(text: str) -> None:
    splitter = Splitter()
    for char in text:
        splitter.feed(char)
    splitter.finish()


@pytest.mark.parametrize("unit", UNITS)
def test_the_buffered_text_is_bounded(unit):
    splitter = Splitter(max_chars=400)
    scanner = splitter._scanner
    for char in repeated(unit, 10_000):
        splitter.feed(char)
        assert len(scanner.text) <= CONTEXT + _PIECE // 4 + 400 + 100
        assert len(scanner.text) - splitter._start <= 400 + 100
        assert len(scanner.text) - scanner.position <= SPACES
        assert len(splitter._marks) <= 200


@pytest.mark.parametrize("unit", UNITS)
def test_work_grows_linearly(unit):
    work = lines_run(feed_characters, repeated(unit, 2000))
    assert lines_run(feed_characters, repeated(unit, 4000)) < 2.5 * work, "quadratic work would quadruple"
