"""`--events` without a device: the same lines with and without the agent, and what it cannot be combined with."""

import json
import subprocess

import pytest

from support.command import VOICE, run_voice
from support.server import Answer
from support.sound import speech


@pytest.fixture(params=["alone", "agent"])
def environment(request, agent):
    return {**agent.environment, **({"VOICE_AGENT": "off"} if request.param == "alone" else {})}


def events(done):
    return [json.loads(line) for line in done.out.splitlines()]


def test_the_lines_of_a_speech(environment, tmp_path):
    arguments = ["Hello there.", "--no-play", "-o", "a.wav"]
    done = run_voice("say", *arguments, "--events", folder=tmp_path, environment=environment)
    assert (done.code, done.err) == (0, "")
    found = events(done)
    expected = ["start", "request", "first_byte", "utterance_begin", "word", "word", "utterance_end", "end"]
    assert [event["event"] for event in found] == expected
    times = [event["at_ms"] for event in found]
    assert times[1:] == pytest.approx(sorted(times[1:]), abs=5)  # a request's own times are known a little later
    assert [event["word"] for event in found if event["event"] == "word"] == ["Hello", "there."]
    told = run_voice("say", *arguments, "--json", folder=tmp_path, environment=environment).json
    assert found[-1].keys() == {"event", "at_ms", *told}
    assert (found[-1]["outcome"], found[-1]["saved"]) == ("complete", "a.wav")


def test_text_of_any_characters_is_one_line_of_ascii(environment, tmp_path):
    done = run_voice(
        "say", "Grüße,\u2028 日本 \x1b[31m", "--no-play", "--events", folder=tmp_path, environment=environment
    )
    assert done.out.isascii()
    assert b"\x1b" not in done.out
    assert events(done)[-1]["event"] == "end"


def test_a_line_is_written_when_it_happens(environment, tmp_path, serve):
    server = serve(Answer(speech(0.5).tobytes(), stall_after=4096))
    command = [*VOICE, "say", "x", "--base-url", server.url, "--no-play", "--events"]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        kinds = []
        while "first_byte" not in kinds:  # the server sends no more
            kinds.append(json.loads(process.stdout.readline())["event"])
        process.terminate()
        (*_, end) = process.stdout.read().splitlines()
    assert json.loads(end)["outcome"] == "cancelled"


@pytest.mark.parametrize("also", [["--json"], ["--show"], ["-o", "-"], ["--detach"]])
def test_what_it_cannot_be_combined_with(environment, tmp_path, also):
    done = run_voice("say", "Hello", "--events", *also, folder=tmp_path, environment=environment)
    assert done.code == 2


def test_a_failure_has_its_end(environment, tmp_path):
    done = run_voice("say", "Hello", "--events", "--volume", "9", "--no-play", folder=tmp_path, environment=environment)
    assert done.code == 2
    assert events(done)[-1]["error"]["kind"] == "usage"


def test_a_full_disk(environment, tmp_path):
    done = run_voice(
        "say", "Hello", "--no-play", "--events", folder=tmp_path, environment=environment, script='"$@" > /dev/full'
    )
    assert (done.code, "No space left" in done.err) == (10, True)
