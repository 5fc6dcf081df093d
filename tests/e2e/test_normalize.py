"""`--normalize`: recorded from the audio server, and saved."""

import json

import numpy as np
import pytest

from support.server import Answer, SpeechServer
from support.sound import speech
from voice_cli.audio import AudioFormat
from voice_cli.pcm.limiter import CEILING
from voice_cli.pcm.loudness import Meter
from voice_cli.playback.learned import MAX_LATENCY
from voice_cli.playback.normalizer import TARGET

pytestmark = pytest.mark.e2e

MONO = AudioFormat(24_000, 1)

VOICES = {"soft": speech(3.0, seed=5) * 10 ** (-14 / 20), "loud": speech(3.0, seed=6) * 10 ** (-7 / 20)}


def loudness(samples):
    meter = Meter(MONO, dual_mono=True)
    meter.feed(samples.astype("<i2").tobytes())
    meter.finish()
    return meter.integrated


@pytest.fixture
def server():
    with SpeechServer(lambda request: Answer(VOICES[request.json["voice"]].round().astype("<i2").tobytes())) as server:
        yield server


def test_two_voices_are_equally_loud_once_they_are_known(audio, voice, server, tmp_path):
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    (tmp_path / "state" / "voice").mkdir(parents=True)
    known = {"devices": {"default": {"latency": MAX_LATENCY, "clean": 0}}}
    (tmp_path / "state" / "voice" / "learned.json").write_text(json.dumps(known))
    for name in VOICES:
        voice("say", "x", "-v", name, "--base-url", server.url, "--normalize", "--no-play", "-o", "first.wav",
              environment=state)  # fmt: skip
    heard = {}
    for name in VOICES:
        with audio.record() as recording:
            result = voice(
                "say", "x", "-v", name, "--base-url", server.url, "--normalize", "-o", f"{name}.wav", environment=state
            )
        assert (result.code, result.err) == (0, "")
        sound = recording.sound[:, 0]
        saved = np.frombuffer((tmp_path / f"{name}.wav").read_bytes()[44:], "<i2")
        np.testing.assert_array_equal(sound, saved)
        assert np.abs(sound.astype(int)).max() <= CEILING
        heard[name] = loudness(sound)
    assert abs(heard["soft"] - heard["loud"]) < 1.0
    assert list(heard.values()) == pytest.approx([TARGET, TARGET], abs=1.0)


def test_a_saved_mp3_is_encoded_anew(voice, server, tmp_path):
    result = voice("say", "x", "-v", "loud", "--base-url", server.url, "--normalize", "-o", "x.mp3", "--no-play")
    assert (result.code, result.err) == (0, "")
    assert (tmp_path / "x.mp3").stat().st_size > 1000


def test_it_is_off_by_default(audio, voice, server):
    with audio.record() as recording:
        assert voice("say", "x", "-v", "soft", "--base-url", server.url).code == 0
    np.testing.assert_array_equal(recording.sound, VOICES["soft"].round().astype("<i2"))


def test_a_file_has_its_gain_from_the_second_time_on(audio, voice, tmp_path):
    from voice_cli.codecs.wav import wav_header

    sent = VOICES["soft"].round().astype("<i2")
    (tmp_path / "x.wav").write_bytes(wav_header(MONO, sent.nbytes) + sent.tobytes())
    state = {"XDG_STATE_HOME": str(tmp_path / "state"), "VOICE_NORMALIZE": "true"}
    for _ in range(2):
        with audio.record() as recording:
            result = voice("play", "x.wav", "--prebuffer", "200", environment=state)
        assert (result.code, result.err) == (0, "")
    assert loudness(recording.sound[:, 0]) == pytest.approx(TARGET, abs=1.0)
    assert "x.wav" not in (tmp_path / "state" / "voice" / "learned.json").read_text()
