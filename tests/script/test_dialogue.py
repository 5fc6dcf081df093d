"""The turns of a dialogue."""

import pytest

from voice_cli.script.dialogue import Dialogue, TurnStarted

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


def turns_of(dialogue: Dialogue, pieces: list[str]) -> list[tuple[str | None, str]]:
    """Return the speaker and the text of each turn with text."""
    turns: list[tuple[str | None, str]] = [(None, "")]
    for part in [*(part for piece in pieces for part in dialogue.feed(piece)), *dialogue.finish()]:
        if isinstance(part, TurnStarted):
            turns.append((part.speaker, ""))
        else:
            speaker, text = turns[-1]
            turns[-1] = (speaker, text + part)
    return [(speaker, text) for speaker, text in turns if text]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_turns(size):
    pieces = [TEXT[at : at + size] for at in range(0, len(TEXT), size)]
    assert turns_of(Dialogue(["Ann", "Bob", "Mary Jane"]), pieces) == TURNS


def test_only_a_possible_name_is_buffered():
    dialogue = Dialogue(["Ann"])
    assert dialogue.feed("An") == []
    assert dialogue.feed("d then") == ["And then"]
    assert dialogue.feed(" more") == [" more"]
    assert dialogue.feed("\nAnn") == ["\n"]
    assert dialogue.feed(": H") == [TurnStarted("Ann"), "H"]
    assert dialogue.finish() == []


def test_two_lines_of_one_speaker_are_two_turns():
    assert Dialogue(["A"]).feed("A: x\nA: y\n") == [TurnStarted("A"), "x\n", TurnStarted("A"), "y\n"]


def test_without_names_all_is_text():
    dialogue = Dialogue([])
    assert dialogue.feed("A: x\n") == ["A: x\n"]
    assert dialogue.finish() == []


@pytest.mark.parametrize("names", [[""], ["A", "a"], ["A:"], ["A\nB"]])
def test_invalid_names(names):
    with pytest.raises(ValueError, match="speaker name"):
        Dialogue(names)
