"""`voice say` after its request, with the test as the agent."""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

import pytest

from support.threads import WAIT, in_thread
from voice_cli.agent.messages import MessageReader, encode
from voice_cli.cli import agent_following, interrupts
from voice_cli.cli import say as say_module
from voice_cli.cli.agent_following import AgentDied, FollowedSpeech, RemotePlayer, follow
from voice_cli.cli.keys import ACTIONS
from voice_cli.cli.options import SayOptions

UP, DOWN = b"\x1b[A", b"\x1b[B"


class TestAgent:
    """The agent's end of a connection."""

    __test__ = False

    def __init__(self, connection):
        self.connection = connection
        self._reader = MessageReader(connection.recv)

    def send(self, kind, payload=b"", /, **fields):
        self.connection.sendall(encode({"type": kind, **fields}, payload))

    def accept(self, reads=None, **options):
        options = SayOptions(**options)._asdict()
        self.send("accepted", id=7, options=options, many=False, backend="espeak", reads=reads, waits=False)

    def fail(self, of=None):
        self.send("error", of=of, kind="usage", message="no voice", hint=None, exit_code=2)

    def end(self, text="Hello", error=None, **options):
        options = SayOptions(**options)._asdict()
        tree = {"outcome": "failed" if error else "complete", "notes": [], "error": error, "text_spoken": text}
        account = {"json": tree, "device_error": None, "debug": None}
        self.send("end", account=account, subtitles=None, options=options)

    def read(self):
        return self._reader.read()


@pytest.fixture
def connection():
    ours, theirs = socket.socketpair()
    ours.settimeout(WAIT)
    theirs.settimeout(WAIT)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def agent(connection):
    return TestAgent(connection[1])


@pytest.fixture
def client(connection):
    return connection[0]


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    monkeypatch.setattr(interrupts, "_signals", 0)
    monkeypatch.setattr(interrupts, "_stop", None)
    monkeypatch.setattr(interrupts, "watch", lambda: None)


@pytest.fixture
def said(monkeypatch):
    """Replace `say`; return what it was called with."""
    calls = []

    def say(options, **values):
        calls.append((options, values, interrupts._stop))
        return 0

    monkeypatch.setattr(say_module, "say", say)
    return calls


def test_a_long_text_has_a_long_end(client, agent, capsys):
    text = "word " * 500_000
    agent.accept(json=True, text=("x",))
    run = in_thread(FollowedSpeech(client).run)
    agent.end(text, json=True)
    assert run() == 0
    assert json.loads(capsys.readouterr().out)["text_spoken"] == text


def test_what_is_not_a_message_is_as_a_death(client, agent):
    agent.accept(text=("Hello",))
    agent.connection.sendall(b"rubbish\n")
    with pytest.raises(AgentDied):
        FollowedSpeech(client).run()


def test_an_error_closes_the_file_and_is_reported(client, agent, tmp_path, capsys):
    path = tmp_path / "a.wav"
    agent.accept(json=True, save=str(path), text=("Hello",))
    agent.send("recording", codec="pcm")
    agent.send("recorded", b"\1\0" * 2400, rate=24_000, channels=1)
    agent.fail()
    assert FollowedSpeech(client).run() == 2
    out, err = capsys.readouterr()
    outcome = json.loads(out)
    assert (outcome["outcome"], outcome["error"]["message"], outcome["backend"]) == ("failed", "no voice", "espeak")
    assert outcome["saved"] == str(path)
    assert err == f"voice: no voice\nvoice: the sound up to the error is in {path}\n"
    assert os.listdir(tmp_path) == ["a.wav"]
    assert path.stat().st_size == 44 + 4800
    assert path.read_bytes()[40:44] == (4800).to_bytes(4, "little")


def test_an_interrupt_closes_the_file(client, agent, tmp_path, monkeypatch):
    path = tmp_path / "a.wav"
    agent.accept(save=str(path), text=("Hello",))
    agent.send("recording", codec="pcm")
    agent.send("recorded", b"\1\0" * 2400, rate=24_000, channels=1)
    agent.send("note", text="now")

    def print_note(_text):
        raise KeyboardInterrupt

    monkeypatch.setattr(agent_following, "print_note", print_note)
    assert follow(client) == 130
    assert path.read_bytes()[40:44] == (4800).to_bytes(4, "little")


def test_a_file_when_the_agent_dies(client, agent, tmp_path, capsys):
    path = tmp_path / "a.wav"
    agent.accept(json=True, save=str(path), text=("Hello",))
    agent.send("recording", codec="pcm")
    agent.send("recorded", b"\1\0" * 2400, rate=24_000, channels=1)
    agent.connection.close()
    assert follow(client) == 8
    assert json.loads(capsys.readouterr().out)["saved"] == str(path)
    assert path.stat().st_size == 44 + 4800


@pytest.fixture
def endless(monkeypatch):
    """Replace standard input by a pipe that is never closed and always has text."""
    ours, theirs = os.pipe()

    def write():
        try:
            while True:
                os.write(theirs, b"yes\n" * 256)
        except BrokenPipeError:
            os.close(theirs)

    writing = in_thread(write)
    stdin = open(ours)  # noqa: SIM115
    monkeypatch.setattr(sys, "stdin", stdin)
    yield
    stdin.close()
    writing()


@pytest.mark.parametrize("ends_with", ["end", "error"])
def test_a_detached_speech_fails_before_its_text_is_sent(client, agent, endless, capsys, ends_with):
    agent.accept(reads="-", detach=True)
    if ends_with == "end":
        agent.end(error={"kind": "usage", "message": "no voice", "hint": None}, detach=True)
    else:
        agent.fail()
    run = in_thread(lambda: follow(client))
    assert run() == 2
    assert capsys.readouterr() == ("", "voice: no voice\n")


def test_the_agent_dies_before_a_detached_speech_has_its_text(client, agent, endless, said):
    agent.accept(reads="-", detach=True)
    agent.connection.close()
    assert in_thread(lambda: follow(client))() == 0
    ((_, values, _),) = said
    assert next(values["arriving"].pieces()).startswith("yes\n")
    values["arriving"].close()


def test_a_detached_speech_has_all_its_text(client, agent, monkeypatch, capsys, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("yes\n" * 100_000)
    agent.accept(reads=str(path), detach=True)
    run = in_thread(lambda: follow(client))
    data = b""
    while (read := agent.read()) is not None and read[0]["type"] != "text_end":
        data += read[1]
        with suppress(BrokenPipeError):  # it has sent all
            agent.send("taken", bytes=len(read[1]))
    assert run() == 0
    assert data == path.read_bytes()
    assert capsys.readouterr().out == "7\n"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"interrupt": True, "priority": "important"}, {"priority": "important"}),
        ({"if_idle": True}, {"priority": None}),
        ({"priority": "notification"}, {"priority": None}),
        ({"queue": True, "priority": "text"}, {"queue": True, "priority": "text"}),
    ],
)
@pytest.mark.parametrize("has_started", [False, True])
def test_the_rest_waits_and_is_not_dropped(client, agent, said, given, expected, has_started):
    agent.accept(text=("One. Two. Three.",), **given)
    if has_started:
        agent.send("started")
        agent.send("heard", rest=" Two.", end=9)
    agent.connection.close()
    assert follow(client) == 0
    ((options, values, _),) = said
    ordered = SayOptions(text=options.text, **(expected if has_started else given))
    assert options == ordered
    assert values["text"] == (" Two. Three." if has_started else "One. Two. Three.")


def test_all_was_heard_when_the_agent_dies(client, agent, said, capsys):
    agent.accept(json=True, text=("One. Two.",))
    agent.send("started")
    agent.send("heard", rest="", end=9)
    agent.connection.close()
    assert follow(client) == 0
    assert said == []
    outcome = json.loads(capsys.readouterr().out)
    assert (outcome["outcome"], outcome["text_spoken"]) == ("complete", "One. Two.")


def test_ctrl_c_after_the_agent_has_died(client, agent, said):
    """It must not be sent to the agent."""
    agent.accept(text=("One.",))
    agent.connection.close()
    assert follow(client) == 0
    ((_, _, stop),) = said
    assert stop is None
    with pytest.raises(KeyboardInterrupt):
        interrupts._on_signal(signal.SIGINT, None)


def test_ctrl_c_before_the_agent_died(client, agent, said):
    agent.accept(text=("One.",))
    followed = FollowedSpeech(client)
    agent.connection.close()
    with pytest.raises(AgentDied):
        followed.run()
    interrupts._on_signal(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        followed.speak_rest()
    assert said == []


def progress(**values):
    state = {"state": "playing", "position": 1.0, "made": 2.0, "done": None, "total": None}
    return state | {"paused": False, "volume": 1.0, "speed": 1.0} | values


def test_quick_keys_count_each():
    sent = []
    player = RemotePlayer(sent.append)
    for key in (UP, UP, DOWN, UP, b"]", b"]", b" ", b" ", b" "):
        ACTIONS[key](player)
        player.set(progress())  # made before the agent has read the change
    assert [message["factor"] for message in sent[:6]] == [1.1, 1.2, 1.1, 1.2, 1.1, 1.2]
    assert [message["type"] for message in sent[6:]] == ["pause", "resume", "pause"]
    for _ in sent:
        player.answered()
    player.set(progress(volume=0.5))
    assert (player.volume, player.speed, player.is_paused) == (0.5, 1.0, False)


def test_answers_to_keys(client, agent):
    agent.accept(text=("One.",))
    followed = FollowedSpeech(client)
    followed._player.pause()
    followed._player.set_volume(2.0)
    agent.send("progress", **progress(volume=0.5))
    agent.send("done")
    agent.fail(of="volume")
    agent.send("progress", **progress(volume=0.7))
    agent.end()
    assert followed.run() == 0
    assert (followed._player.volume, followed._player.is_paused) == (0.7, False)
