"""`--events`: the order and the times of the events, against the recording, with and without the agent."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from support.agent import RealAgent
from support.server import Answer
from support.sound import VOICE, holes, speech
from voice_cli.pcm.levels import AUDIBLE
from voice_cli.playback.learned import MAX_LATENCY

pytestmark = pytest.mark.e2e

TEXT = "The first sentence is short. The second one is a little longer, and it has a comma."
NEAR_MS = 40
"""How far a time may be from the recorder's, which receives packets of 5 ms."""


class Listener:
    """A run of `voice say --events`, whose lines are read as they come."""

    def __init__(self, environment, folder, *arguments):
        command = [*VOICE, "say", *arguments, "--events"]
        self.process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.events = []

    def read_to(self, kind):
        """Return the next event of a kind."""
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == kind:
                return self.events[-1]
        raise AssertionError((kind, self.events, self.process.stderr.read()))

    def end(self):
        """Return all events by kind, and the exit code."""
        self.events += map(json.loads, self.process.stdout)
        code, err = self.process.wait(30), self.process.stderr.read()
        assert err == b"", err
        return code

    def of(self, kind):
        return [event for event in self.events if event["event"] == kind]

    @property
    def kinds(self):
        return [event["event"] for event in self.events]

    def began_at(self):
        """Return the start of the process on `time.monotonic`."""
        return self.events[0]["time"] - time.time() + time.monotonic()

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=[pytest.param("alone", marks=pytest.mark.no_agent), "agent"])
def way(request):
    return request.param


@pytest.fixture
def listen(way, audio, tmp_path):
    """Start a run on a sink."""
    started = []
    agents = {}

    def start(*arguments, sink="ear"):
        environment = audio.environment(sink, latency=MAX_LATENCY)
        if way == "agent":
            if sink not in agents:
                agents[sink] = RealAgent(tmp_path, environment)
                agents[sink].client.say("x", options={"no_play": True}).wait()  # until then, it imports
            environment = agents[sink].environment
        started.append(Listener(environment, tmp_path, *arguments))
        started[-1].agent = agents.get(sink)
        return started[-1]

    yield start
    for each in started:
        each.close()
    for agent in agents.values():
        agent.close()


def test_words_are_told_when_they_are_heard(audio, listen, way):
    with audio.record("ear22") as heard:
        voice = listen(TEXT, "--backend", "espeak", sink="ear22")
        voice.read_to("word")
        assert voice.process.poll() is None, "the lines come during the speech"
        assert voice.end() == 0
    assert voice.kinds[:3] == ["start", "request", "first_byte"]
    assert voice.kinds[-2:] == ["utterance_end", "end"]
    assert voice.events[0]["version"] == 1
    assert (voice.events[0]["id"] is None) == (way == "alone")
    words, first, end = voice.of("word"), voice.of("first_audio")[0], voice.events[-1]
    assert [word["word"] for word in words] == TEXT.split()
    assert [word["position_ms"] for word in words] == [word["start_ms"] for word in end["words"]]
    for kinds in (["first_audio"], ["word", "utterance_begin", "utterance_end"]):
        times = [event["at_ms"] for event in voice.events if event["event"] in kinds]
        assert times == sorted(times)
    assert end["outcome"] == "complete"
    assert abs(end["ttfa_ms"] - first["at_ms"]) < 11  # the process's start is known to 10 ms
    samples = np.abs(heard.samples[:, 0].astype(int))
    audible = np.flatnonzero(samples >= AUDIBLE)
    began = voice.began_at()
    recorded = 1000 * (heard.exact_time_of(int(audible[0])) - began)
    assert abs(first["at_ms"] - recorded) < NEAR_MS
    last = 1000 * (heard.exact_time_of(int(np.flatnonzero(samples)[-1])) - began)
    assert abs(voice.of("utterance_end")[0]["at_ms"] - last) < 400  # the voice ends with silence
    if not end["underruns"] and not end["device_underflows"]:
        for word in words:
            assert word["at_ms"] - first["at_ms"] == pytest.approx(word["position_ms"] - first["position_ms"], abs=2)


def test_each_utterance_is_asked_and_heard(audio, listen, serve):
    server = serve(lambda request: Answer(speech(0.5, seed=len(request.json["input"])).tobytes()))
    text = "A sentence that is the first one here.\n\nAnd another one that follows.\n\nThe last."
    with audio.record() as heard:
        voice = listen(text, "--base-url", server.url)
        assert voice.end() == 0
    assert [event["text"] for event in voice.of("request")] == [request.json["input"] for request in server.requests]
    begins, ends = voice.of("utterance_begin"), voice.of("utterance_end")
    assert [event["utterance"] for event in begins] == [event["utterance"] for event in ends] == [0, 1, 2]
    gaps = [b["at_ms"] - a["at_ms"] for a, b in zip(ends, begins[1:], strict=False)]
    found = [1000 * length / heard.rate for _, length in holes(heard.sound, heard.rate, 0.1)]
    assert gaps == pytest.approx(found, abs=15)


def test_an_underrun_is_told(audio, listen, serve):
    sent = speech(1.5)
    server = serve(Answer(sent.tobytes(), chunk=12_000, pause_at={24_000: 1.0}))
    with audio.record() as heard:
        voice = listen("x", "--base-url", server.url, "--smooth", "off")
        assert voice.end() == 0
    (gap,) = voice.of("underrun")
    ((at, length),) = holes(heard.sound, heard.rate, 0.1)
    assert gap["duration_ms"] == pytest.approx(1000 * length / heard.rate, abs=15)
    assert gap["position_ms"] == pytest.approx(1000 * at / heard.rate, abs=15)
    assert voice.events[-1]["underruns"] == 1


def test_a_pause_and_a_jump_are_told(audio, listen, way):
    if way == "alone":
        pytest.skip("it has no control without a terminal")
    with audio.record("ear22"):
        voice = listen(TEXT, "--backend", "espeak", sink="ear22")
        voice.read_to("word")
        voice.agent.client.pause()
        paused = voice.read_to("pause")
        voice.agent.client.resume()
        resumed = voice.read_to("resume")
        voice.agent.client.skip(1)
        jump = voice.read_to("jump")
        assert voice.end() == 0
    assert resumed["position_ms"] == pytest.approx(paused["position_ms"], abs=MAX_LATENCY * 1000 + 50)
    assert jump["position_ms"] > resumed["position_ms"]
    end = voice.events[-1]
    assert [each["word"] for each in voice.of("word")][-3:] == TEXT.split()[-3:]
    assert end["text_skipped"]
    assert len(voice.of("word")) < len(TEXT.split())


def test_a_cut_and_its_continuation_are_told(audio, listen, serve):
    sent = speech(1.0).tobytes()
    answers = [Answer(sent, die_after=24_000), Answer(sent)]
    server = serve(lambda _: answers.pop(0) if len(answers) > 1 else answers[0])
    with audio.record() as heard:
        voice = listen("x", "--base-url", server.url, "--quiet")
        assert voice.end() == 0
    assert voice.of("retry")[0]["retries"] == 1
    (continued,) = voice.of("continued")
    assert continued["position_ms"] == voice.events[-1]["resumed"][0]["at_ms"]
    np.testing.assert_array_equal(heard.sound.ravel(), np.frombuffer(sent, "<i2"))


def test_a_failure_ends_with_its_error(listen):
    voice = listen("x", "--backend", "http", "--base-url", "http://127.0.0.1:1/v1")
    voice.events += map(json.loads, voice.process.stdout)
    assert voice.process.wait(30) == 6
    assert voice.kinds[0] == "start"
    assert voice.events[-1]["error"]["exit_code"] == 6


def test_a_reader_that_closes_the_pipe_ends_the_speech(audio, listen):
    """As `--show` does."""
    with audio.record("ear22") as heard:
        voice = listen(" ".join([TEXT] * 4), "--backend", "espeak", sink="ear22")
        voice.read_to("word")
        voice.process.stdout.close()
        assert voice.process.wait(30) in (130, -signal.SIGINT)
    assert len(heard.sound) / heard.rate < 10


def test_a_cached_utterance_is_told(audio, listen, serve, tmp_path, monkeypatch):
    server = serve(Answer(speech(0.3).tobytes()))
    monkeypatch.setitem(os.environ, "XDG_CACHE_HOME", str(tmp_path))
    original = audio.environment
    monkeypatch.setattr(audio, "environment", lambda *a, **k: {**original(*a, **k), "XDG_CACHE_HOME": str(tmp_path)})
    for is_cached in (False, True):
        voice = listen("x", "--base-url", server.url)
        assert voice.end() == 0
        assert [event["cached"] for event in voice.of("request")] == [is_cached]
        assert len(voice.of("first_byte")) == (not is_cached)
