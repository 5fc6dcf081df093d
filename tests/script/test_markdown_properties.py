"""Properties of the Markdown reader for any text and any cut."""

from itertools import product

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from script.test_dialogue import turns_of
from script.work import lines_run, repeated

from voice_cli.script.dialogue import Dialogue
from voice_cli.script.inline import _BACK, _NESTED
from voice_cli.script.links import LINK_TARGET
from voice_cli.script.markdown import _LINE_LIMIT, SpokenMarkdown
from voice_cli.script.terminal import TerminalText

PIECES = [
    *" \n\t*_`~[]()<>!#-+|=>&;\\:.,'\"/",
    *[
        "\n\n",
        "**",
        "***",
        "__",
        "~~",
        "```",
        "```py\n",
        "\n```\n",
        "~~~",
        "\n- ",
        "\n* ",
        "\n12. ",
        "\n# ",
        "\n> ",
        "- [x] ",
    ],
    *[
        "\n---\n",
        "\n===\n",
        "\n| a | b |\n",
        "|---|",
        "[text](http://x.y/z)",
        "![alt](i.png)",
        "[a][b]",
        "[^1]",
        "\n[^1]: ",
    ],
    *[
        "\n[r]: http://x\n",
        "<b>",
        "</b>",
        "<br/>",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<https://a.b>",
        "&amp;",
        "&#65;",
    ],
    *[
        "https://www.example.com/a_(b)?c=d.",
        "www.x.org",
        "http",
        "word",
        "snake_case",
        "2*3",
        "é",
        "重点",
        "：",
        "🎉",
        "👨‍👩‍👧",
    ],
    *[
        "\x1b[1;31m",
        "\x1b]8;;u\x1b\\",
        "\x1b",
        "\x9b3m",
        "\r",
        "\r\n",
        "\b",
        "a\ba",
        "\x00",
        "\ufeff",
        "\ud800",
        "│",
        "İ",
    ],
]
TEXTS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=80).map("".join), st.text(max_size=200))
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)


def pieces(text: str, sizes: list[int]) -> list[str]:
    given = []
    while text:
        size = sizes[len(given) % len(sizes)]
        given.append(text[:size])
        text = text[size:]
    return given


def spoken(parts: list[str], mode: str) -> str:
    reader = SpokenMarkdown(mode)
    return "".join([*map(reader.feed, parts), reader.finish()])


@settings(max_examples=800)
@given(TEXTS, SIZES, st.sampled_from(["auto", "on", "off"]))
@example("\x1b[1;31mred\x1b[0m", [1], "off")
@example("*a" + 200 * "*", [1], "on")
@example("Title\n" + 300 * "=" + "x", [300, 6], "auto")
@example("from 3 to\n-" + 15 * " " + "5", [1], "auto")
def test_any_cut_gives_the_same_text(text, sizes, mode):
    whole = spoken([text], mode)
    assert spoken(pieces(text, sizes), mode) == whole
    assert spoken(list(text), mode) == whole
    whole.encode()


@settings(max_examples=200)
@given(TEXTS)
def test_control_characters_are_removed(text):
    reader = TerminalText()
    shown = reader.feed(text) + reader.finish()
    assert not [char for char in shown if (char < " " and char not in "\n\t") or "\x7f" <= char <= "\x9f"]


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([*" \t\n*_:：x", "Ann", "ann:", "Mary Jane", "Bob: ", "**Bob:** ", "\n", "ſ", "İ", "hello"]),
        max_size=60,
    ).map("".join),
    SIZES,
)
def test_any_cut_gives_the_same_dialogue(text, sizes):
    def turns(parts: list[str]) -> list[tuple[str | None, str]]:
        return turns_of(Dialogue(["Ann", "Bob", "Mary Jane"]), parts)

    whole = turns([text])
    assert turns(pieces(text, sizes)) == whole
    assert turns(list(text)) == whole


UNITS = [
    *[
        "a",
        " ",
        "\n",
        "*",
        "**a",
        "_a",
        "`a",
        "[a",
        "[](",
        "![",
        "<a",
        "<b ",
        "<!--",
        "&",
        "|",
        "| a",
        "- ",
        "#",
        "`",
        "~",
    ],
    *[
        "```\n",
        "https://a/",
        "\x1b[",
        "\x1b]",
        "1. ",
        "> ",
        "🎉",
        "[^",
        "**a_",
        "[a](b",
        "-",
        "=",
        "\\",
        "(",
        "www.",
        "_",
    ],
    *["hhttp", "\n|", "\n[a", "~~a ", "\x1b]8;;", "``a", "[", "<", "and so on,\n"],
    "# Title\n\nSome **bold** text, with a [link](http://a.b/c) and `code`.\n\n- one\n- two & <b>three</b>\n\n",
]


def feed_characters(text: str) -> None:
    reader = SpokenMarkdown("on")
    for char in text:
        reader.feed(char)
    reader.finish()


@pytest.mark.parametrize(
    ("start", "unit"), [*product([""], UNITS), *product(["*a", "__a", "~~a", "`a", "[a](", "<a ", "[a]: "], "*_~`a")]
)
def test_the_buffered_text_is_bounded(start, unit):
    reader = SpokenMarkdown("on")
    is_row_or_definition = start == "[a]: " or unit.startswith("|")
    limit = _LINE_LIMIT if is_row_or_definition else LINK_TARGET + 4
    for char in start + repeated(unit, 2500):
        reader.feed(char)
        assert len(reader._text) <= limit + _BACK
        assert len(reader._emphasis) <= _NESTED


@pytest.mark.parametrize("unit", UNITS)
def test_work_grows_linearly(unit):
    work = lines_run(feed_characters, repeated(unit, 1000))
    assert lines_run(feed_characters, repeated(unit, 2000)) < 2.5 * work, "quadratic work would quadruple"


@pytest.mark.parametrize("mark", ["`", "~", "*", "_"])
def test_a_run_longer_than_any_mark_is_text(mark):
    reader = SpokenMarkdown("on")
    run = mark * 1000
    assert (reader.feed("See " + run + " here.") + reader.finish()).replace(mark, "") == "See  here."
