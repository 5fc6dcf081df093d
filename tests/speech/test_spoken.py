"""The spoken text: by word if word times are known, otherwise by utterance."""

import re
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.backends.base import WordEvent
from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance
from voice_cli.speech.spoken import CUE_CHARS, Word, cues, sentence_starts, sort_text, subtitles, words_of


def line(text):
    return Line(text, text.strip())


def section(start, end, *words, lead=0.0):
    """Return the section of a stream with words: (position in the text, length, seconds in the stream)."""
    return start, end, lead, SimpleNamespace(words=[WordEvent(*word) for word in words], marks=())


def utterance(line, section):
    """Return the utterance for a line."""
    start, end, lead, stream = section
    made = Utterance(line, stream)
    made.start, made.end, made.lead = start, end, lead
    return made


def utterances(lines, sections):
    return [utterance(*both) for both in zip(lines, sections, strict=False)]


def said(utterances, heard):
    """Return the text that was heard if the first `heard` seconds were, without a jump."""
    return sort_text(utterances, [(0.0, heard)])[0]


def silent(start, end):
    """Return the section of a stream without word times."""
    return section(start, end)


HELLO = line("Hello there, you.")
HELLO_SECTION = section(1.0, 2.5, (0, 5, 0.0), (6, 5, 0.4), (13, 3, 0.9))

LINES = [line("One and two. "), line("Three.")]
SECTIONS = [section(0.0, 1.2, (0, 3, 0.0), (4, 3, 0.4), (8, 3, 0.7)), section(1.5, 2.0, (0, 5, 0.2), lead=0.2)]


def test_word_includes_the_space_before_and_the_mark_after():
    assert words_of(utterance(HELLO, HELLO_SECTION)) == [
        Word("Hello", 1.0, 1.4),
        Word(" there,", 1.4, 1.9),
        Word(" you.", 1.9, 2.5),
    ]


def test_trimmed_leading_silence_moves_the_words():
    assert words_of(utterance(line("Hi"), section(3.0, 3.5, (0, 2, 0.25), lead=0.2))) == [
        Word("Hi", pytest.approx(3.05), 3.5)
    ]
    assert words_of(utterance(line("Hi"), section(3.0, 3.5, (0, 2, 0.1), lead=0.2))) == [Word("Hi", 3.0, 3.5)]


def test_several_words_at_one_position_are_one_word():
    timed = section(0.0, 3.0, (0, 2, 0.0), (3, 4, 0.2), (3, 4, 0.8), (3, 4, 1.3), (8, 3, 2.0))
    assert words_of(utterance(line("In 1999 and"), timed)) == [
        Word("In", 0.0, 0.2),
        Word(" 1999", 0.2, 2.0),
        Word(" and", 2.0, 3.0),
    ]


def test_words_keep_white_space_of_the_text():
    timed = words_of(
        utterance(Line("\n  Hello \n there. ", "Hello there."), section(0.0, 1.0, (0, 5, 0.0), (6, 5, 0.4)))
    )
    assert [word.text for word in timed] == ["\n  Hello", " \n there. "]


@pytest.mark.parametrize(
    ("given", "timed"),
    [
        (Line("nginx", "engine x"), section(0.0, 1.0, (0, 6, 0.0), (7, 1, 0.5))),
        (line("Hello"), silent(0.0, 1.0)),
        (line("Hello"), section(0.0, 1.0)),
        (line("Hello"), section(0.0, 1.0, (0, 0, 0.0))),
    ],
)
def test_words_are_none_if_times_are_missing_or_text_differs(given, timed):
    assert words_of(utterance(given, timed)) is None


@given(
    st.text("ab .,é語\u0301-", max_size=40).filter(str.strip),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=12),
)
def test_joined_words_are_the_text(text, places):
    spoken = " ".join(text.split())
    timed = section(0.0, 9.0, *((start, length, at / 10) for at, (start, length) in enumerate(places)))
    words = words_of(utterance(Line(text, spoken), timed))
    if words is not None:
        assert "".join(word.text for word in words) == text
        assert all(word.start <= word.end for word in words)


@pytest.mark.parametrize(
    ("heard", "text"),
    [
        (0.0, ""),
        (0.39, ""),
        (0.4, "One"),
        (0.9, "One and"),
        (1.2, "One and two. "),
        (1.9, "One and two. "),
        (2.0, "One and two. Three."),
        (9.0, "One and two. Three."),
    ],
)
def test_said_returns_whole_words(heard, text):
    assert said(utterances(LINES, SECTIONS), heard) == text


def test_without_words_said_goes_by_utterance():
    sections = [silent(0.0, 1.0), silent(1.3, 2.0)]
    assert said(utterances(LINES, sections), 0.99) == ""
    assert said(utterances(LINES, sections), 1.0) == "One and two. "


def test_an_utterance_without_an_end_was_not_said():
    assert said(utterances(LINES, [silent(0.0, 1.0), silent(1.3, None)]), 9.0) == "One and two. "
    assert said(utterances(LINES, [silent(0.0, None)]), 9.0) == ""
    assert said(utterances([line("a"), *LINES], [silent(0.0, 1.0)]), 9.0) == "a"


def test_sentences_start_at_their_first_words():
    text = line("Dr. Who came. He saw! Then (he) left")
    places = [(0, 3), (4, 3), (8, 5), (14, 2), (17, 4), (22, 4), (27, 4), (32, 4)]
    timed = section(1.0, 9.0, *((start, length, float(at)) for at, (start, length) in enumerate(places)), lead=0.0)
    assert sentence_starts(utterance(text, timed)) == [1.0, 4.0, 6.0]
    assert sentence_starts(utterance(text, silent(1.0, 9.0))) == [1.0]


@pytest.mark.parametrize(
    ("spans", "texts"),
    [
        ([(0.0, 0.9)], ("One and", "", " two. Three.")),
        ([(0.0, 2.0)], ("One and two. Three.", "", "")),
        ([(0.0, 0.5), (1.5, 2.0)], ("OneThree.", " and two. ", "")),
        ([(0.0, 0.5), (1.5, 1.6)], ("One", " and two. ", "Three.")),
        ([(0.0, 0.5), (2.0, 2.0)], ("One", " and two. Three.", "")),
        ([(0.0, 1.9), (0.0, 0.5)], ("One and two. ", "", "Three.")),
        ([(0.0, 0.5), (1.5, 1.9), (0.4, 2.0)], ("One and two. Three.", "", "")),
    ],
)
def test_each_word_was_heard_or_skipped_or_remains(spans, texts):
    assert sort_text(utterances(LINES, SECTIONS), spans) == texts


def test_an_utterance_without_a_start_remains():
    assert (
        sort_text([*utterances(LINES, SECTIONS), Utterance(line("End."), SimpleNamespace(words=[]))], [(0.0, 9.0)])[2]
        == "End."
    )


@given(st.lists(st.tuples(st.floats(0, 2.5), st.floats(0, 2.5)), min_size=1, max_size=4))
def test_the_three_texts_are_the_whole_text(spans):
    texts = sort_text(utterances(LINES, SECTIONS), [(min(span), max(span)) for span in spans])
    assert sorted("".join(texts)) == sorted("One and two. Three.")


def test_cues_have_a_maximum_length_and_end_at_the_stop():
    long = line("word and " * 40)
    found = list(cues(utterances([long, LINES[0]], [silent(0.5, 12.5), silent(13.0, 14.0)]), 13.5))
    assert all(len(cue.text) <= CUE_CHARS for cue in found)
    assert " ".join(cue.text for cue in found) == " ".join((long.text + LINES[0].text).split())
    assert found[0].start == 0.5
    assert found[-1].end == 13.5
    assert all(one.end <= two.start + 1e-9 for one, two in pairwise(found))
    assert list(cues(utterances([long], [silent(0.5, 12.5)]), 0.0)) == []


def test_cues_have_the_times_of_known_words():
    assert list(cues(utterances([HELLO], [HELLO_SECTION]), 9.0)) == [Word("Hello there, you.", 1.0, 2.5)]
    assert list(cues(utterances([HELLO], [HELLO_SECTION]), 1.5)) == [Word("Hello there,", 1.0, 1.5)]


def test_subrip():
    assert subtitles(iter([Word("One & <two>", 0.0, 1.25), Word("a --> b", 3661.0, 3662.9996)]), vtt=False) == (
        "1\n00:00:00,000 --> 00:00:01,250\nOne & <two>\n\n2\n01:01:01,000 --> 01:01:03,000\na → b\n"
    )


def test_webvtt():
    text = subtitles(iter([Word("One & <two>", 0.5, 1.25)]), vtt=True)
    assert text == "WEBVTT\n\n1\n00:00:00.500 --> 00:00:01.250\nOne &amp; &lt;two>\n"
    assert subtitles(iter([]), vtt=True) == "WEBVTT\n"
    assert subtitles(iter([]), vtt=False) == ""


@given(st.lists(st.tuples(st.text(max_size=50), st.floats(0, 1e5), st.floats(0, 100)), max_size=5))
def test_each_cue_is_one_block(found):
    lines = [line(text) for text, *_ in found]
    at, sections = 0.0, []
    for _, start, length in found:
        sections.append(silent(at + start, at + start + length))
        at += start + length
    made = list(cues(utterances(lines, sections), 1e9))
    blocks = [block for block in subtitles(iter(made), vtt=True).split("\n\n")[1:] if block]
    assert len(blocks) == len(made)
    for block in blocks:
        assert re.match(r"\d+\n\d\d+:\d\d:\d\d\.\d{3} --> \d\d+:\d\d:\d\d\.\d{3}\n", block)


def test_marks_of_a_stream_replace_sentences():
    spoken = utterance(line("One. Two."), section(2.0, 6.0, (0, 3, 0.0), (5, 3, 1.0)))
    spoken.decoded_seconds = 3.0
    spoken.stream.marks = (0.0, 0.5, 3.0, 3.5)
    assert sentence_starts(spoken) == [2.0, 2.5, 5.0]
