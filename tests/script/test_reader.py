"""From text to lines: independent of the cut, without loss, with speaker and pause."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.errors import ConfigError
from voice_cli.script.ends import CONTEXT
from voice_cli.script.markdown import SpokenMarkdown
from voice_cli.script.pauses import Flush
from voice_cli.script.reader import _SILENT_LIMIT, LineReader, lines_of
from voice_cli.script.splitter import _PIECE, Boundary

PIECES = [
    *" \n\t.,;:!?*_`#>|-()[]",
    *[
        "\n\n",
        "**",
        "```\n",
        "\n- ",
        "\n# ",
        "[text](http://x.y/z)",
        "| a | b |\n|---|---|\n",
        "https://a.b/c",
        "&amp;",
    ],
    *[
        "Ann: ",
        "\nAnn: ",
        "\nBob:",
        "\n**Ann:** ",
        "Unknown: ",
        "Dr.",
        "3.30 pm",
        "e.g.",
        "…",
        "。",
        "语",
        "👋",
        "\x1b[1m",
    ],
    *["word ", "and ", "so ", "on, ", "Hello there. ", "\0", "\ud800", "nginx "],
]
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=100).map("".join), st.text(max_size=200))
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=6)


def read(text, sizes=(10**9,), **options):
    reader = LineReader(**options)
    lines, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        lines += reader.read(text[at : at + size])
        at, turn = at + size, turn + 1
    return lines + reader.read(Flush())


def markdown(text, mode="auto"):
    reader = SpokenMarkdown(mode)
    return reader.feed(text) + reader.finish()


@settings(max_examples=300)
@given(TEXTS, CUTS, st.sampled_from([(), ("Ann", "Bob")]), st.sampled_from(["auto", "on", "off"]))
def test_any_cut_gives_the_same_lines(text, sizes, speakers, mode):
    options = {"speakers": speakers, "markdown": mode, "pronounce": {"nginx": "engine x", "so": ""}}
    whole = read(text, **options)
    assert read(text, sizes, **options) == whole
    assert read(text, (1,), **options) == whole


@settings(max_examples=300)
@given(TEXTS, CUTS, st.lists(st.booleans(), min_size=1, max_size=5))
def test_the_joined_lines_are_the_text_of_the_markdown(text, sizes, pauses):
    reader = LineReader()
    lines, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        lines += reader.read(text[at : at + size])
        if pauses[turn % len(pauses)]:
            lines += reader.read(None)
        at, turn = at + size, turn + 1
    lines += reader.read(Flush())
    wanted = markdown(text)
    together = "".join(line.text for line in lines)
    assert wanted.startswith(together)
    assert not any(character.isalnum() for character in wanted[len(together) :])
    for line in lines:
        assert line.spoken
        words = line.spoken.split()
        assert line.text.split()[-len(words) :] == words
        assert line.pause in (0.5, 1.0)
        assert len(line.spoken) <= 400


def test_text_without_a_word_becomes_part_of_the_next_line():
    lines = read("* * *\n\n...\n\nHello.", markdown="off")
    assert [line.spoken for line in lines][-1].endswith("Hello.")
    assert read("... !!! —") == []
    assert read(" \n\t\n") == []


def test_clause_has_half_the_pause_of_a_sentence():
    lines = read("When the sun had set, the old man went home. He slept. “Good night!” And so the story ends at last.")
    assert (lines[0].spoken, lines[0].pause) == ("When the sun had set,", 0.5)
    assert {line.pause for line in lines[1:]} == {1.0}


@pytest.mark.parametrize("end", [*".!?…。！？۔।", '."', "?)", "!»"])
def test_sentence_ends(end):
    assert read(f"So it is{end}")[-1].pause == 1.0


@pytest.mark.parametrize("end", [",", ";", ":", "", " –"])
def test_clause_ends(end):
    assert read(f"So it is{end}")[-1].pause == 0.5


def test_reported_text_is_the_text_before_pronunciation():
    (line,) = read("Nginx is on.", pronounce={"nginx": "engine x"})
    assert (line.text, line.spoken) == ("Nginx is on.", "engine x is on.")


def test_word_with_an_empty_pronunciation_joins_the_next_line():
    lines = read("ugh. Hello there, my friend.", pronounce={"ugh": ""}, markdown="off")
    assert "".join(line.text for line in lines) == "ugh. Hello there, my friend."
    assert all(line.spoken for line in lines)


def test_invalid_pronunciation_is_a_config_error():
    with pytest.raises(ConfigError, match="pronounce"):
        LineReader(pronounce={"/(/": "x"})


def test_each_line_has_its_speaker():
    text = "It begins.\nAnn: Hello there. How are you?\n**Bob:** Fine, fine.\nAnd you?\nann: Me too\n"
    lines = read(text, speakers=("Ann", "Bob"))
    said = {}
    for line in lines:
        said[line.speaker] = f"{said.get(line.speaker, '')} {line.spoken}".strip()
    assert said == {None: "It begins.", "Ann": "Hello there. How are you? Me too", "Bob": "Fine, fine. And you?"}
    order = [line.speaker for line in lines]
    assert [who for at, who in enumerate(order) if not at or who != order[at - 1]] == [None, "Ann", "Bob", "Ann"]


def test_without_speakers_a_name_is_text():
    assert "Ann: Hello" in "".join(line.text for line in read("Ann: Hello"))


def test_pause_returns_speakable_text_and_keeps_the_rest():
    reader = LineReader()
    assert reader.read("Hello there") == []
    assert [line.spoken for line in reader.read(None)] == ["Hello"]
    assert reader.read(None) == []
    assert [line.text for line in reader.read(", my friends. ") + reader.read(Flush())] == [" there, my friends."]


def test_a_flush_returns_everything():
    reader = LineReader()
    assert reader.read("Hello there") == []
    assert [line.spoken for line in reader.read(Flush())] == ["Hello there"]
    assert reader.read(Flush()) == []
    assert reader.read(" *my* frien") == []
    assert [line.text for line in reader.read(Flush())] == [" my frien"]
    assert [line.text for line in reader.read("ds. ") + reader.read(Flush())] == ["ds."]


WORDS = st.lists(st.sampled_from(["word", " ", "\n\n", "Yes. ", "well, ", "3.", "Dr.", "。", "语"]), max_size=12).map(
    "".join
)


@settings(max_examples=200)
@given(st.lists(st.tuples(WORDS, st.sampled_from(["feed", "pause", "flush"])), max_size=8))
def test_flushes_lose_nothing_and_leave_nothing_buffered(steps):
    reader, lines = LineReader(markdown="off"), []
    text = ""
    for piece, then in steps:
        text += piece
        lines += reader.read(Flush(piece) if then == "flush" else piece)
        if then == "pause":
            lines += reader.read(None)
        together = "".join(line.text for line in lines)
        assert text.startswith(together)
        if then == "flush":
            assert not any(character.isalnum() for character in text[len(together) :])
    lines += reader.read(Flush())
    together = "".join(line.text for line in lines)
    assert text.startswith(together)
    assert not any(character.isalnum() for character in text[len(together) :])


def test_each_sentence_or_clause_can_be_a_line():
    text = "*Well*, yes. No. And so on"
    assert [line.spoken for line in read(text, every=Boundary.SENTENCE)] == ["Well, yes.", "No.", "And so on"]
    assert [line.spoken for line in read(text, every=Boundary.CLAUSE)] == ["Well,", "yes.", "No.", "And so on"]
    reader = LineReader(every=Boundary.SENTENCE)
    assert [line.spoken for line in reader.read("Well, yes. No. And so on") + reader.read(None)] == [
        "Well, yes.",
        "No.",
    ]


def test_language_decides_whether_a_number_ends_a_sentence():
    text = "We moved here in 2019. August was warm that year."
    assert len(read(text, every=Boundary.SENTENCE)) == 1
    assert len(read(text, every=Boundary.SENTENCE, language="en")) == 2
    assert len(read("Ann: " + text, every=Boundary.SENTENCE, language="en-GB", speakers=["Ann"])) == 2
    assert len(read(text, every=Boundary.SENTENCE, language="de")) == 1
    reader = LineReader(language="en", every=Boundary.SENTENCE)
    assert len(reader.read(Flush(text)) + reader.read(Flush(text))) == 4


def test_lines_are_yielded_while_the_text_arrives():
    taken = []

    def pieces():
        for piece in ["Hello there, ", "my friend. ", None, "And so on"]:
            taken.append(piece)
            yield piece

    lines = lines_of(pieces(), LineReader())
    assert next(lines).spoken == "Hello there,"
    assert len(taken) < 4
    assert " ".join(line.spoken for line in lines) == "my friend. And so on"


def ends_of(*pieces):
    return [(line.spoken, line.end) for line in lines_of(pieces, LineReader())]


def test_end_counts_the_text_read_and_ignores_pauses():
    assert ends_of("Hello there, ", None, "my friend. ", None, "And so on.") == [
        ("Hello there,", 12),
        ("my friend.", 23),
        ("And so on.", 34),
    ]


def test_end_is_exact_at_flushes_and_at_the_end():
    assert ends_of(Flush("*One* is **here**."), "[Two](http://a.b/c) is *there*.") == [
        ("One is here.", 18),
        ("Two is there.", 49),
    ]


def test_end_is_never_after_the_text_read():
    assert ends_of("&hearts;" * 3 + "Hello there, ", "my friend.")[-1] == ("my friend.", 47)
    assert ends_of("a:", None, None)[-1][1] == 2
    assert ends_of() == ends_of("", None, Flush()) == []


@given(st.lists(st.one_of(TEXTS, TEXTS.map(Flush), st.none()), max_size=5))
@settings(max_examples=100)
def test_ends_never_decrease(pieces):
    ends = [line.end for line in lines_of(pieces, LineReader())]
    assert ends == sorted(ends)
    size = sum(len(piece.text if isinstance(piece, Flush) else piece or "") for piece in pieces)
    assert all(0 < end <= size for end in ends)


def test_the_buffered_text_is_bounded():
    reader = LineReader()
    behind = 0
    for _ in range(3000):
        behind += 11 - sum(len(line.text) for line in reader.read("and so on,\n"))
        assert len(reader._markdown._text) <= 20
        assert len(reader._splitter._scanner.text) <= CONTEXT + _PIECE // 4 + 400 + 100
        assert behind <= 400 + 100
        assert len(reader._silent) == 0


@pytest.mark.parametrize("nothing", [" ", ". ", "!", "\n", "…"])
def test_text_without_a_word_is_bounded(nothing):
    reader = LineReader()
    reader.read(Flush())
    for _ in range(200):
        assert reader.read(1000 * nothing) == []
    assert len(reader._silent) <= _SILENT_LIMIT
    assert [line.spoken for line in reader.read("Hello.") + reader.read(Flush())][-1].endswith("Hello.")
