"""The first utterance, later utterances and pauses, for single texts."""

import subprocess
import sys

import pytest

from voice_cli.script.splitter import Boundary, Splitter


def spoken(text: str, **options: object) -> list[str]:
    splitter = Splitter(**options)
    return [utterance.strip() for utterance in [*splitter.feed(text), *splitter.finish()]]


def fed(text: str, **options: object) -> list[tuple[int, str]]:
    """Feed single characters; return the number fed when each utterance was complete, and its text."""
    splitter = Splitter(**options)
    return [(count, utterance.strip()) for count, char in enumerate(text, 1) for utterance in splitter.feed(char)]


# Known faults of the Chatterbox server's splitter.


def test_no_cut_is_inside_a_word():
    parts = spoken("Well, this is a longer test sentence. And one more follows it here.")
    assert parts[0] == "Well, this is a longer test sentence."


def test_no_cut_is_inside_a_time_of_day():
    for text in ("Please come and visit at 3.30 pm. Bring some food.", "Please come and visit at 3.30 pm"):
        assert all("3.30 pm" in part or "3" not in part for part in spoken(text))
        splitter = Splitter()
        parts = []
        for char in text:
            parts += [utterance.strip() for utterance in splitter.feed(char) + splitter.pause()]
        assert not any(part.endswith(("3.", "3")) for part in parts)


def test_chinese_is_split():
    assert spoken("今天天气很好。我们去公园吧！你说呢？好的。")[0] == "今天天气很好。"


def test_unpunctuated_text_is_split():
    splitter = Splitter()
    given = splitter.feed("and so on " * 1000)
    assert len(given) > 20
    assert all(len(utterance) <= 400 for utterance in given)
    assert all(word in {"and", "so", "on"} for utterance in given for word in utterance.split())


def test_a_sentence_ends_inside_a_message():
    assert spoken("It is one thing. It is another thing")[0] == "It is one thing."


# The first utterance.


@pytest.mark.parametrize(
    ("text", "count", "first"),
    [
        ("The weather is nice today, and", 26, "The weather is nice today,"),
        ("In the year 2020, we left", 18, "In the year 2020,"),
        ("It costs about 1,000, which", 22, "It costs about 1,000,"),
        ("“In the end,” he said", 14, "“In the end,”"),
        ("Nice to see you! How", 17, "Nice to see you!"),
        ("Yes. And", 5, "Yes."),
        ("He came home — late", 15, "He came home —"),
        ("It has a flaw: it", 15, "It has a flaw:"),
        ("He came; she left", 9, None),
        ("今天的天气很好，我们", 8, "今天的天气很好，"),
        ("お元気ですか、今日は", 7, "お元気ですか、"),
        ("Dr. Smith said so, and", 18, "Dr. Smith said so,"),
        ("مرحبا يا صديقي، كيف", 15, "مرحبا يا صديقي،"),
        ("ผมชื่อสมชาย ผมเป็น", 13, "ผมชื่อสมชาย"),
    ],
)
def test_first_utterance_is_returned_as_soon_as_it_is_certain(text, count, first):
    given = fed(text)
    assert given[:1] == ([(count, first)] if first else [])


def test_comma_inside_a_number_or_brackets_ends_no_clause():
    assert fed("The sum is now 1,000.50 dollars") == []
    assert fed("Look at https://example.com/a,b,c") == []
    assert fed("We sell tables (round, square) and")[:1] == []
    assert spoken("Use the call `add(one, two)` here, then go.")[0] == "Use the call `add(one, two)` here,"


def test_a_short_clause_is_not_an_utterance():
    assert spoken("Well, I think so. Good.")[0] == "Well, I think so."


def test_unpunctuated_text_is_returned_before_it_ends():
    count, first = fed("one two three four five " * 10)[0]
    assert count <= 162
    assert first.split()[-1] in {"one", "two", "three", "four", "five"}


# Later utterances.


def test_utterances_grow():
    text = "The first clause, and what follows it here. " + "This is a sentence of some forty letters. " * 30
    lengths = [len(part) for part in spoken(text)]
    assert lengths[:2] == [17, 25]
    assert lengths[2:4] == [83, 167]
    assert all(200 <= length < 250 for length in lengths[4:-1])


def test_a_long_sentence_is_cut_at_a_comma():
    parts = spoken("Short one. " + "these are some words of it, " * 40)
    assert all(part.endswith(",") for part in parts[1:])
    assert all(len(part) <= 400 for part in parts)


def test_paragraphs_and_items_are_not_joined():
    assert spoken("A title\n\nShopping list\n- milk\n- eggs\n\nThe end") == [
        "A title", "Shopping list", "- milk", "- eggs", "The end",
    ]  # fmt: skip


def test_endless_word_is_cut_between_grapheme_clusters():
    family = "👨‍👩‍👧‍👦"
    for unit in (family, "🇩🇪", "e\u0301", "का", "각", "👍🏽", "1\ufe0f\u20e3", "क्ष"):
        for part in spoken(unit * 300, max_chars=50):
            assert part.startswith(unit[0])
            assert len(part) % len(unit) == 0


def test_thai_is_cut_at_a_space():
    words = "ผมชื่อสมชาย"
    for part in spoken(f"{words} " * 100):
        assert part.startswith(words)
        assert part.endswith(words)


def test_numbers_names_and_addresses_are_not_cut():
    whole = [
        "3.30 pm", "1,000.50", "v2.1", "10:30", "192.168.0.1", "Dr. Smith", "e.g. this", "z. B. das", "p. ej. esto",
        "M. Dupont", "J. R. R. Tolkien", "https://example.org/a.b,c?d=e", "me.you@example.org", "file.tar.gz",
        "wait...",
        "`a b. c`", "1 000 000", "U.S.", "“Stop!”", "(so.)", "No. 5", "5 %", "$ 5",
    ]  # fmt: skip
    for kept in whole:
        for shift in range(60):
            text = "x" * shift + f" and {kept} " + "then some more words follow here " * 3
            assert any(kept in part for part in spoken(text, max_chars=64)), (kept, shift)


# A pause.


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("The weather is nice toda", ["The weather is nice"]),
        ("The weather is nice today.", ["The weather is nice today."]),
        ("Are you sure?", ["Are you sure?"]),
        ("It was Dr.", ["It was"]),
        ("It was Dr. ", ["It was"]),
        ("It costs 3.", ["It costs"]),
        ("It costs 1,", ["It costs"]),
        ("Hello", []),
        ("", []),
        ("  \n ", []),
        ("and then ", ["and then"]),
        ("Well,", ["Well,"]),
        ("你好。", ["你好。"]),
        ("use `a b", ["use"]),
    ],
)
def test_pause_returns_speakable_text(text, parts):
    splitter = Splitter()
    utterances = splitter.feed(text) + splitter.pause()
    assert [utterance.strip() for utterance in utterances] == parts
    assert "".join([*utterances, *splitter.finish()]) == text


def test_a_pause_ends_only_at_the_requested_boundaries():
    splitter = Splitter(every=Boundary.SENTENCE)
    assert splitter.feed("One is here, and two is") == splitter.pause() == []
    assert splitter.feed(" too.") == []
    assert splitter.pause() == ["One is here, and two is too."]


def test_no_slow_modules_are_imported():
    code = (
        "import sys; import voice_cli.script.splitter, voice_cli.script.markdown;"
        "assert not {'numpy', 'asyncio', 'html', 'rich', 'inspect', 'typing_extensions'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# One sentence per utterance.


def test_without_joining_each_sentence_is_an_utterance():
    text = "Well then, hello there. Yes. I am Dr. Smith. And it is 3.30 pm."
    parts = ["Well then,", "hello there.", "Yes.", "I am Dr. Smith.", "And it is 3.30 pm."]
    assert spoken(text, join_sentences=False) == parts
    assert len(spoken(text)) < len(parts)


def test_without_joining_a_sentence_is_returned_once_its_end_is_certain():
    text = "Well then, hello there. Yes. It is. "
    given = [(10, "Well then,"), (24, "hello there."), (29, "Yes."), (36, "It is.")]
    assert fed(text, join_sentences=False) == given


def test_without_joining_long_text_is_cut_at_the_same_places():
    assert spoken("and so on " * 200, join_sentences=False) == spoken("and so on " * 200)


# An utterance for each sentence or clause.


@pytest.mark.parametrize(
    ("text", "every", "parts"),
    [
        ("Yes. Good. I am Dr. Smith.", Boundary.SENTENCE, ["Yes.", "Good.", "I am Dr. Smith."]),
        ("Well, yes; no. And 3.30 pm, too", Boundary.CLAUSE, ["Well,", "yes;", "no.", "And 3.30 pm,", "too"]),
        ("Well, yes; no.", Boundary.SENTENCE, ["Well, yes; no."]),
        ("One\n\ntwo. Three", Boundary.SENTENCE, ["One", "two.", "Three"]),
        ("今天天气很好，我们去。好的。", Boundary.CLAUSE, ["今天天气很好，", "我们去。", "好的。"]),
    ],
)
def test_every_requested_boundary_ends_an_utterance(text, every, parts):
    assert spoken(text, every=every) == parts
    assert [part for _, part in fed(text + " ", every=every)][: len(parts) - 1] == parts[:-1]


def test_every_sentence_keeps_a_long_first_sentence_whole():
    text = "and so on " * 30 + "and on."
    assert spoken(text, every=Boundary.SENTENCE) == [text]
    assert len(spoken(text)) > 1
    assert len(spoken(text * 3, every=Boundary.SENTENCE)) > 1, "the buffered text is bounded"


def test_max_chars_has_a_minimum():
    with pytest.raises(ValueError, match="at least 16, not 15"):
        Splitter(max_chars=15)
