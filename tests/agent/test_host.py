"""The agent's host and its sessions, with a speech of the test at the seam."""

import json
import os
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.threads import WAIT, in_thread
from voice_cli.agent import host as host_module
from voice_cli.agent.client import AgentClient
from voice_cli.agent.host import Host
from voice_cli.agent.messages import VERSION, MessageReader, encode
from voice_cli.agent.turns import Turns
from voice_cli.errors import AgentError, Interrupted, UsageError, VoiceError


class StepSpeech:
    """A speech that waits for its turn, and ends when it is cancelled."""

    def __init__(self, number, message, session, host):
        self.id = number
        self.name = message.get("name") or ""
        self.player = self
        self.calls = []
        self._session = session
        self._host = host
        self._cancelled = threading.Event()
        self._ended = threading.Event()

    def run(self):
        turn = self._host.turns.take("message", "queue", id=self.id, agent=self._host.path, name=self.name, text="hi")
        self._session.send({"type": "accepted", "id": self.id})
        try:
            turn.wait(self._cancelled.wait)
            self._session.send({"type": "started"})
            self._cancelled.wait(WAIT)
        except Interrupted:
            pass
        turn.release()
        self._host.forget(self)
        outcome = {"text_spoken": "h", "text_remaining": "i"}
        self._session.send({"type": "end", "account": {"json": outcome}})
        self._ended.set()

    def cancel(self):
        self._cancelled.set()

    def wait_for_end(self, timeout):
        return {"text_spoken": "h", "text_remaining": "i"} if self._ended.wait(timeout) else None

    heard = 1.5
    is_paused = False
    volume = speed = 1.0

    def pause(self):
        self.calls.append("pause")

    def skip(self, count):
        self.calls.append(("skip", count))


@pytest.fixture
def hosts(tmp_path):
    started = []

    def start(**options):
        path = str(tmp_path / f"{len(started)}" / "agent.sock")
        speeches = []

        def open_speech(*values):
            speeches.append(StepSpeech(*values))
            return speeches[-1]

        options = {"idle": 60.0, "version": "1", "turns": Turns(str(tmp_path / "queue"))} | options
        host = Host(path, open_speech, **options)
        host.speeches = speeches
        host.listen()
        started.append((host, in_thread(host.run)))
        return host

    yield start
    for host, result in started:
        host.stop_speeches()
        host.end()
        host.wait_for_speeches()
        result()


@pytest.fixture
def host(hosts):
    return hosts()


class Client(AgentClient):
    """A client whose speeches are closed after the test."""

    def __init__(self, path):
        super().__init__(path)
        self.speeches = []

    def say(self, *values, **options):
        self.speeches.append(super().say(*values, **options))
        return self.speeches[-1]


@pytest.fixture
def client(host):
    made = Client(host.path)
    yield made
    for speech in made.speeches:
        speech.close()


class Connection:
    """A bare connection."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(WAIT)
        self._socket.connect(path)
        self._reader = MessageReader(self._socket.recv)

    def send(self, message, payload=b""):
        self._socket.sendall(encode(message, payload))

    def receive(self):
        read = self._reader.read()
        return None if read is None else read[0]

    def close(self):
        self._socket.close()


@pytest.fixture
def connection(host):
    made = Connection(host.path)
    yield made
    made.close()


def test_a_speech_is_accepted_and_ends(client, host):
    speech = client.say("hi", name="editor")
    assert [each["name"] for each in client.queue()] == ["editor"]
    speech.cancel()
    assert speech.wait() == {"text_spoken": "h", "text_remaining": "i"}
    assert speech.wait()["text_spoken"] == "h"
    host.wait_for_speeches()
    assert client.status()["spoken"] == 1


def test_stop_stops_what_is_spoken_and_tells_what_was_heard(client):
    first, second = client.say("hi"), client.say("hi")
    while [each["state"] for each in client.queue()] != ["speaking", "waiting"]:
        pass
    (stopped,) = client.stop()
    assert (stopped["id"], stopped["text_spoken"], stopped["text_remaining"]) == (first.id, "h", "i")
    assert [each["id"] for each in client.stop(second.id)] == [second.id]
    assert client.stop() == []


def test_stop_by_name_and_all(client):
    for name in ("a", "b", "a"):
        client.say("hi", name=name)
    assert [each["name"] for each in client.stop(name="a")] == ["a", "a"]
    assert [each["name"] for each in client.stop(all=True)] == ["b"]


def test_stop_all_tells_what_was_heard_of_each(client):
    for _ in range(4):
        client.say("hi")
    assert [each["text_spoken"] for each in client.stop(all=True)] == ["h"] * 4


def test_controls_reach_the_player_that_speaks(client, host):
    with pytest.raises(UsageError, match="nothing is spoken"):
        client.pause()
    client.say("hi")
    while not client.status()["speaking"]:
        pass
    client.pause()
    client.skip(-2)
    assert host.speeches[0].calls == ["pause", ("skip", -2)]
    with pytest.raises(UsageError, match="count"):
        client.request({"type": "skip", "count": "x"})
    assert client.status()["speaking"]["position_s"] == 1.5


def test_an_internal_error_ends_the_wait(hosts, monkeypatch):
    def fail(speech):
        speech._session.send({"type": "accepted", "id": speech.id})
        speech._session.send_error(VoiceError("internal error of the agent"))
        speech._host.forget(speech)

    monkeypatch.setattr(StepSpeech, "run", fail)
    speech = AgentClient(hosts().path).say("hi")
    with pytest.raises(VoiceError, match="internal error"):
        speech.wait()


def test_more_text_than_the_window_ends_the_connection(connection):
    connection.send({"type": "text", "text": "x" * 200_000})
    connection.send({"type": "text", "text": "x"})
    assert "bytes of text" in connection.receive()["message"]
    assert connection.receive() is None


def test_a_client_that_leaves_ends_its_speech(client, host, connection):
    connection.send({"type": "say", "version": VERSION, "arguments": []})
    assert connection.receive()["type"] == "accepted"
    connection.close()
    host.wait_for_speeches()
    assert client.queue() == []


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"type": "say", "version": VERSION + 1}, "version"),
        ({"type": "dance"}, "dance"),
        ({"type": "stop", "id": "x"}, "id"),
        ({"type": "volume"}, "factor"),
    ],
)
def test_a_wrong_message_is_an_error_and_the_connection_stays(connection, message, words):
    connection.send(message)
    answer = connection.receive()
    assert answer["type"] == "error"
    assert words in answer["message"]
    connection.send({"type": "queue"})
    assert connection.receive() == {"type": "done", "queue": []}


def test_a_connection_has_one_speech(connection):
    for _ in range(2):
        connection.send({"type": "say", "version": VERSION, "arguments": []})
    while (answer := connection.receive())["type"] != "error":
        assert answer["type"] in ("accepted", "started")
    assert "one speech" in answer["message"]


def test_what_is_no_message_ends_the_connection(connection):
    connection._socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert connection.receive()["type"] == "error"
    assert connection.receive() is None


@settings(max_examples=50)
@given(st.lists(st.one_of(st.binary(max_size=50), st.sampled_from([b'{"type":"text"}\n', b'{"type":"cancel"}\n']))))
def test_any_bytes_leave_the_agent_serving(pieces):
    host, result = any_bytes_host()
    made = Connection(host.path)
    try:
        for piece in pieces:
            made._socket.sendall(piece)
    except OSError:
        pass
    made.close()
    assert AgentClient(host.path).queue() == []
    assert result


_host = []


def any_bytes_host():
    """Return one host for all examples."""
    if not _host:
        import tempfile

        folder = tempfile.mkdtemp()
        host = Host(
            os.path.join(folder, "run", "agent.sock"),
            StepSpeech,
            idle=60.0,
            version="1",
            turns=Turns(f"{folder}/queue"),
        )
        host.listen()
        _host.append((host, in_thread(host.run)))
    return _host[0]


def test_a_second_agent_does_not_start(host):
    with pytest.raises(AgentError, match="already"):
        Host(host.path, StepSpeech, idle=60.0, version="1").listen()


def test_a_socket_that_a_crash_left_is_replaced(hosts, tmp_path):
    (tmp_path / "0").mkdir(mode=0o700)
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "0" / "agent.sock"))
    left.close()
    with pytest.raises(AgentError):
        AgentClient(str(tmp_path / "0" / "agent.sock"))
    host = hosts()
    assert AgentClient(host.path).status()["pid"] == os.getpid()


def test_the_folder_and_the_socket_are_the_users_own(host):
    assert os.stat(os.path.dirname(host.path)).st_mode & 0o777 == 0o700
    assert os.stat(host.path).st_mode & 0o777 == 0o600


def test_another_user_is_refused(hosts, monkeypatch):
    monkeypatch.setattr(host_module, "is_same_user", lambda _: False)
    made = Connection(hosts().path)
    assert made.receive() is None
    made.close()


def test_the_peers_user_is_checked():
    ours, theirs = socket.socketpair()
    assert host_module.is_same_user(ours)
    ours.close()
    theirs.close()


def test_an_idle_agent_ends(hosts):
    host = hosts(idle=0.05)
    waited = threading.Event()
    while os.path.exists(host.path):
        assert not waited.wait(0.01)
    with pytest.raises(AgentError):
        AgentClient(host.path)


def test_shutdown_lets_speeches_end(client, host):
    speech = client.say("hi")
    client.shutdown()
    while os.path.exists(host.path):
        pass
    speech.cancel()
    assert speech.wait()["text_spoken"] == "h"


def test_shutdown_now_stops_them(client):
    speech = client.say("hi")
    client.shutdown(now=True)
    assert speech.wait()["text_remaining"] == "i"


def test_a_client_that_does_not_read_does_not_stop_the_agent(client, connection, host):
    """Its speech ends when its buffer is full for `SEND_SECONDS`."""
    connection.send({"type": "say", "version": VERSION, "arguments": []})
    assert connection.receive()["type"] == "accepted"
    session = host.speeches[0]._session
    session._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 20_000))
    sends = 0
    while session.send({"type": "note", "text": "x" * 10_000}):
        sends += 1
        assert sends < 10_000
    host.wait_for_speeches()
    assert client.queue() == []


def test_messages_are_json_lines(host):
    """As docs/AGENT.md says, for clients in other languages."""
    made = socket.socket(socket.AF_UNIX)
    made.connect(host.path)
    made.sendall(b'{"type": "queue"}\n')
    assert json.loads(made.makefile().readline()) == {"type": "done", "queue": []}
    made.close()
