"""A speed that the backend does not have is done here: the duration and the words change, the pitch does not."""

import numpy as np
import pytest

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, WordEvent
from voice_cli.speech.speeds import synthesize

FORMAT = AudioFormat(24000, 1)
TONE = (8000 * np.sin(2 * np.pi * 220 * np.arange(48000) / 24000)).astype("<i2").tobytes()


class Given(SpeechStream):
    def __init__(self, request, codec="pcm", step=1001):
        self.request = request
        self.expected = Encoding(codec, FORMAT if codec == "pcm" else None)
        self.timestamps = {}
        self.words = [WordEvent(0, 5, 0.0), WordEvent(6, 5, 1.2)]
        self.notes = ["its own"]
        self.cancelled = False
        self._step = step

    def __iter__(self):
        self.announced = self.expected
        for at in range(0, len(TONE), self._step):  # odd: a chunk may end inside a frame
            yield TONE[at : at + self._step]

    def cancel(self):
        self.cancelled = True


class Fixed(Backend):
    name = "fixed"
    own = None
    codec = "pcm"

    @property
    def own_speeds(self):
        return self.own

    def synthesize(self, request):
        return Given(request, self.codec)

    def voices(self):
        return []


@pytest.fixture
def backend():
    return Fixed()


def pitch(pcm):
    samples = np.frombuffer(pcm, "<i2").astype(float)
    return np.count_nonzero(np.diff(np.signbit(samples))) / 2 / (len(samples) / FORMAT.rate)


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.5, 4.0])
def test_the_tempo_changes_and_the_pitch_does_not(backend, speed):
    stream = synthesize(backend, SpeechRequest("Hello there", speed=speed))
    pcm = b"".join(stream)
    assert len(pcm) == pytest.approx(len(TONE) / speed, abs=2 * FORMAT.frame_bytes)
    assert pitch(pcm) == pytest.approx(220, rel=0.03)
    assert stream.words[1].seconds == pytest.approx(1.2 / speed)
    assert stream.announced == Encoding("pcm", FORMAT)
    assert stream.notes == [
        "its own",
        f"fixed does not have this speed: the tempo of its sound is changed by {speed:.3g}",
    ]


@pytest.mark.parametrize("speed", [None, 1.0])
def test_the_normal_speed_is_left_alone(backend, speed):
    assert isinstance(synthesize(backend, SpeechRequest("Hello", speed=speed)), Given)


@pytest.mark.parametrize(
    ("speed", "own", "factor"), [(1.5, 1.5, None), (0.25, 0.5, 0.5), (4.0, 2.0, 2.0), (0.5, 0.5, None)]
)
def test_the_backend_does_what_it_can(backend, speed, own, factor):
    backend.own = (0.5, 2.0)
    stream = synthesize(backend, SpeechRequest("Hello", speed=speed))
    if factor is None:
        assert stream.request.speed == own
        return
    assert stream._stream.request.speed == own
    assert len(b"".join(stream)) == pytest.approx(len(TONE) / factor, abs=2 * FORMAT.frame_bytes)


def test_cancel_reaches_the_backend(backend):
    stream = synthesize(backend, SpeechRequest("Hello", speed=2.0))
    stream.cancel()
    assert stream._stream.cancelled


def test_other_sound_than_pcm_is_passed_on_with_a_note(backend):
    backend.codec = "mp3"
    stream = synthesize(backend, SpeechRequest("Hello", speed=2.0))
    assert b"".join(stream) == TONE
    assert stream.words[1].seconds == 1.2
    assert "the speed is not applied" in stream.notes[1]
