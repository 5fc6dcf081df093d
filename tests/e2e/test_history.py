"""`voice history` and `voice replay`: what is heard again, through the agent, from the cache, and from the text."""

import json
import os
import stat
import subprocess

import numpy as np
import pytest

from support.server import Answer
from support.sound import VOICE, speech
from voice_cli.playback.learned import MAX_LATENCY
from voice_cli.state_file import state_path

pytestmark = pytest.mark.e2e


@pytest.fixture
def run(audio, tmp_path):
    """Run `voice` with a history and a cache of the test's; return its standard output."""
    (tmp_path / "state" / "voice").mkdir(parents=True)
    learned = {"devices": {"default": {"latency": MAX_LATENCY, "clean": 0}}}
    (tmp_path / "state" / "voice" / "learned.json").write_text(json.dumps(learned))
    folders = {"XDG_STATE_HOME": str(tmp_path / "state"), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def start(*arguments, code=0, **environment):
        done = subprocess.run(
            [*VOICE, *arguments],
            env={**audio.environment("ear"), **folders, **environment},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done
        return done.stdout if code == 0 else done.stderr

    start.state = folders["XDG_STATE_HOME"]
    return start


@pytest.fixture
def tones(serve):
    """A server that has three sounds, `tones.sounds`: "0", "1" and "2" have those."""
    sent = [speech(0.3, seed=seed) for seed in range(1, 4)]
    server = serve(lambda request: Answer(sent[sum(map(ord, request.json["input"])) % 3].tobytes()))
    server.sounds = sent
    return server


def ids(run):
    return [line.split("\t")[1] for line in run("history").splitlines()]


@pytest.mark.no_agent
def test_without_the_agent_from_the_cache(audio, run, tones):
    for number in "012":
        run("say", number, "--base-url", tones.url)
    tones.close()
    numbers = ids(run)
    assert len(numbers) == 3
    for arguments, expected in [((), 2), (("2",), 2), ((numbers[2],), 0)]:  # each replay is the last speech itself
        with audio.record() as heard:
            run("replay", *arguments)
        np.testing.assert_array_equal(heard.sound, tones.sounds[expected])
    assert len(ids(run)) == 6
    assert len(tones.requests) == 3


@pytest.mark.no_agent
def test_several_utterances_have_their_pauses(audio, run, tones):
    text = "0 is a long sentence here, really.\n\n1 is another sentence here, really."
    sounds = []
    with audio.record() as heard:
        run("say", text, "--base-url", tones.url)
    sounds.append(heard.sound)
    with audio.record() as heard:
        run("replay")
    sounds.append(heard.sound)
    np.testing.assert_array_equal(sounds[0], sounds[1])


def test_the_history_has_no_text_by_default(run, tones):
    run("say", "0 secret", "--base-url", tones.url)
    path = os.path.join(run.state, "voice", "history.json")
    assert os.path.dirname(path) == os.path.dirname(state_path({"XDG_STATE_HOME": run.state}))
    with open(path) as file:
        assert "secret" not in file.read()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert "secret" not in run("history") + run("history", "--json")


def test_with_texts_it_is_asked_again(audio, run, tones):
    arguments = ["say", "1", "--base-url", tones.url, "--no-cache", "--volume", "0.5"]
    run(*arguments, VOICE_HISTORY="texts")
    assert run("history").rstrip().endswith("\t1")
    with audio.record() as heard:
        run("replay")
    np.testing.assert_allclose(heard.sound, tones.sounds[1] / 2, atol=1)
    assert len(tones.requests) == 2


def test_off_leaves_nothing(run, tones):
    run("say", "0", "--base-url", tones.url, VOICE_HISTORY="off")
    assert run("history") == ""


@pytest.mark.no_agent
def test_what_is_not_kept_is_told(run, tones):
    run("say", "0", "--base-url", tones.url, "--no-cache")
    assert "is not kept" in run("replay", code=2)
    assert "there is no speech" in run("replay", "sabc", code=2)
    assert "the history has 1 speeches" in run("replay", "7", code=2)


def test_through_the_agent_from_its_memory(agent, audio, run, tones):
    """Also a text that is neither in the history nor cached."""
    environment = {name: agent.environment[name] for name in ("XDG_RUNTIME_DIR", "VOICE_AGENT", "CI")}
    for number in "01":
        run("say", number, "--base-url", tones.url, "--no-cache", **environment)
    assert agent.client.status()["spoken"] == 2
    first = ids(run)[1]
    for which, expected in [("1", 1), (first, 0)]:
        with audio.record() as heard:
            assert run("replay", which, **environment) == ""
        np.testing.assert_array_equal(heard.sound, tones.sounds[expected])
    assert len(ids(run)) == 4
    assert agent.client.replay(history=first).wait()["text_spoken"] == "0"
    with audio.record() as heard:
        agent.client.replay(2, detach=True)
        heard.wait_for_sound()
        agent.wait_until("speaking", 0)
        heard.wait_for(0.8)
    np.testing.assert_array_equal(heard.sound, tones.sounds[0])


def test_an_agent_that_has_forgotten_leaves_it_to_the_cache(agent, audio, run, tones):
    run("say", "1", "--base-url", tones.url)
    environment = {name: agent.environment[name] for name in ("XDG_RUNTIME_DIR", "VOICE_AGENT", "CI")}
    with audio.record() as heard:
        assert run("replay", **environment) == ""
    np.testing.assert_array_equal(heard.sound, tones.sounds[1])
