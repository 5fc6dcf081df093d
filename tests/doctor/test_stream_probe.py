"""What is found out about a server's streams, and whether its PCM is played at the right rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.doctor.stream_probe import Probe, rate_is_wrong
from voice_cli.errors import ServerError

RATES = st.sampled_from([8000, 16_000, 22_050, 24_000, 44_100, 48_000])
SECONDS = 6


def pcm(rate, frames):
    return Probe(codec="pcm", rate=rate, frames=frames)


def wav(rate, frames):
    return Probe(codec="wav", rate=rate, frames=frames)


@given(played=RATES, right=RATES)
def test_pcm_of_another_rate_is_found_and_resampled_pcm_is_not(played, right):
    file = wav(right, SECONDS * right)
    assert rate_is_wrong(pcm(played, SECONDS * right), file) == (played != right)
    assert not rate_is_wrong(pcm(played, SECONDS * played), file)


@given(played=RATES, right=RATES, length=st.floats(0.9, 1.1))
def test_takes_of_different_lengths_are_not_mistaken_for_another_rate(played, right, length):
    assert not rate_is_wrong(pcm(played, round(SECONDS * played * length)), wav(right, SECONDS * right)) or (
        abs(played / right - 1) > 0.05
    )
    if abs(played / right - 1) > 0.45 or abs(right / played - 1) > 0.45:
        assert rate_is_wrong(pcm(played, round(SECONDS * right * length)), wav(right, SECONDS * right))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (pcm(24_000, 1000), Probe(ServerError("no"))),
        (wav(24_000, 1000), wav(16_000, 1000)),
        (pcm(24_000, 1000), pcm(16_000, 1000)),
    ],
)
def test_only_pcm_and_wav_are_compared(first, second):
    assert not rate_is_wrong(first, second)
