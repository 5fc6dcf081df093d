"""What is no text at all: never a crash, never a loss that is not meant."""

import random
import time

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
def test_rubbish_is_spoken_or_dropped(kind, mode):
    text = rubbish(kind, 7)
    reader, splitter, dialogue = SpokenMarkdown(mode), Splitter(), Dialogue(["Ann"])
    said, given, lines = [], [], []
    for at in range(0, len(text), 97):
        part = reader.feed(text[at : at + 97])
        said.append(part)
        for line in dialogue.feed(part):
            lines.append(line.text)
            given += splitter.feed(line.text) + splitter.pause()
    said.append(reader.finish())
    for line in [*dialogue.feed(said[-1]), *dialogue.finish()]:
        lines.append(line.text)
        given += splitter.feed(line.text)
    given += splitter.finish()
    assert "".join(utterance.text for utterance in given) == "".join(lines) == "".join(said)
    assert all(len(utterance.text) <= 400 for utterance in given)
    "".join(said).encode()


def test_a_writer_that_never_stops():
    reader, splitter = SpokenMarkdown(), Splitter()
    begun = time.perf_counter()
    count = 0
    for _ in range(50_000):
        for utterance in splitter.feed(reader.feed("and so on,\n")):
            count += len(utterance.text)
        assert len(reader._text) + len(splitter._scanner.text) < 4096
    assert count > 50_000 * 11 - 4096
    assert time.perf_counter() - begun < 60


def test_a_megabyte_of_markdown_one_character_at_a_time():
    text = (
        "# Title\n\nSome **bold** text, with a [link](http://a.b/c) and `code`.\n\n- one\n- two & <b>three</b>\n\n"
        * 3000
    )
    begun = time.perf_counter()
    reader = SpokenMarkdown()
    said = "".join(map(reader.feed, text)) + reader.finish()
    assert time.perf_counter() - begun < 60  # 2 s where it was written
    whole = SpokenMarkdown()
    assert said == whole.feed(text) + whole.finish()
