"""PCM: every sample that was sent is heard, once, in order."""

import json
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from support.server import Answer
from support.sound import VOICE, holes, speech

pytestmark = pytest.mark.e2e


def bursts(at):
    return 24000 if (at // 24000) % 2 else 333


CUTS = {
    "whole": 10**9,
    "odd": 4799,
    "one byte": 1,
    "bursts": bursts,
    "random": lambda at: random.Random(at).randrange(1, 9000),
}


@pytest.mark.parametrize("cut", CUTS)
def test_every_sample_is_heard(audio, voice, serve, cut):
    sent = speech(0.5 if cut == "one byte" else 2.0)
    server = serve(Answer(sent.tobytes(), chunk=CUTS[cut], first_byte=0.05))
    # A busy machine sends and receives single bytes hardly faster than they are played.
    with audio.record() as heard:
        said = voice(
            "say", "x", "--base-url", server.url, "--json", "--prebuffer", "500" if cut == "one byte" else "auto"
        )
    assert said.code == 0, said.err
    assert said.err == ""
    np.testing.assert_array_equal(heard.sound, sent)
    assert said.json["outcome"] == "complete"
    assert said.json["underruns"] == 0
    assert said.json["chunks_played"] == said.json["chunks_received"]
    assert said.json["bytes_received"] == sent.nbytes


def test_the_request_is_openais(voice, serve, audio):
    server = serve(Answer(speech(0.1).tobytes()))
    voice(
        "say", "Grüß Gott", "--base-url", server.url, "-m", "kokoro", "-v", "af_bella", "--speed", "1.25",
        "--instructions", "slowly", environment={"OPENAI_API_KEY": "sk-secret"},
    )  # fmt: skip
    (request,) = server.requests
    assert request.path == "/v1/audio/speech"
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert request.json == {
        "input": "Grüß Gott",
        "model": "kokoro",
        "voice": "af_bella",
        "speed": 1.25,
        "instructions": "slowly",
        "response_format": "pcm",
    }


def test_a_slow_backend_makes_few_holes_and_loses_nothing(audio, voice, serve):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes(), chunk=2400, byte_rate=0.8 * 48000))
    with audio.record() as heard:
        said = voice("say", "x", "--base-url", server.url, "--json")
    assert said.code == 0
    sound = heard.sound
    gaps = holes(sound, heard.rate, shortest=0.02)
    assert len(gaps) == said.json["underruns"]
    assert 1 <= len(gaps) <= 4
    assert said.json["underrun_ms"] == pytest.approx(sum(frames for _, frames in gaps) / 24, abs=30 * len(gaps))
    # What is left when the ramps and the silence of the holes are taken out is what was sent: look for each stretch.
    at = 0
    edges = [0, *(edge for first, frames in gaps for edge in (first, first + frames)), len(sound)]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        stretch = sound[first:last]
        ramp = int(0.006 * heard.rate)
        core = stretch[ramp if first else 0 : len(stretch) - (ramp if last < len(sound) else 0)]
        place = sent.tobytes().find(core.tobytes(), 0)
        assert place >= 0, "a stretch that was not sent so"
        assert place // 2 >= at
        at = place // 2 + len(core)
    assert at == len(sent)
    lost = len(sent) - sum(b - a for a, b in zip(edges[::2], edges[1::2], strict=True))
    assert lost <= 0


def test_the_prebuffer_gates_the_start(audio, voice, serve):
    sent = speech(1.0)
    server = serve(Answer(sent.tobytes(), chunk=4800, byte_rate=48000 * 2, first_byte=0.2))
    early = voice("say", "x", "--base-url", server.url, "--json", "--prebuffer", "0").json
    late = voice("say", "x", "--base-url", server.url, "--json", "--prebuffer", "600").json
    assert late["ttfa_ms"] - early["ttfa_ms"] > 150


def test_faster_than_the_ring_is_held_back_and_whole(audio, voice, serve, tmp_path):
    """voice-mode's player drops the oldest speech beyond 2 s; what does not fit must wait."""
    sent = speech(6.0)
    server = serve(Answer(sent.tobytes(), chunk=100_000))
    with audio.record() as heard:
        said = voice("say", "x", "--base-url", server.url, "--save", "all.wav")
    assert said.code == 0
    np.testing.assert_array_equal(heard.sound, sent)
    assert (tmp_path / "all.wav").read_bytes()[44:] == sent.tobytes()


def test_volume_changes_what_is_heard_and_not_what_is_saved(audio, voice, serve, tmp_path):
    sent = speech(0.5)
    server = serve(Answer(sent.tobytes()))
    with audio.record() as heard:
        voice("say", "x", "--base-url", server.url, "--volume", "0.5", "-o", "s.wav")
    wanted = np.rint(sent * np.float32(0.5)).astype("<i2")
    wanted = wanted[np.flatnonzero(wanted)[0] : np.flatnonzero(wanted)[-1] + 1]
    np.testing.assert_array_equal(heard.sound, wanted)
    assert (tmp_path / "s.wav").read_bytes()[44:] == sent.tobytes()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no process can be stopped here")
@pytest.mark.parametrize("who", ["the sound server", "both"])
def test_a_device_that_runs_dry_makes_holes_and_loses_nothing(audio, serve, who):
    sent = speech(2.5)
    server = serve(Answer(sent.tobytes()))
    command = [*VOICE, "say", "x", "--json", "--base-url", server.url]
    with audio.record("ear") as heard:
        process = subprocess.Popen(command, env=audio.environment("ear"), stdout=subprocess.PIPE)
        heard.wait_for_sound()
        stopped = [audio.process] if who == "the sound server" else [audio.process, process]
        for _ in range(4):
            heard.wait_for(0.3)
            for one in stopped:
                one.send_signal(signal.SIGSTOP)
            time.sleep(0.12)  # longer than the device holds
            for one in stopped:
                one.send_signal(signal.SIGCONT)
        report = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 0
    assert report["device_underflows"] >= 1
    samples = heard.samples[:, 0]
    assert np.array_equal(samples[samples != 0], sent[:, 0])
    assert holes(heard.sound, heard.rate, 0.01)
