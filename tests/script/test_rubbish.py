"""Input that is not text: only control characters are lost."""

import random

import pytest

from voice_cli.script.dialogue import Dialogue
from voice_cli.script.markdown import SpokenMarkdown
from voice_cli.script.splitter import Splitter


def rubbish(kind: str, seed: int) -> str:
    dice = random.Random(seed)
    data = dice.randbytes(20_000)
    if kind == "latin":
        return data.decode("latin-1")
    if kind == "replaced":
        return data.decode("utf-8", "replace")
    if kind == "escaped":
        return data.decode("utf-8", "surrogateescape")
    if kind == "nul":
        return "\0" * 5000 + "text\0"
    return "".join(chr(dice.randrange(0x110000)) for _ in range(10_000))


@pytest.mark.parametrize("kind", ["latin", "replaced", "escaped", "nul", "any"])
@pytest.mark.parametrize("mode", ["auto", "on", "off"])
def test_any_characters_are_accepted(kind, mode):
    text = rubbish(kind, 7)
    reader, splitter, dialogue = SpokenMarkdown(mode), Splitter(), Dialogue(["Ann"])
    said, given, lines = [], [], []
    for at in range(0, len(text), 97):
        part = reader.feed(text[at : at + 97])
        said.append(part)
        for line in dialogue.feed(part):
            lines.append(line)
            given += splitter.feed(line) + splitter.pause()
    said.append(reader.finish())
    for line in [*dialogue.feed(said[-1]), *dialogue.finish()]:
        lines.append(line)
        given += splitter.feed(line)
    given += splitter.finish()
    assert "".join(given) == "".join(lines) == "".join(said)
    assert all(len(utterance) <= 400 for utterance in given)
    "".join(said).encode()
