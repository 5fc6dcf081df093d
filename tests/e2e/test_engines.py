"""An engine in the process, heard: `voice say --backend sherpa` with a voice that the test makes."""

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
    """What the engine gives, without its silence at the ends."""
    backend = open_backend("sherpa", model=str(model))
    samples = np.frombuffer(b"".join(backend.synthesize(SpeechRequest(text))), "<i2")
    backend.close()
    loud = np.flatnonzero(samples)
    return samples[loud[0] : loud[-1] + 1]


def test_all_of_it_is_heard(audio, voice, model):
    with audio.record() as heard:
        said = voice("say", TEXT, "--backend", "sherpa", "-m", model, "--json")
    assert said.code == 0, said.err
    np.testing.assert_array_equal(heard.sound[:, 0], spoken(model, TEXT))
    assert said.json["outcome"] == "complete"
    assert said.json["backend"] == "sherpa"
    assert said.json["rate"] == 24000
    assert said.err == ""


def test_the_library_prints_nothing_to_the_person(audio, voice, model, tmp_path):
    folder = sherpa_voice(tmp_path / "lexicon", rate=24000, lexicon={"hello": "həlˈoʊ"})
    said = voice("say", "hello zebra", "--backend", "sherpa", "-m", folder)
    assert (said.code, said.err) == (0, "")


def test_ctrl_c_stops_it_within_a_chunk(audio, model, tmp_path):
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
    assert process.returncode == 130
    assert (out, err) == (b"", b"")
    last = np.flatnonzero(heard.samples.any(axis=1))[-1]
    assert heard.time_of(int(last)) - sent_at < 0.15  # the recorder itself lags some 5 to 20 ms
    assert ended_at - sent_at < 1.0
