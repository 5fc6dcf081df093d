"""Resumption after a cut: what is heard is the whole speech, once."""

import bisect
import random

import numpy as np
import pytest

from support.recovery import TakesBackend, heard, narrate, refused, take
from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local.espeak import EspeakBackend
from voice_cli.errors import EngineError, NetworkError, TruncatedAudio
from voice_cli.pcm.convert import Converter
from voice_cli.speech.events import EncodedData, Spliced
from voice_cli.speech.recovery import Policy

TEXT = (
    "When the connection breaks in the middle of a sentence, the listener must not hear anything twice, and nothing "
    "may be lost. The harbour was quiet that morning; seven small boats lay at the pier, and an old man mended his "
    "nets. He said that the weather would change before noon, because the gulls flew low over the water, and he was "
    "right. In the evening the rain began."
)
VOICE = AudioFormat(22_050, 1)
CUTS = 50


def spoken(voice="en-us", speed=1.0):
    """Return the samples of the text, and the offset and time of each word."""
    stream = EspeakBackend().synthesize(SpeechRequest(TEXT, voice=voice, speed=speed))
    data = b"".join(stream)
    return np.frombuffer(data, "<i2"), [(word.text_start, word.seconds) for word in stream.words]


@pytest.fixture(scope="module")
def speech():
    return spoken()[0]


@pytest.mark.parametrize("at", np.random.default_rng(5).integers(1000, 19 * VOICE.rate, CUTS))
def test_the_same_take_is_joined_exactly(speech, at):
    assert len(speech) > 19 * VOICE.rate
    backend = TakesBackend(take(speech, until=2 * int(at), audio_format=VOICE), take(speech, audio_format=VOICE))
    narration = narrate(backend, TEXT)
    sound, error, made = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, speech)
    assert narration.recovery.retries == 1
    (resumed,) = narration.recovery.resumed
    assert resumed.at == pytest.approx(at / VOICE.rate)
    assert any("first continued it" in note for note in made.utterances[0].stream.notes)


def test_many_cuts_of_one_utterance(speech):
    cuts = range(2 * VOICE.rate, len(speech), 2 * VOICE.rate)
    takes = [take(speech, until=2 * at, audio_format=VOICE) for at in cuts]
    narration = narrate(TakesBackend(*takes, take(speech, audio_format=VOICE)), TEXT)
    sound, error, _ = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, speech)
    assert len(narration.recovery.resumed) == len(cuts)


def place_of(words, seconds):
    """Return the offset of the word that is spoken at a time, and how much of it was."""
    starts = [start for _, start in words]
    index = max(0, bisect.bisect_right(starts, seconds) - 1)
    end = starts[index + 1] if index + 1 < len(starts) else starts[index] + 0.5
    return words[index][0], (seconds - starts[index]) / max(end - starts[index], 0.001)


def time_of(words, offset, part):
    index = next(index for index, (start, _) in enumerate(words) if start == offset)
    end = words[index + 1][1] if index + 1 < len(words) else words[index][1] + 0.5
    return words[index][1] + part * (end - words[index][1])


@pytest.mark.parametrize("other", [("en-us", 1.15), ("en-gb", 1.0), ("en-us+f3", 1.0), ("en-gb+m2", 1.3)])
def test_a_differing_take_continues_at_the_same_word(speech, other):
    """The place in the new take is the one that the engine's word times give for the cut."""
    words = spoken()[1]
    sound, other_words = spoken(*other)
    offsets = {offset for offset, _ in other_words}
    rng = random.Random(7)
    errors = []
    for _ in range(12):
        at = rng.uniform(0.3, len(speech) / VOICE.rate - 0.3)
        offset, part = place_of(words, at)
        if offset not in offsets:
            continue
        first = take(speech, until=2 * int(at * VOICE.rate), audio_format=VOICE)
        narration = narrate(TakesBackend(first, take(sound, audio_format=VOICE)), TEXT)
        joined, error, _ = heard(narration)
        assert error is None
        left = len(joined) / VOICE.rate - narration.recovery.resumed[0].at
        errors.append(abs(len(sound) / VOICE.rate - left - time_of(other_words, offset, part)))
    assert np.median(errors) < 0.05
    assert max(errors) < 0.25, "a word may be lost or doubled"


def test_a_noisy_take_is_joined_by_correlation(speech):
    noise = np.random.default_rng(2).normal(0, 60, len(speech))
    noisy = np.clip(speech + noise, -32768, 32767).astype("<i2")
    at = 5 * VOICE.rate + 123
    first = take(speech, until=2 * at, audio_format=VOICE)
    sound, error, _ = heard(narrate(TakesBackend(first, take(noisy, audio_format=VOICE)), TEXT))
    assert error is None
    assert len(sound) == len(speech)
    np.testing.assert_array_equal(sound[at + 100 :], noisy[at + 100 :])


def test_a_take_in_another_format_is_converted(speech):
    stereo = AudioFormat(44_100, 2)
    converter = Converter(VOICE, stereo)
    other = np.frombuffer(converter.convert(speech.tobytes()) + converter.flush(), "<i2")
    at = 4 * VOICE.rate
    takes = take(speech, until=2 * at, audio_format=VOICE), take(other, audio_format=stereo)
    sound, error, _ = heard(narrate(TakesBackend(*takes), TEXT))
    assert error is None
    assert abs(len(sound) - len(speech)) < 0.02 * VOICE.rate
    size = min(len(sound), len(speech))
    assert np.corrcoef(sound[at:size], speech[at:size])[0, 1] > 0.95


def test_a_cut_in_a_pause_is_joined_in_the_pause(speech):
    """A second take with a longer pause at the place has one pause there, and both halves once."""
    loud = speech[: 2 * VOICE.rate]
    rest = speech[2 * VOICE.rate : 5 * VOICE.rate]
    short, long = np.zeros(VOICE.rate // 5, "<i2"), np.zeros(VOICE.rate // 2, "<i2")
    quieter = (0.5 * np.concatenate([loud, long, rest])).astype("<i2")
    first = take(np.concatenate([loud, short]), until=2 * (len(loud) + len(short)), audio_format=VOICE)
    sound, error, _ = heard(narrate(TakesBackend(first, take(quieter, audio_format=VOICE)), TEXT))
    assert error is None
    assert len(sound) == pytest.approx(len(quieter), abs=0.05 * VOICE.rate)


def test_the_words_of_the_new_take_are_at_their_places(speech):
    class Worded:
        def __init__(self, until=None):
            self._until = until

        def __call__(self):
            from voice_cli.backends.base import WordEvent

            stream = take(speech, until=self._until, audio_format=VOICE)()
            stream.words = [WordEvent(10 * n, 5, float(n)) for n in range(19)]
            return stream

    _, error, made = heard(narrate(TakesBackend(Worded(2 * 5 * VOICE.rate), Worded()), TEXT))
    assert error is None
    words = made.utterances[0].stream.words
    assert [(word.text_start, word.seconds) for word in words] == [(10 * n, pytest.approx(n)) for n in range(19)]


def test_a_cut_after_less_than_a_frame_begins_again(speech):
    backend = TakesBackend(take(speech, until=1, audio_format=VOICE), take(speech, audio_format=VOICE))
    sound, error, _ = heard(narrate(backend, TEXT))
    assert error is None
    np.testing.assert_array_equal(sound, speech)


def test_the_events_say_that_the_stream_changed(speech):
    backend = TakesBackend(take(speech, until=40_000, audio_format=VOICE), take(speech, audio_format=VOICE))
    narration = narrate(backend, TEXT)
    kinds = [type(event) for event in iter_events(narration)]
    assert kinds.count(Spliced) == 1
    assert EncodedData in kinds[kinds.index(Spliced) :]


def iter_events(narration):
    from voice_cli.speech.assembly import Speech

    return Speech(narration)


def test_a_server_that_always_cuts_at_the_same_place_fails_in_the_end(speech):
    backend = TakesBackend(take(speech, until=40_000, audio_format=VOICE), repeats=True)
    sound, error, _ = heard(narrate(backend, TEXT, policy=Policy(tries=3)))
    assert isinstance(error, TruncatedAudio)
    assert error.message == "the connection broke; tried 4 times"
    np.testing.assert_array_equal(sound, speech[:20_000])


def test_a_server_that_dies_after_a_cut_is_truncated(speech):
    backend = TakesBackend(take(speech, until=40_000, audio_format=VOICE), refused, repeats=True)
    backend._takes[1] = refused()
    sound, error, _ = heard(narrate(backend, TEXT, policy=Policy(tries=2)))
    assert isinstance(error, TruncatedAudio)
    assert "it was not resumed: the server refused the connection" in error.message
    np.testing.assert_array_equal(sound, speech[:20_000])


@pytest.mark.parametrize("end", [NetworkError("reset"), EngineError("out of memory")])
def test_other_errors_after_audio_are_cuts(speech, end):
    backend = TakesBackend(take(speech, until=40_000, error=end, audio_format=VOICE), take(speech, audio_format=VOICE))
    sound, error, _ = heard(narrate(backend, TEXT))
    assert error is None
    np.testing.assert_array_equal(sound, speech)


def test_no_resume(speech):
    backend = TakesBackend(take(speech, until=40_000, audio_format=VOICE))
    sound, error, _ = heard(narrate(backend, TEXT, policy=Policy(resume=False)))
    assert isinstance(error, TruncatedAudio)
    np.testing.assert_array_equal(sound, speech[:20_000])


def test_a_fallback_continues_what_the_first_cannot(speech):
    backend = TakesBackend(take(speech, until=2 * 4 * VOICE.rate, audio_format=VOICE), refused(), refused(), refused())
    other = TakesBackend(take(speech, audio_format=VOICE))
    narration = narrate(backend, TEXT, fallbacks=[other])
    sound, error, made = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, speech)
    assert narration.recovery.fallback == "fallback 1"
    assert narration.recovery.resumed[0].by == "fallback 1"
    assert any("fallback 1 speaks" in note for note in made.utterances[0].stream.notes)


def test_the_next_utterance_follows_a_resumed_one(speech):
    one, two = speech[: 3 * VOICE.rate], speech[3 * VOICE.rate : 6 * VOICE.rate]
    takes = {
        "One.": [take(one, until=30_000, audio_format=VOICE), take(one, audio_format=VOICE)],
        "Two.": [take(two, audio_format=VOICE)],
    }

    class ByText(TakesBackend):
        def synthesize(self, request):
            return takes[request.text].pop(0)()

    narration = narrate(ByText(), "One. ", "Two.")
    sound, error, made = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, np.concatenate([one, two]))
    assert [round(each.end - each.start, 2) for each in made.utterances] == [3.0, 3.0]
