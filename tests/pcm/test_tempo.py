"""Tempo: duration to the frame, pitch, cuts."""

import numpy as np
import pytest

from support import material
from voice_cli.audio import AudioFormat
from voice_cli.pcm.tempo import FASTEST, SLOWEST, Tempo, _steps

RATE = 24_000
MONO = AudioFormat(RATE, 1)


def tone(seconds, hertz=440.0, rate=RATE, channels=1):
    wave = 12_000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wave.round().astype("<i2"), channels).tobytes()


def changed(data, factor, audio_format=MONO, size=4800):
    tempo = Tempo(audio_format, factor)
    return b"".join([*(tempo.process(piece) for piece in material.every(size, data)), tempo.flush()])


def pitch(data, rate=RATE):
    """Return the frequency of the strongest part, in hertz."""
    samples = np.frombuffer(data, "<i2").astype(float)
    samples = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 20))
    return spectrum.argmax() * rate / (1 << 20)


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.7, 0.9, 1.1, 1.7, 2.0, 3.3, 4.0])
def test_the_duration_is_kept_to_the_frame_and_the_pitch_stays(factor):
    data = tone(2.0)
    after = changed(data, factor)
    assert len(after) // 2 == round(2 * RATE / factor)
    assert pitch(after) == pytest.approx(440, rel=0.01)


@pytest.mark.parametrize("audio_format", [AudioFormat(8000, 1), AudioFormat(44_100, 2), AudioFormat(48_000, 6)])
def test_each_format_keeps_its_duration(audio_format):
    data = tone(0.5, rate=audio_format.rate, channels=audio_format.channels)
    after = changed(data, 1.5, audio_format, size=audio_format.frame_bytes * 100)
    assert len(after) // audio_format.frame_bytes == round(0.5 * audio_format.rate / 1.5)


@pytest.mark.parametrize("frames", [0, 1, 10, 1000])
def test_a_sound_shorter_than_a_window_keeps_its_duration(frames):
    assert len(changed(tone(1.0)[: 2 * frames], 1.7)) == 2 * round(frames / 1.7)


@pytest.mark.parametrize("size", [2, 222, 48_000])
def test_the_samples_do_not_depend_on_the_cuts(size):
    data = material.speech(MONO, 0.3)
    assert changed(data, 1.3, size=size) == changed(data, 1.3)


@pytest.mark.parametrize("factor", [0.25, 0.4, 0.5, 1.0, 2.0, 2.5, 4.0])
def test_the_steps_are_within_the_limits(factor):
    steps = _steps(factor)
    assert np.prod(steps) == pytest.approx(factor)
    assert all(SLOWEST <= step <= FASTEST for step in steps)


def test_a_mark_of_the_sound_stays_at_its_time():
    """A click at each half second is heard at its time divided by the factor."""
    data = np.frombuffer(tone(3.0), "<i2").copy() // 8
    for at in (0.5, 1.0, 1.5, 2.0, 2.5):
        data[int(at * RATE) : int(at * RATE) + 240] *= 8
    after = np.abs(np.frombuffer(changed(data.tobytes(), 1.6), "<i2").astype(int))
    for at in (0.5, 1.0, 1.5, 2.0, 2.5):
        near = after[int((at / 1.6 - 0.06) * RATE) : int((at / 1.6 + 0.06) * RATE)]
        assert near.max() > 6000, at
