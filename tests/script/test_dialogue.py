"""Who says what."""

import pytest

from voice_cli.script.dialogue import Dialogue, Line

TEXT = """The curtain rises.
ANN: Hello there. It is 12:30.
How are you?
  Bob :  Fine!
**Ann:** Good.
__Mary Jane__: Me too.
Anna: nobody knows her.
Note: no name.
bob：ok
Ann:
next"""

TURNS = [
    (None, "The curtain rises.\n"),
    ("Ann", "Hello there. It is 12:30.\nHow are you?\n"),
    ("Bob", "Fine!\n"),
    ("Ann", "Good.\n"),
    ("Mary Jane", "Me too.\nAnna: nobody knows her.\nNote: no name.\n"),
    ("Bob", "ok\n"),
    ("Ann", "\nnext"),
]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_turns(size):
    dialogue = Dialogue(["Ann", "Bob", "Mary Jane"])
    turns: list[list[object]] = []
    lines = [line for at in range(0, len(TEXT), size) for line in dialogue.feed(TEXT[at : at + size])]
    for line in lines + dialogue.finish():
        if line.begins:
            turns.append([line.speaker, line.text])
        else:
            turns[-1][1] += line.text
    assert [tuple(turn) for turn in turns] == TURNS


def test_only_what_may_be_a_name_is_held():
    dialogue = Dialogue(["Ann"])
    assert dialogue.feed("An") == []
    assert dialogue.feed("d then") == [Line(None, "And then", begins=True)]
    assert dialogue.feed(" more") == [Line(None, " more", begins=False)]
    assert dialogue.feed("\nAnn") == [Line(None, "\n", begins=False)]
    assert dialogue.feed(": H") == [Line("Ann", "H", begins=True)]
    assert dialogue.finish() == []


def test_two_lines_of_one_speaker_are_two_turns():
    lines = Dialogue(["A"]).feed("A: x\nA: y\n")
    assert lines == [Line("A", "x\n", begins=True), Line("A", "y\n", begins=True)]


def test_without_names_all_is_text():
    dialogue = Dialogue([])
    assert dialogue.feed("A: x") == [Line(None, "A: x", begins=True)]
    assert dialogue.finish() == []
    with pytest.raises(RuntimeError):
        dialogue.feed("x")


@pytest.mark.parametrize("names", [[""], ["A", "a"], ["A:"], ["A\nB"]])
def test_names_that_cannot_be(names):
    with pytest.raises(ValueError, match="speaker"):
        Dialogue(names)
