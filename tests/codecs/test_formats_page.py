"""docs/formats.md lists what the code recognises."""

import re
from pathlib import Path

import pytest

from voice_cli.audio import MAX_CHANNELS, MAX_HERTZ, MIN_HERTZ
from voice_cli.codecs.noise import BLOCK_SAMPLES, BLOCKS
from voice_cli.codecs.opus import _OTHER_CODECS
from voice_cli.codecs.sample_types import SAMPLE_TYPES
from voice_cli.codecs.sniff import UNDECODED
from voice_cli.codecs.table import BUILT_IN

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
WORDS = " ".join(PAGE.split())


def test_page_lists_every_format_that_is_not_decoded():
    listed = WORDS.partition("recognised and not decoded: ")[2].partition("; in Ogg: ")
    names = listed[0].split(", ")
    assert sorted(names) == sorted({name for name, _, _ in UNDECODED} | {"an MPEG transport stream", "LATM (AAC)"})
    ogg = listed[2].partition(".")[0].split(", ")
    assert sorted(ogg) == sorted(set(_OTHER_CODECS.values()) - {"Skeleton"})


def test_page_lists_every_sample_type():
    listed = WORDS.partition("`endianness` choose ")[2].partition(";")[0]
    assert re.findall(r"`(\w+)`", listed) == list(SAMPLE_TYPES)


def test_page_lists_the_end_of_every_codec():
    table = PAGE.partition("## When a stream is complete")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(BUILT_IN)


@pytest.mark.parametrize(
    "figure",
    [f"from {MIN_HERTZ} to {MAX_HERTZ} Hz", f"be {MAX_CHANNELS} channels", f"{BLOCKS * BLOCK_SAMPLES} samples"],
)
def test_page_states_the_limits(figure):
    assert figure in WORDS
