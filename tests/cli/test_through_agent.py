"""`voice say` does the same through the agent as in its own process: exit code, both outputs, and files."""

import json
import os
import re
import signal
import subprocess
from contextlib import closing, suppress

import pytest

from support.agent import RealAgent
from support.command import VOICE, environment_in, on_terminal, run_voice
from support.server import Answer
from support.sound import speech
from support.threads import WAIT, in_thread
from voice_cli.agent.client import AgentClient
from voice_cli.errors import AgentError, UsageError

TEXT = "One, two. Three *four* five.\n\nSix seven eight nine ten."


@pytest.fixture
def both(agent, tmp_path):
    """Run `voice say` through the agent and alone, each in a folder of its own; return both results and folders."""

    def run(*arguments, text=None, environment=None, files=None, through_agent=True):
        results = []
        before = agent.client.status()["spoken"]
        for name, flag in (("agent", {}), ("alone", {"VOICE_AGENT": "off"})):
            folder = tmp_path / name
            folder.mkdir()
            for path, content in (files or {}).items():
                (folder / path).write_bytes(content)
            environment_there = {**agent.environment, **(environment or {}), **flag}
            results.append(
                (run_voice("say", *arguments, folder=folder, text=text, environment=environment_there), folder)
            )
        assert (agent.client.status()["spoken"] > before) == through_agent
        return results

    return run


def without_times(out):
    """Return an object of `--json` without what differs between two runs."""
    tree = json.loads(out)
    timed = r"_ms$|factor|^chunks|_rate$"
    return {key: value for key, value in tree.items() if not re.search(timed, key) and key != "words"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["Hello", "--no-play", "-o", "a.wav", "--priority", "loud"],
        ["Hello", "--no-play", "-o", "a.wav", "--profile", "nope"],
        ["Hello", "--no-play", "-o", "a.wav", "--profile", "azure"],
        ["Hello", "--no-play", "-o", "a.wav", "--profile", "groq"],
        ["Hello", "--no-play", "-o", "a.wav", "--backend", "nope"],
        ["Hello", "--no-play", "-o", "a.xyz"],
        ["Hello", "--no-play", "-o", "missing/a.wav"],
        ["Hello", "--no-play", "--subtitles", "a.txt"],
        ["Hello", "--no-play", "--subtitles", "missing/a.srt"],
        ["Hello", "--no-play", "--speed", "9"],
        ["Hello", "--no-play", "--voice", "nobody", "-o", "a.wav"],
        ["Hello", "--no-play", "--base-url", "http://127.0.0.1:1/v1", "-o", "a.wav"],
        ["-f", "missing.txt", "--no-play"],
        ["-f", "sound.bin", "--no-play"],
        ["-f", "blank.txt", "--no-play"],
        [" ", "--no-play"],
        ["--no-play", "--queue", "--interrupt", "Hello"],
        ["Hello", "--json", "--show", "--no-play"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("as_json", [False, True])
def test_failures_are_the_same(both, arguments, as_json):
    arguments = arguments + (["--json"] if as_json and "--json" not in arguments else [])
    files = {"sound.bin": bytes(range(256)) * 40, "blank.txt": b" \n"}
    (ours, folder), (alone, folder_alone) = both(*arguments, files=files)
    assert (ours.code, ours.err.replace(str(folder), "")) == (alone.code, alone.err.replace(str(folder_alone), ""))
    assert ours.code not in (0, 1, 12)
    if "--json" in arguments and ours.out:
        outs = [each.out.replace(str(where).encode(), b"") for each, where in ((ours, folder), (alone, folder_alone))]
        assert without_times(outs[0]) == without_times(outs[1])
    else:
        assert ours.out == alone.out == b""
    assert sorted(os.listdir(folder)) == sorted(os.listdir(folder_alone))


def test_a_preset_is_used_with_the_clients_environment(both, serve):
    server = serve(Answer(speech(0.5).tobytes()))
    environment = {"AZURE_OPENAI_ENDPOINT": server.url.removesuffix("/v1"), "AZURE_OPENAI_API_KEY": "key-1"}
    (ours, folder), (alone, folder_alone) = both(
        "Hi", "-p", "azure", "--no-play", "-o", "a.wav", environment=environment
    )
    assert (ours.code, alone.code, ours.err, alone.err) == (0, 0, "", "")
    assert (folder / "a.wav").read_bytes() == (folder_alone / "a.wav").read_bytes()
    assert [request.headers["api-key"] for request in server.requests] == ["key-1", "key-1"]
    assert server.requests[0].body == server.requests[1].body


@pytest.mark.parametrize("suffix", ["wav", "mp3", "opus", "flac"])
def test_the_same_file_is_saved(both, serve, suffix):
    server = serve(Answer(speech(0.5).tobytes()))
    arguments = ["x", "--base-url", server.url, "--no-play", "-o", f"a.{suffix}", "--json"]
    (ours, folder), (alone, folder_alone) = both(*arguments)
    assert (ours.code, ours.err) == (alone.code, alone.err) == (0, "")
    assert without_times(ours.out) == without_times(alone.out)
    assert os.listdir(folder) == [f"a.{suffix}"]
    data, data_alone = ((each / f"a.{suffix}").read_bytes() for each in (folder, folder_alone))
    assert data == data_alone or suffix == "opus", "an Ogg stream has a random serial number"
    assert abs(len(data) - len(data_alone)) < 100


def test_bytes_of_the_server_are_saved_unchanged(both, serve, tmp_path):
    made = run_voice("say", "Hello", "--no-play", "-o", "made.mp3", folder=tmp_path)
    assert made.code == 0
    sent = (tmp_path / "made.mp3").read_bytes()
    server = serve(Answer(sent, content_type="audio/mpeg", chunk=333))
    (ours, folder), _ = both("x", "--base-url", server.url, "--format", "mp3", "--no-play", "-o", "a.mp3")
    assert ours.code == 0
    assert (folder / "a.mp3").read_bytes() == sent


@pytest.mark.parametrize("source", ["stdin", "file", "arguments"])
def test_any_source_of_the_text(both, source):
    arguments = ["--no-play", "--json", "-o", "a.wav", "--subtitles", "a.srt"]
    given = {
        "stdin": {"text": TEXT.encode()},
        "file": {"files": {"text.md": TEXT.encode()}},
        "arguments": {},
    }[source]
    arguments += {"stdin": [], "file": ["-f", "text.md"], "arguments": [TEXT]}[source]
    (ours, folder), (alone, folder_alone) = both(*arguments, **given)
    assert (ours.code, ours.err) == (alone.code, alone.err) == (0, "")
    assert without_times(ours.out)["text_spoken"] == without_times(alone.out)["text_spoken"]
    read = [(each / "a.srt").read_text().splitlines() for each in (folder, folder_alone)]
    assert [line for line in read[0] if "-->" not in line] == [line for line in read[1] if "-->" not in line]


def test_a_long_text_from_a_pipe_is_spoken_whole(both):
    code = "passed over\n" * 10_000
    assert len(code) > 65_536, "longer than the window"
    text = f"The first.\n\n```\n{code}```\n\nThe last.\n".encode()
    (ours, _), (alone, _) = both("--no-play", "--json", text=text, environment={"VOICE_MARKDOWN": "on"})
    assert ours.code == alone.code == 0
    assert ours.json["text_spoken"].split() == alone.json["text_spoken"].split() == ["The", "first.", "The", "last."]


def test_sound_on_standard_output(both, serve):
    server = serve(Answer(speech(0.5).tobytes()))
    (ours, _), (alone, _) = both("x", "--base-url", server.url, "--no-play", "-o", "-")
    assert (ours.code, ours.err) == (0, "")
    assert ours.out == alone.out
    assert len(ours.out) > 24_000


def test_the_shown_text(both):
    (ours, _), (alone, _) = both(TEXT, "--no-play", "--show")
    assert (ours.code, ours.out) == (alone.code, alone.out) == (0, alone.out)
    assert ours.out.decode().split() == TEXT.replace("*", "").split()


def test_the_latency_report(both):
    (ours, _), (alone, _) = both("Hello", "--no-play", "--debug")
    assert (ours.code, alone.code) == (0, 0)
    figures = [re.sub(r"[\d.]+|[━╸→ …]+", "", each.err).splitlines() for each in (ours, alone)]
    assert sorted(figures[0]) == sorted(figures[1]), "two phases may be in another order"


def test_a_traceback_with_debug(both):
    (ours, _), (alone, _) = both("Hello", "--no-play", "--debug", "--base-url", "http://127.0.0.1:1/v1")
    assert ours.code == alone.code == 6
    assert "Traceback" in ours.err
    assert ours.err.splitlines()[-1] == alone.err.splitlines()[-1]


def test_settings_and_keys_of_the_client(both, serve):
    server = serve(Answer(speech(0.1).tobytes()))
    config = f'[profiles.mine]\nbackend = "http"\nbase_url = "{server.url}"\nvoice = "v"\napi_key_env = "MY_KEY"\n'
    environment = {"VOICE_CONFIG": "mine.toml", "MY_KEY": "sk-1", "VOICE_PROFILE": "mine", "VOICE_SPEED": "1.5"}
    both("x", "--no-play", files={"mine.toml": config.encode()}, environment=environment)
    ours, alone = server.requests
    assert ours.json == alone.json == {**alone.json, "voice": "v", "speed": 1.5}
    assert ours.headers["authorization"] == alone.headers["authorization"] == "Bearer sk-1"


def test_config_can_turn_it_off(both):
    files = {"mine.toml": b'agent = "off"\n'}
    environment = {"VOICE_CONFIG": "mine.toml", "VOICE_AGENT": ""}
    before = both("Hello", "--no-play", "--json", files=files, environment=environment)
    assert [each.code for each, _ in before] == [0, 0]


def test_a_detached_speech_that_fails_while_its_text_is_sent(tmp_path):
    """With an agent of its own, which logs the error."""
    ours, theirs = os.pipe()

    def write():
        with suppress(BrokenPipeError), open(theirs, "wb", buffering=0) as file:
            while True:
                file.write(b"Yes. " * 1000)

    writing = in_thread(write)
    agent = RealAgent(tmp_path, environment_in(tmp_path))
    with open(ours) as stdin, closing(agent):
        command = [*VOICE, "say", "--detach", "--backend", "http", "--base-url", "http://127.0.0.1:1/v1"]
        options = {"stdin": stdin, "capture_output": True, "timeout": WAIT, "cwd": tmp_path}
        done = subprocess.run(command, check=False, env=agent.environment, **options)
        agent.kill()
    writing()
    assert (done.returncode in (6, 9), done.stdout) == (True, b""), done.stderr  # neither a server nor a device
    assert done.stderr.startswith(b"voice: ")


def test_help_and_usage_errors_are_the_same(agent, tmp_path):
    done = run_voice("say", "Hello", "--no-pl", "--js", folder=tmp_path, environment=agent.environment)
    assert done.code == 2
    assert "did you mean '--no-play'?" in done.line
    assert run_voice("say", "--help", folder=tmp_path, environment=agent.environment).code == 0


def test_a_different_environment_of_libraries_is_declined(agent, tmp_path):
    environment = {**agent.environment, "PULSE_SINK": "elsewhere"}
    assert run_voice("say", "Hello", "--no-play", folder=tmp_path, environment=environment).code == 0
    with pytest.raises(AgentError, match="0 speeches"):
        agent.client.replay()


def test_an_agent_of_another_version_ends(agent, tmp_path):
    script = """
import voice_cli
voice_cli.__version__ = "0.0.1"
import runpy, sys
sys.argv = ["voice", "say", "Hello", "--no-play", "--json"]
runpy.run_module("voice_cli", run_name="__main__")
"""
    done = subprocess.run(
        [VOICE[0], "-c", script], env=agent.environment, capture_output=True, check=False, cwd=tmp_path
    )
    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "complete")
    agent.process.wait(20)
    agent.restart()


def test_the_status_line(agent, tmp_path, serve):
    server = serve(Answer(speech(1.0).tobytes(), first_byte=1.0))
    arguments = ["say", "x y", "--base-url", server.url, "--no-play", "-o", "a.wav"]
    code, drawn, _ = on_terminal(*arguments, folder=tmp_path, environment=agent.environment)
    assert code == 0
    assert "http · waiting" in drawn


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals(agent, tmp_path, serve, number):
    server = serve(Answer(b"\1\0" * 48_000, stall_after=24_000))
    command = [*VOICE, "say", "x", "--base-url", server.url, "--no-play", "-o", "a.wav", "--json"]
    process = subprocess.Popen(
        command, env=agent.environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while not list(tmp_path.glob("a.partial*")):
        pass
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert json.loads(out)["error"]["exit_code"] == 128 + number
    assert (process.returncode, json.loads(out)["outcome"]) == (-number, "cancelled")
    assert server.client_left.wait(5)
    assert b"Traceback" not in err


def test_the_client_imports_little_before_its_request():
    """Python's start is most of the time until the first sound."""
    script = (
        "import sys; before = set(sys.modules); from voice_cli.cli import start, agent_client;"
        "agent_client._request(['x']); print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([VOICE[0], "-S", "-c", script], capture_output=True, check=True, text=True)
    loaded = done.stdout.split()
    slow = {"re", "enum", "typing", "json", "socket", "collections", "functools", "contextlib", "threading", "signal"}
    assert not slow & set(loaded), loaded
    assert len(loaded) < 20


def test_python_clients_get_the_same_errors(agent):
    client = AgentClient(agent.path)
    with pytest.raises(UsageError, match="blank"):
        client.say(" ")
    with pytest.raises(UsageError, match="speed"):
        client.say("Hello", options={"speed": 9})
    speech = client.say("Hello", options={"no_play": True})
    assert speech.wait()["text_spoken"] == "Hello"
