"""Speeches through the agent, on a real sound server."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest

from support.server import Answer
from support.sound import VOICE, holes, speech

pytestmark = pytest.mark.e2e

LONG = "One two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen."


@pytest.fixture
def say(agent, tmp_path):
    """Start `voice say`; the processes are ended after the test."""
    processes = []

    def start(*arguments, environment=None, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        environment = {**agent.environment, **(environment or {})}
        command = [*VOICE, "say", *map(str, arguments)]
        processes.append(subprocess.Popen(command, env=environment, cwd=tmp_path, **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def ended(process):
    """Return the exit code and both outputs of a process."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def tones(count):
    """Return so many speeches of 0.4 s that can be told apart."""
    return [speech(0.4, seed=seed) for seed in range(1, count + 1)]


def test_a_speech_is_heard_as_it_was_sent(agent, audio, say, serve):
    sent = speech(2.0)
    server = serve(Answer(sent.tobytes(), chunk=4799))
    with audio.record() as heard:
        code, out, err = ended(say("x", "--base-url", server.url, "--json"))
    assert (code, err) == (0, "")
    np.testing.assert_array_equal(heard.sound, sent)
    outcome = json.loads(out)
    assert (outcome["outcome"], outcome["underruns"], outcome["text_spoken"]) == ("complete", 0, "x")
    assert agent.client.status()["spoken"] == 1


def test_the_device_is_kept(agent, audio, say, serve):
    sent = tones(3)
    server = serve(lambda request: Answer(sent[int(request.json["input"])].tobytes()))
    with audio.record() as heard:
        for number in range(3):
            assert ended(say(number, "--base-url", server.url))[0] == 0
    sound = heard.sound
    for each in sent:
        assert each.tobytes() in sound.tobytes()


def test_ten_at_once_are_spoken_one_after_the_other(agent, audio, say, serve):
    """Every second one does without the agent."""
    sent = tones(10)
    server = serve(lambda request: Answer(sent[int(request.json["input"])].tobytes()))
    with audio.record() as heard:
        agent.client.say(" ".join([LONG] * 6), environment=agent.environment, detach=True)
        heard.wait_for_sound()
        processes = []
        for number in range(10):
            flags = ["--no-agent"] if number % 2 else []
            processes.append(say(number, "--base-url", server.url, *flags))
            agent.wait_until("waiting", number + 1)
        agent.client.stop()
        assert [ended(process)[0] for process in processes] == [0] * 10
    sound = heard.sound.tobytes()
    places = [[sound.find(each[at : at + 1200].tobytes()) for at in range(0, 9600, 1200)] for each in sent]
    assert max(found.count(-1) for found in places) <= 1, "more is missing than an underflow of the device divides"
    at = [place for found in places for place in found if place >= 0]
    assert at == sorted(at), "not one after the other, in order"


@pytest.mark.parametrize("flags", [[], ["--no-agent"]])
def test_stop_ends_the_speech_and_tells_what_was_heard(agent, audio, say, tmp_path, flags):
    with audio.record() as heard:
        process = say(LONG, "--json", *flags)
        heard.wait_for_sound()
        heard.wait_for(0.5)
        done = subprocess.run([*VOICE, "stop"], env=agent.environment, check=False, capture_output=True)
        code, out, _ = ended(process)
    assert (done.returncode, done.stderr) == (0, b"")
    outcome = json.loads(out)
    assert (code, outcome["outcome"]) == (130, "cancelled")
    assert outcome["text_spoken"].startswith("One")
    assert f"{outcome['text_spoken']} {outcome['text_remaining']}" == LONG
    assert len(heard.sound) < 3 * heard.rate


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_agent_ends_its_speeches_and_the_clients_say_what_was_heard(agent, audio, say, number):
    with audio.record() as heard:
        first = say(LONG, "--json")
        heard.wait_for_sound()
        waits = say("waits", "--json")
        agent.wait_until("waiting")
        heard.wait_for(0.5)
        agent.process.send_signal(number)
        sent_at = time.monotonic()
        code, out, err = ended(first)
        waited = ended(waits)
        last = int(np.flatnonzero(heard.samples.any(axis=1))[-1])
    assert heard.time_of(last) - sent_at < 0.15
    outcome = json.loads(out)
    assert (code, outcome["outcome"], err) == (130, "cancelled", "")
    assert f"{outcome['text_spoken']} {outcome['text_remaining']}" == LONG
    assert outcome["text_spoken"].startswith("One")
    assert (waited[0], json.loads(waited[1])["outcome"]) == (130, "cancelled")
    assert agent.process.wait(10) == 0
    assert not os.path.exists(agent.path)


def test_interrupt_speaks_at_once_and_the_queue_goes_on(agent, audio, say, serve):
    sent = {"first": speech(20.0, seed=1), "waits": speech(0.4, seed=2), "now": speech(0.4, seed=3)}
    server = serve(lambda request: Answer(sent[request.json["input"]].tobytes(), byte_rate=480000))
    with audio.record() as heard:
        first = say("first", "--base-url", server.url, "--json")
        heard.wait_for_sound()
        waits = say("waits", "--base-url", server.url)
        agent.wait_until("waiting")
        now = say("now", "--base-url", server.url, "--interrupt")
        assert [ended(process)[0] for process in (now, waits)] == [0, 0]
        code, out, _ = ended(first)
    assert (code, json.loads(out)["outcome"]) == (130, "cancelled")
    sound = heard.sound.tobytes()
    assert -1 < sound.find(sent["now"].tobytes()) < sound.find(sent["waits"].tobytes())


def test_if_idle_is_dropped_with_exit_code_0(agent, say, audio):
    with audio.record() as heard:
        first = say(LONG)
        heard.wait_for_sound()
        code, out, err = ended(say("now", "--if-idle", "--json"))
        first.send_signal(signal.SIGINT)
        assert ended(first)[0] == -signal.SIGINT
    assert (code, err) == (0, "voice: not spoken: another speech is playing\n")
    assert json.loads(out)["outcome"] == "dropped"


def test_a_text_that_arrives_is_spoken(agent, audio, say, serve):
    sent = {"One.": speech(0.5, seed=1), "Two.": speech(0.5, seed=2)}
    server = serve(lambda request: Answer(sent[request.json["input"]].tobytes()))
    with audio.record() as heard:
        process = say("--base-url", server.url, "--pause", "0", "--json", stdin=subprocess.PIPE)
        process.stdin.write(b"One.\n\n")
        process.stdin.flush()
        heard.wait_for_sound()
        process.stdin.write(b"Two.\n")
        process.stdin.close()
        process.stdin = None
        code, out, err = ended(process)
    assert (code, err) == (0, "")
    for each in sent.values():
        assert each[200:-200].tobytes() in heard.sound.tobytes()
    assert json.loads(out)["text_spoken"] == "One.\n\nTwo."


def test_a_client_that_is_killed_ends_its_speech_only(agent, audio, say, serve):
    sent = {"long": speech(20.0, seed=1), "next": speech(0.4, seed=2)}
    server = serve(lambda request: Answer(sent[request.json["input"]].tobytes()))
    with audio.record() as heard:
        first = say("long", "--base-url", server.url)
        heard.wait_for_sound()
        second = say("next", "--base-url", server.url)
        agent.wait_until("waiting")
        first.kill()
        assert ended(second)[0] == 0
    assert sent["next"].tobytes() in heard.sound.tobytes()
    assert len(heard.sound) < 10 * heard.rate


def test_detach_prints_an_id_and_the_speech_goes_on(agent, audio, say):
    with audio.record() as heard:
        code, out, err = ended(say("Hello there, this goes on.", "--detach"))
        assert (code, err) == (0, "")
        heard.wait_for_sound()
        (speaking,) = agent.client.queue()
        assert str(speaking["id"]) == out.strip()
        assert speaking["text"] == "Hello there, this goes on."
        agent.client.stop()
    assert agent.client.queue() == []


def test_when_the_agent_dies_its_clients_speak_the_rest(agent, audio, say, serve):
    sent = {"waits": speech(0.4, seed=2)}
    server = serve(lambda request: Answer(sent[request.json["input"]].tobytes()))
    with audio.record() as heard:
        first = say(LONG, "--json", environment={"CI": "1"})
        second_environment = {"CI": "1"}
        heard.wait_for_sound()
        heard.wait_for(0.5)
        second = say("waits", "--base-url", server.url, environment=second_environment)
        agent.wait_until("waiting")
        agent.kill()
        code, out, err = ended(first)
        assert ended(second)[0] == 0
    assert code == 0
    assert "the agent ended" in err
    assert json.loads(out)["text_spoken"] == LONG
    assert sent["waits"].tobytes() in heard.sound.tobytes()
    agent.restart()


@pytest.mark.parametrize("source", ["arguments", "file", "stdin"])
def test_no_sentence_is_lost_when_the_agent_dies(agent, audio, say, serve, tmp_path, source):
    sentences = ["The first is here.", "The second one is there.", "And the third is nowhere.", "The last is café."]
    sent = {text: speech(1.0, seed=seed) for seed, text in enumerate(sentences, 1)}
    server = serve(lambda request: Answer(sent[request.json["input"]].tobytes()))
    text = "\n\n".join(sentences)
    (tmp_path / "text.txt").write_text(text)
    arguments = {"arguments": [text], "file": ["-f", "text.txt"], "stdin": []}[source]
    options = ["--base-url", server.url, "--pause", "0", "--json", "--if-idle"]
    with audio.record() as heard, (tmp_path / "text.txt").open() as file:
        process = say(*arguments, *options, environment={"CI": "1"}, **({"stdin": file} if source == "stdin" else {}))
        heard.wait_for_sound()
        heard.wait_for(1.5)  # in the second one
        agent.kill()
        code, out, err = ended(process)
    assert code == 0, err
    assert "the agent ended" in err
    assert json.loads(out)["text_spoken"].split() == text.split()
    sound = heard.sound.tobytes()
    for each in list(sent.values())[2:]:
        assert each[200:-200].tobytes() in sound
    agent.restart()


def test_a_silence_between_speeches_has_no_holes_within_them(agent, audio, say, serve):
    sent = speech(1.0)
    server = serve(Answer(sent.tobytes()))
    with audio.record() as heard:
        for _ in range(2):
            assert ended(say("x", "--base-url", server.url))[0] == 0
    assert len(holes(heard.sound, heard.rate)) == 1
