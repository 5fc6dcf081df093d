"""The estimated length of what has not been decoded."""

from types import SimpleNamespace

import pytest

from support import material
from support.player import FakeStream, numbered
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs.wav import wav_header
from voice_cli.script.line import Line
from voice_cli.speech.assembly import CHARS_PER_SECOND, IDEOGRAPHS_PER_SECOND, Speech, likely_rate
from voice_cli.speech.events import Audio, Utterance
from voice_cli.speech.narration import GivenStreams, UtteranceSource

MONO = AudioFormat(8000, 1)


def speech_after(seconds, total, *utterances, rate=None):
    """Return a speech of which `seconds` were yielded. `utterances`: (end of its text, end in seconds or None).

    `rate`: code points a second in earlier speeches.
    """
    source = GivenStreams([])
    source.total = total
    speech = Speech(source)
    speech.seconds, speech.chars_per_second = seconds, rate
    for taken, end in utterances:
        utterance = Utterance(Line("words", "words", end=taken), SimpleNamespace(total_bytes=None))
        utterance.end = end
        speech.utterances.append(utterance)
    return speech


def test_nothing_is_known_without_the_length_of_the_text_or_before_the_first_audio():
    assert speech_after(1.0, None, (100, None), rate=10.0).left() is None
    assert speech_after(0.0, 100, rate=10.0).left() is None


def test_the_rest_of_the_text_is_at_the_rate_of_earlier_runs():
    assert speech_after(2.0, 100, (100, None), rate=10.0).left() == 8.0
    assert speech_after(6.0, 100, (40, 5.0), (100, None), rate=10.0).left() == 5.0


def test_without_earlier_runs_the_rate_is_that_of_the_utterances_that_have_ended():
    assert speech_after(10.0, 200, (100, 8.0), (200, None)).left() == pytest.approx(6.0)
    assert speech_after(1.0, 140, (140, None)).left() == pytest.approx(140 / CHARS_PER_SECOND - 1)


class Texts(UtteranceSource):
    """Two texts of 100 code points."""

    total = 200
    waits_for_text = False

    def __init__(self, *streams):
        self._streams = streams

    def __iter__(self):
        for number, stream in enumerate(self._streams, 1):
            yield Utterance(Line("x" * 100, "x" * 100, end=100 * number), stream)

    def cancel(self):
        pass


def stream_of(codec, *, announces):
    """Return a stream of 4 s in chunks of 1 s."""
    sound = [numbered(8000)] * 4
    pieces = sound if codec == "pcm" else [wav_header(MONO, None) + sound[0], *sound[1:]]
    stream = FakeStream(*pieces, announced=Encoding(codec, MONO), end=True)
    stream.total_bytes = sum(map(len, pieces)) if announces else None
    return stream


@pytest.mark.parametrize("codec", ["pcm", "wav"])
def test_the_announced_length_of_an_utterance_is_its_length(codec):
    speech = Speech(Texts(stream_of(codec, announces=True), stream_of(codec, announces=False)))
    speech.chars_per_second = 10.0
    left = [speech.left() for event in speech if isinstance(event, Audio)]
    assert left == pytest.approx([13, 12, 11, 10, 9, 8, 7, 6], abs=0.02)


def test_the_announced_length_of_compressed_sound_says_nothing():
    stream = FakeStream(material.encoded("mp3", MONO, 2.0), announced=Encoding("mp3"), end=True)
    stream.total_bytes = 1_000_000
    speech = Speech(Texts(stream))
    speech.chars_per_second = 10.0
    assert max(speech.left() for event in speech if isinstance(event, Audio)) < 20


def test_an_estimate_that_was_too_low_is_none():
    assert speech_after(11.0, 100, (100, None), rate=10.0).left() is None


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
