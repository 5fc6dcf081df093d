"""Devices that vanish, restart or change in the middle of a speech: recorded from an audio server of its own."""

import json
import signal
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest

from support.agent import RealAgent
from support.server import Answer
from support.sound import VOICE, AudioServer, speech
from support.terminal import Job
from voice_cli.playback.learned import MAX_LATENCY

pytestmark = pytest.mark.e2e

RATE = 24_000
MOST_REPEATED = 0.05
"""Seconds."""


@pytest.fixture
def own_audio(audio, tmp_path):
    """An audio server that the test may kill."""
    folder = tmp_path / "audio"
    folder.mkdir()
    server = AudioServer(folder)
    yield server
    server.close()


@pytest.fixture(
    params=[pytest.param("alone", marks=pytest.mark.no_agent), pytest.param("agent", marks=pytest.mark.slow)]
)
def run(request, own_audio, tmp_path):
    """Return a function that starts `voice say` on a sink, alone or through an agent."""
    agents = {}

    def environment(sink):
        environment = own_audio.environment(sink, latency=MAX_LATENCY)
        if request.param == "alone":
            return environment
        if sink not in agents:
            agents[sink] = RealAgent(tmp_path, environment)
        return agents[sink].environment

    def start(server, *arguments, sink="ear"):
        command = [*VOICE, "say", "x", "--base-url", server.url, "--json", *arguments]
        return subprocess.Popen(
            command, env=environment(sink), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    start.agents = agents
    yield start
    for agent in agents.values():
        agent.close()


@contextmanager
def speaking(process, heard):
    """Yield a process when 0.7 s of its speech were heard."""
    try:
        heard.wait_for_sound()
        heard.wait_for(0.7)
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process):
    """Wait for the end of a speech that should succeed, and return its JSON object and its messages."""
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return json.loads(out), err


def repeated(heard, sent):
    """Return the seconds of `sent` that were heard twice, negative if they were lost; all else must be whole."""
    sound, sent = heard.sound[:, 0], sent[:, 0]
    size = min(len(sound), len(sent))
    before = int(np.argmax(sound[:size] != sent[:size]))
    after = int(np.argmax(sound[::-1][:size] != sent[::-1][:size]))
    assert before > 0.3 * RATE
    assert after > 0.3 * RATE
    return (before - (len(sent) - after)) / RATE


def test_the_server_is_killed_and_started_again(own_audio, serve, run):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    with own_audio.record() as heard, speaking(run(server), heard) as process:
        own_audio.kill()
        own_audio.restart()
        result, err = ended(process)
    twice = repeated(heard, sent)
    print(f"repeated {1000 * twice:.1f} ms, told {result['device_repeated_ms']}, away {result['device_away_ms']}")
    assert 0 <= twice <= MOST_REPEATED
    assert result["device_reopened"] == 1
    assert "was reopened after" in err
    assert (result["underruns"], result["device_underflows"]) == (0, 0)
    assert result["heard_ms"] == 4000
    assert result["text_spoken"] == "x"


def test_the_server_is_killed_and_does_not_return(own_audio, serve, run):
    server = serve(Answer(speech(4.0).tobytes()))
    with own_audio.record() as heard, speaking(run(server), heard) as process:
        own_audio.kill()
        heard.stop()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 9
    assert "the output device stopped playing, and no other one opens" in err
    assert len(err.splitlines()) == 1
    assert 500 < json.loads(out)["heard_ms"] < 2000
    assert json.loads(out)["text_spoken"] == ""


def test_the_server_is_restarted_between_two_speeches(own_audio, serve, run):
    sent = speech(0.7)
    server = serve(Answer(sent.tobytes()))
    for restarts in (False, True, False):
        if restarts:
            own_audio.kill()
            own_audio.restart()
        with own_audio.record() as heard:
            result, _ = ended(run(server))
        np.testing.assert_array_equal(heard.sound, sent)
        assert result["device_reopened"] == 0


@pytest.mark.parametrize("change", ["default", "unplugged"])
def test_another_device_becomes_the_default(own_audio, serve, run, change):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    own_audio.make_default("ear")
    with (
        own_audio.record("other") as other,
        own_audio.record() as heard,
        speaking(run(server, sink=None), heard) as process,
    ):
        own_audio.make_default("other")
        if change == "unplugged":
            own_audio.remove("ear")
        result, _ = ended(process)
        heard.stop()
    assert len(other.sound) > 2.5 * RATE
    np.testing.assert_array_equal(other.sound[-2 * RATE :], sent[-2 * RATE :])
    print(f"{len(other.sound) / RATE:.3f} of 4 s on the other device, reopened {result['device_reopened']}")
    assert result["heard_ms"] == 4000
    with own_audio.record("other") as other:
        ended(run(server, sink=None))
    np.testing.assert_array_equal(other.sound, sent)


@pytest.fixture
def speakers(own_audio):
    """A device with a name of its own."""
    with open(own_audio.environment()["ALSA_CONFIG_PATH"], "a", encoding="utf-8") as file:
        file.write("pcm.speakers { type pulse hint { description speakers } }\n")
    return "speakers"


def test_a_named_device_vanishes(own_audio, serve, run, speakers):
    server = serve(Answer(speech(4.0).tobytes()))
    with own_audio.record() as heard, speaking(run(server, "--device", speakers), heard) as process:
        own_audio.kill()
        heard.stop()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 9
    (line,) = err.splitlines()
    assert line.startswith("voice: the output device 'speakers' stopped playing and did not come back (")
    assert "--device" in line
    assert json.loads(out)["error"]["kind"] == "device"


def test_a_named_device_comes_back(own_audio, serve, run, speakers):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    with own_audio.record() as heard, speaking(run(server, "--device", speakers), heard) as process:
        own_audio.kill()
        own_audio.restart()
        result, _ = ended(process)
    assert 0 <= repeated(heard, sent) <= MOST_REPEATED
    assert result["device_reopened"] == 1


def test_a_frozen_server_does_not_hold_the_program(own_audio, serve, run):
    server = serve(Answer(speech(20.0).tobytes()))
    with own_audio.record() as heard, speaking(run(server), heard) as process:
        own_audio.process.send_signal(signal.SIGSTOP)
        try:
            time.sleep(1.2)  # the server has to be frozen for some time
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)
        finally:
            own_audio.process.send_signal(signal.SIGCONT)
    assert process.returncode == -signal.SIGINT


def test_a_stopped_program_goes_on(own_audio, serve, run):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    with own_audio.record() as heard, speaking(run(server), heard) as process:
        stopped = next(iter(run.agents.values())).process if run.agents else process
        stopped.send_signal(signal.SIGSTOP)
        heard.wait_for(3.0)
        stopped.send_signal(signal.SIGCONT)
        result, _ = ended(process)
    assert 0 <= repeated(heard, sent) <= MOST_REPEATED
    assert result["device_reopened"] == 0
    assert result["heard_ms"] == 4000
    assert all(value is None or value >= 0 for value in result.values() if isinstance(value, int | float | None))


def test_ctrl_z_pauses_the_speech_of_the_agent(audio, agent, serve, tmp_path):
    sent = speech(4.0)
    server = serve(Answer(sent.tobytes()))
    command = [*VOICE, "say", "x", "--base-url", server.url, "--json"]
    with audio.record() as heard:
        job = Job(*command, folder=tmp_path, environment=agent.environment)
        try:
            heard.wait_for_sound()
            heard.wait_for(0.7)
            job.press(b"\x1a")
            assert job.wait()["code"] is None
            heard.wait_for(2.0)
            job.go_on()
            report, out = job.end()
        finally:
            job.kill_all()
    assert report["code"] == 0
    result = json.loads(out)
    assert result["outcome"] == "complete"
    assert result["paused_ms"] == pytest.approx(2000, abs=500)
    sound = heard.sound[:, 0]
    assert len(sound) == pytest.approx(6.0 * RATE, abs=0.5 * RATE)
    np.testing.assert_array_equal(sound[-RATE:], sent[-RATE:, 0])
