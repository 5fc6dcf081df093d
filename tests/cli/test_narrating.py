"""Narration of a text: lazy reading, progress and language."""

from itertools import accumulate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voice_cli.backends.local.espeak import EspeakBackend
from voice_cli.cli.narrating import PIECE, narrate, read_file
from voice_cli.cli.options import SayOptions
from voice_cli.config import Config, settle
from voice_cli.errors import UsageError

SETTINGS = settle(Config("config.toml"), {"backend": "espeak", "markdown": "on"}, {})

MARKDOWN = [
    "# A heading\n\n",
    "Words and *more* words. ",
    "A [link](https://example.org/with/a/long/address). ",
    "\n\n",
    "- an item\n",
    "```\n" + "passed over\n" * 60 + "```\n\n",
    "| a | table |\n| - | - |\n| of | cells |\n\n",
    "![picture](p.png)\n",
    "<!-- a comment -->\n",
    "word " * 80,
]


@pytest.fixture(scope="module")
def backend():
    backend = EspeakBackend()
    yield backend
    backend.close()


@pytest.fixture
def start_narration(backend):
    """Start the narration of a text."""
    narrations = []

    def start(text):
        narrations.append(narrate(backend, SayOptions(), SETTINGS, text))
        return narrations[-1]

    yield start
    for narration in narrations:
        narration.cancel()


def progress(narration):
    """Return the progress at the start and after each utterance."""
    seen = [0]
    for utterance in narration:
        utterance.stream.cancel()
        utterance.end = 1.0
        seen.append(narration.progress())
    return [*seen[:-1], narration.progress()]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.sampled_from(MARKDOWN), max_size=12).map("".join))
def test_progress_goes_from_0_to_the_length_of_the_text(start_narration, text):
    text = f"Said. {text}"
    narration = start_narration(text)
    done = progress(narration)
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, len(text))


def test_progress_is_proportional_to_the_text(start_narration):
    """The progress counts characters of the source, not of the spoken text."""
    text = "".join(f"Sentence {number}. ![](https://example.org/{'x' * 200})\n\n" for number in range(50))
    narration = start_narration(text)
    done = progress(narration)
    for count, characters in enumerate(done):
        assert characters == pytest.approx(len(text) * count / (len(done) - 1), abs=3 * PIECE)


@pytest.mark.parametrize(
    "text",
    [
        "One is here. Two is there. Three is nowhere.",
        "One is here.\n\nTwo is there.\n\nThree is nowhere.\n",
        "A sentence of the book, and not its last. " * 200,
        "word " * 2000,
        "x" * 5000,
    ],
    ids=lambda text: text[:20],
)
def test_each_line_ends_where_its_text_does(text):
    """A client needs this to speak the rest after the agent has died."""
    lines = list(read_file(text, SayOptions(), SETTINGS, "en"))
    assert len(lines) > 1
    ends = list(accumulate(len(line.text) for line in lines))
    assert [line.end for line in lines] == ends
    assert ends[-1] == len(text)


def test_the_first_line_is_requested_before_all_text_is_read(start_narration):
    narration = start_narration("A sentence of the book, and not its last. " * 5000)
    assert 0 < narration.utterances[0].line.end <= 2 * PIECE


@pytest.mark.parametrize("text", [" ", "```\ncode\n```\n"])
def test_blank_text_is_a_usage_error(start_narration, text):
    with pytest.raises(UsageError, match="nothing to say"):
        start_narration(text)


def test_the_voices_language_reaches_the_splitter():
    """In English a year ends a sentence; in German "2019. August" is a date."""
    text = "We have moved to the town in the year 2019. August was warm, and we were glad of the garden. " * 4

    def spoken_lines(voice):
        backend = EspeakBackend()
        settings = SETTINGS._replace(profile=SETTINGS.profile._replace(voice=voice))
        narration = narrate(backend, SayOptions(markdown="off"), settings, text)
        lines = []
        for utterance in narration:
            utterance.stream.cancel()
            lines.append(utterance.line.spoken)
        backend.close()
        return lines

    assert any(line.endswith("2019.") for line in spoken_lines("en-us"))
    assert not any(line.endswith("2019.") for line in spoken_lines("de"))
