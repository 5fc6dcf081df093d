"""Resumption after a cut: what is heard is the whole speech, once."""

import numpy as np
import pytest

from support.recovery import MONO, TakesBackend, cut, heard, narrate, refused, take
from support.sound import speech as voice_like
from voice_cli.audio import AudioFormat
from voice_cli.errors import NetworkError, TruncatedAudio
from voice_cli.speech.recovery import Policy

SPEECH = voice_like(20.0).reshape(-1)
RNG = np.random.default_rng(5)


@pytest.mark.parametrize("at", RNG.integers(1000, len(SPEECH) - 1000, 50))
def test_the_same_take_is_joined_exactly(at):
    backend = TakesBackend(take(SPEECH, until=2 * int(at)), take(SPEECH))
    narration = narrate(backend, "A text.")
    sound, error, _ = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, SPEECH)
    assert narration.recovery.retries == 1
    (resumed,) = narration.recovery.resumed
    assert resumed.at == pytest.approx(at / MONO.rate)
