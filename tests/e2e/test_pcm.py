"""PCM: every sample sent is played once, in order."""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from support.server import Answer
from support.sound import VOICE, holes, speech

pytestmark = pytest.mark.e2e


def bursts(at):
    return 24000 if (at // 24000) % 2 else 333


LATE = """
import runpy, time
from voice_cli.playback.sink_source import SinkSource
pull = SinkSource.pull
def late(self, *arguments):
    pull(self, *arguments)
    if self.pulls % 60 == 59:
        time.sleep(0.1)
SinkSource.pull = late
runpy.run_module("voice_cli", run_name="__main__", alter_sys=True)
"""
"""`voice`, whose callback now and then takes longer than the device's buffer lasts."""

CUTS = {
    "whole": 10**9,
    "odd": 4799,
    "one byte": 1,
    "bursts": bursts,
    "random": lambda at: random.Random(at).randrange(1, 9000),
}


@pytest.mark.parametrize("cut", CUTS)
def test_every_sample_is_played(audio, voice, serve, cut):
    sent = speech(0.5 if cut == "one byte" else 2.0)
    server = serve(Answer(sent.tobytes(), chunk=CUTS[cut], first_byte=0.05))
    # Single bytes arrive hardly faster than real time on a busy machine.
    with audio.record() as heard:
        result = voice(
            "say", "x", "--base-url", server.url, "--json", "--prebuffer", "500" if cut == "one byte" else "auto"
        )
    assert result.code == 0, result.err
    assert result.err == ""
    np.testing.assert_array_equal(heard.sound, sent)
    assert result.json["outcome"] == "complete"
    assert result.json["underruns"] == 0
    assert result.json["chunks_played"] == result.json["chunks_received"]
    assert result.json["bytes_received"] == sent.nbytes


def test_request_follows_openai_api(voice, serve, audio):
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


def test_slow_backend_causes_few_underruns_and_loses_nothing(audio, voice, serve):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes(), chunk=2400, byte_rate=0.8 * 48000))
    with audio.record() as heard:
        result = voice("say", "x", "--base-url", server.url, "--json", "--smooth", "off")
    assert result.code == 0
    sound = heard.sound
    gaps = holes(sound, heard.rate, shortest=0.02)
    assert len(gaps) == result.json["underruns"]
    assert 1 <= len(gaps) <= 4
    assert result.json["underrun_ms"] == pytest.approx(sum(frames for _, frames in gaps) / 24, abs=30 * len(gaps))
    # Without the gaps and their ramps, each stretch must be part of the audio sent.
    at = 0
    edges = [0, *(edge for first, frames in gaps for edge in (first, first + frames)), len(sound)]
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        stretch = sound[first:last]
        ramp = int(0.006 * heard.rate)
        core = stretch[ramp if first else 0 : len(stretch) - (ramp if last < len(sound) else 0)]
        place = sent.tobytes().find(core.tobytes(), 0)
        assert place >= 0, "a stretch differs from the audio sent"
        assert place // 2 >= at
        at = place // 2 + len(core)
    assert at == len(sent)
    lost = len(sent) - sum(b - a for a, b in zip(edges[::2], edges[1::2], strict=True))
    assert lost <= 0


def test_larger_prebuffer_delays_the_start(audio, voice, serve):
    sent = speech(1.0)
    server = serve(Answer(sent.tobytes(), chunk=4800, byte_rate=48000 * 2, first_byte=0.2))
    early = voice("say", "x", "--base-url", server.url, "--json", "--prebuffer", "0").json
    late = voice("say", "x", "--base-url", server.url, "--json", "--prebuffer", "600").json
    assert late["ttfa_ms"] - early["ttfa_ms"] > 150


def test_body_larger_than_the_ring_is_played_in_full(audio, voice, serve, tmp_path):
    """Audio that does not fit waits (voice-mode drops the oldest beyond 2 s)."""
    sent = speech(6.0)
    server = serve(Answer(sent.tobytes(), chunk=100_000))
    with audio.record() as heard:
        result = voice("say", "x", "--base-url", server.url, "--save", "all.wav")
    assert result.code == 0
    np.testing.assert_array_equal(heard.sound, sent)
    assert (tmp_path / "all.wav").read_bytes()[44:] == sent.tobytes()


def test_volume_affects_playback_and_not_the_saved_file(audio, voice, serve, tmp_path):
    sent = speech(0.5)
    server = serve(Answer(sent.tobytes()))
    with audio.record() as heard:
        voice("say", "x", "--base-url", server.url, "--volume", "0.5", "-o", "s.wav")
    wanted = np.rint(sent * np.float32(0.5)).astype("<i2")
    wanted = wanted[np.flatnonzero(wanted)[0] : np.flatnonzero(wanted)[-1] + 1]
    np.testing.assert_array_equal(heard.sound, wanted)
    assert (tmp_path / "s.wav").read_bytes()[44:] == sent.tobytes()


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="requires SIGSTOP")
@pytest.mark.parametrize("who", ["sound server", "both"])
def test_device_underflow_causes_gaps_and_loses_nothing(audio, serve, who):
    sent = speech(2.5)
    server = serve(Answer(sent.tobytes()))
    command = [*VOICE, "say", "x", "--json", "--base-url", server.url]
    with audio.record("ear") as heard:
        process = subprocess.Popen(command, env=audio.environment("ear"), stdout=subprocess.PIPE)
        heard.wait_for_sound()
        stopped = [audio.process] if who == "sound server" else [audio.process, process]
        for _ in range(4):
            heard.wait_for(0.3)
            for one in stopped:
                one.send_signal(signal.SIGSTOP)
            time.sleep(0.12)  # longer than the device's buffer
            for one in stopped:
                one.send_signal(signal.SIGCONT)
        report = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 0
    assert report["device_underflows"] >= 1
    samples = heard.samples[:, 0]
    assert np.array_equal(samples[samples != 0], sent[:, 0])
    assert holes(heard.sound, heard.rate, 0.01)


def test_the_stream_has_our_name_and_the_role_of_accessibility(audio, serve):
    server = serve(Answer(speech(20.0).tobytes()))
    with audio.record() as heard:
        process = subprocess.Popen([*VOICE, "say", "x", "--base-url", server.url], env=audio.environment())
        heard.wait_for_sound()
        listed = subprocess.run(
            ["pactl", "list", "sink-inputs"], env=audio.environment(), capture_output=True, check=True
        )
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert b'application.name = "voice"' in listed.stdout
    assert b'media.role = "a11y"' in listed.stdout


def test_a_block_that_comes_too_late_is_not_lost(audio, serve, tmp_path):
    sent = speech(3.0)
    server = serve(Answer(sent.tobytes()))
    command = [sys.executable, "-c", LATE, "say", "x", "--base-url", server.url, "--json", "--no-agent"]
    with audio.record() as heard:
        done = subprocess.run(command, env=audio.environment(), cwd=tmp_path, capture_output=True, check=True)
    result = json.loads(done.stdout)
    assert result["device_underflows"] >= 4
    sound = heard.sound
    np.testing.assert_array_equal(sound[sound.any(axis=1)], sent)
