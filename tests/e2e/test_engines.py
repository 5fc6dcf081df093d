"""An in-process engine: `voice say --backend sherpa` with a generated voice."""

import signal
import subprocess
import time

import numpy as np
import pytest

from support.onnx_voices import sherpa_voice
from support.packages import needs
from support.sound import VOICE
from voice_cli.backends import open_backend
from voice_cli.backends.base import SpeechRequest

pytestmark = pytest.mark.e2e

needs("sherpa_onnx")
needs("onnx")

TEXT = "Hello there. How are you, friend? The build is done!"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return sherpa_voice(tmp_path_factory.mktemp("model") / "hum", rate=24000)


def spoken(model, text):
    """Return the engine's audio without leading and trailing silence."""
    backend = open_backend("sherpa", model=str(model))
    samples = np.frombuffer(b"".join(backend.synthesize(SpeechRequest(text))), "<i2")
    backend.close()
    loud = np.flatnonzero(samples)
    return samples[loud[0] : loud[-1] + 1]


def test_all_engine_audio_is_played(audio, voice, model):
    with audio.record() as heard:
        result = voice("say", TEXT, "--backend", "sherpa", "-m", model, "--json")
    assert result.code == 0, result.err
    np.testing.assert_array_equal(heard.sound[:, 0], spoken(model, TEXT))
    assert result.json["outcome"] == "complete"
    assert result.json["backend"] == "sherpa"
    assert result.json["rate"] == 24000
    assert result.err == ""


def test_library_output_is_not_shown(audio, voice, model, tmp_path):
    folder = sherpa_voice(tmp_path / "lexicon", rate=24000, lexicon={"hello": "həlˈoʊ"})
    result = voice("say", "hello zebra", "--backend", "sherpa", "-m", folder)
    assert (result.code, result.err) == (0, "")


def test_ctrl_c_stops_playback_and_exits_quickly(audio, model, tmp_path):
    with audio.record() as heard:
        process = subprocess.Popen(
            [*VOICE, "say", "Hello there. " * 400, "--backend", "sherpa", "-m", str(model)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=audio.environment(),
            cwd=tmp_path,
        )
        heard.wait_for_sound()
        process.send_signal(signal.SIGINT)
        sent_at = time.monotonic()
        out, err = process.communicate(timeout=10)
        ended_at = time.monotonic()
    assert process.returncode == -signal.SIGINT
    assert (out, err) == (b"", b"")
    last = np.flatnonzero(heard.samples.any(axis=1))[-1]
    assert heard.time_of(int(last)) - sent_at < 0.15  # the recorder lags by 5 to 20 ms
    assert ended_at - sent_at < 1.0
