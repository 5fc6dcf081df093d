"""The pauses that are found in PCM, however it is cut."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat
from voice_cli.playback.pauses import LONG_SECONDS, ONSET_SECONDS, SHORT_SECONDS, Pauses

MONO = AudioFormat(8000, 1)


def loud(seconds, peak=8000):
    return array("h", [peak, -peak] * round(4000 * seconds)).tobytes()


def quiet(seconds, peak=10):
    return loud(seconds, peak)


def found(*parts, audio_format=MONO, after=0.0):
    """Return the place to wait in the parts, in seconds."""
    pauses = Pauses(audio_format)
    for part in parts:
        pauses.feed(memoryview(part))
    rate = audio_format.rate * audio_format.frame_bytes
    place = pauses.after(round(after * rate))
    return None if place is None else place / rate


def test_a_pause_is_at_its_end_but_for_the_onset():
    assert found(loud(1), quiet(0.3), loud(0.5)) == pytest.approx(1.3 - ONSET_SECONDS, abs=0.011)


def test_silence_before_the_speech_is_no_pause():
    assert found(quiet(1)) is None
    assert found(quiet(1), loud(1)) is None


def test_a_short_silence_is_no_pause():
    assert found(loud(1), quiet(SHORT_SECONDS - 0.02), loud(0.5)) is None


def test_a_long_pause_is_preferred_to_a_short_one_unless_it_is_far():
    parts = [loud(1), quiet(LONG_SECONDS + 0.05), loud(1), quiet(SHORT_SECONDS + 0.02), loud(0.5)]
    assert found(*parts) == pytest.approx(1.2 - ONSET_SECONDS, abs=0.011)
    assert found(*parts, after=1.5) == pytest.approx(2.28 - ONSET_SECONDS, abs=0.011)
    assert found(*parts, loud(3)) == pytest.approx(2.28 - ONSET_SECONDS, abs=0.011)
    assert found(*parts, after=2.5) is None


def test_a_pause_is_quiet_relative_to_the_speech():
    noise = quiet(0.3, 150)
    assert found(loud(1, 20_000), noise, loud(1, 20_000)) is not None
    assert found(loud(1, 1000), noise, loud(1, 1000)) is None


def test_the_end_of_an_utterance_is_a_pause():
    pauses = Pauses(MONO)
    pauses.feed(memoryview(loud(1)))
    pauses.mark()
    assert pauses.after(0) == 16_000
    assert pauses.after(16_000) is None


def test_restart_forgets_the_pauses_and_keeps_the_level():
    pauses = Pauses(MONO)
    pauses.feed(memoryview(loud(1) + quiet(0.3)))
    pauses.restart()
    assert pauses.after(0) is None
    pauses.feed(memoryview(quiet(0.3)))
    assert pauses.after(0) == pytest.approx(2 * 8000 * (0.3 - ONSET_SECONDS), abs=200)


@given(st.lists(st.integers(1, 4000), max_size=30), st.sampled_from([1, 2]))
def test_the_place_hardly_depends_on_the_cuts(sizes, channels):
    audio_format = AudioFormat(8000 // channels, channels)
    data = loud(1) + quiet(0.3) + loud(0.7)
    parts, at = [], 0
    for size in sizes:
        parts.append(data[at : at + 4 * size])
        at += 4 * size
    whole, cut = (found(*pieces, audio_format=audio_format) for pieces in ([data], [*filter(None, parts), data[at:]]))
    assert cut == pytest.approx(whole, abs=0.02)
