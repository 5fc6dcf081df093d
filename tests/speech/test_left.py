"""The estimated length of what has not been decoded."""

from types import SimpleNamespace

import pytest

from voice_cli.script.line import Line
from voice_cli.speech.assembly import CHARS_PER_SECOND, IDEOGRAPHS_PER_SECOND, Speech, likely_rate
from voice_cli.speech.events import Utterance
from voice_cli.speech.narration import GivenStreams


def speech_after(seconds, total, *utterances):
    """Return a speech of which `seconds` were yielded. `utterances`: (end of its text, end in seconds or None)."""
    source = GivenStreams([])
    source.total = total
    speech = Speech(source)
    speech.seconds = seconds
    for taken, end in utterances:
        utterance = Utterance(Line("words", "words", end=taken), SimpleNamespace())
        utterance.end = end
        speech.utterances.append(utterance)
    return speech


def test_nothing_is_known_without_the_length_of_the_text_or_before_the_first_audio():
    assert speech_after(1.0, None, (100, None)).left(10.0) is None
    assert speech_after(0.0, 100).left(10.0) is None


def test_the_rest_of_the_text_is_at_the_rate_of_earlier_runs():
    assert speech_after(2.0, 100, (100, None)).left(10.0) == 8.0
    assert speech_after(6.0, 100, (40, 5.0), (100, None)).left(10.0) == 5.0


def test_without_earlier_runs_the_rate_is_that_of_the_utterances_that_have_ended():
    assert speech_after(10.0, 200, (100, 8.0), (200, None)).left(None) == pytest.approx(6.0)
    assert speech_after(1.0, 140, (140, None)).left(None) == pytest.approx(140 / CHARS_PER_SECOND - 1)


def test_an_estimate_that_was_too_low_is_none():
    assert speech_after(11.0, 100, (100, None)).left(10.0) is None


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("Grüß Gott.", CHARS_PER_SECOND),
        ("", CHARS_PER_SECOND),
        ("こんにちは。", IDEOGRAPHS_PER_SECOND),
        ("안녕하세요 여러분", IDEOGRAPHS_PER_SECOND),
    ],
)
def test_ideographs_take_longer(text, rate):
    assert likely_rate(text) == rate
