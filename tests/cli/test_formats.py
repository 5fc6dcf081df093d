"""`voice say` with servers that send PCM at another rate than OpenAI's."""

import wave

import numpy as np
import pytest

from support.server import Answer
from support.sound import speech

VOICE_RATE = 22_050
SECONDS = 0.5
MODEL = "speaches-ai/piper-en_US-amy-low"


def frames(rate):
    return round(rate * SECONDS)


def samples(count):
    return np.resize(speech(SECONDS), count).astype("<i2").tobytes()


def resampling(request):
    """Answer as speaches does: at the requested rate, or at the voice's own, and without saying which."""
    return Answer(samples(frames(request.json.get("sample_rate", VOICE_RATE))), "audio/pcm")


def at_the_voice_s_rate(_request):
    return Answer(samples(frames(VOICE_RATE)), "audio/pcm")


def with_a_header(_request):
    return Answer(samples(frames(VOICE_RATE)), "audio/pcm", headers={"X-Sample-Rate": str(VOICE_RATE)})


NOTE = "the server did not say the sample rate: 24000 Hz is assumed; the format wav contains it"


@pytest.mark.parametrize(
    ("answer", "rate", "notes"),
    [(resampling, 24_000, [NOTE]), (at_the_voice_s_rate, 24_000, [NOTE]), (with_a_header, VOICE_RATE, [])],
)
def test_the_rate_of_bare_pcm_is_requested_read_from_a_header_or_assumed_with_a_note(
    voice, serve, tmp_path, answer, rate, notes
):
    arguments = ["say", "Hello", "--no-play", "-o", "a.wav", "--model", MODEL, "--base-url", serve(answer).url]
    done = voice(*arguments, "--json")
    assert (done.code, done.json["notes"]) == (0, notes)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getframerate() == rate
        assert file.getnframes() == frames(VOICE_RATE if answer is not resampling else rate)
    done = voice(*arguments)
    assert done.err.splitlines() == [f"voice: {note}" for note in notes]
