"""The socket of a process that plays itself."""

import os
import threading
from types import SimpleNamespace

import pytest

from support.threads import WAIT
from voice_cli.agent.client import AgentClient
from voice_cli.agent.controlled import Controlled
from voice_cli.agent.host import Host
from voice_cli.agent.paths import control_path
from voice_cli.agent.turns import Turns
from voice_cli.cli import agent_control
from voice_cli.errors import AgentError, UsageError, VoiceError


class Player(SimpleNamespace):
    """Records its calls."""

    heard, is_paused, volume, speed = 1.5, False, 1.0, 1.0

    def __init__(self):
        super().__init__(calls=[])

    def __getattr__(self, name):
        return lambda *values: self.calls.append((name, *values))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("VOICE_AGENT_SOCKET", raising=False)
    return tmp_path / "voice"


@pytest.fixture
def turn(folder):
    turn = Turns().take("message", "queue", id=os.getpid(), agent=control_path(), text="x.wav")
    turn.wait(lambda _seconds: False)
    yield turn
    turn.release()


@pytest.fixture
def player(turn):
    controlled, player = Controlled("1"), Player()
    controlled.serve(player)
    yield player
    controlled.close()


CALLS = [
    ("pause", (), ("pause",)),
    ("resume", (), ("resume",)),
    ("skip", (2,), ("skip", 2)),
    ("back", (None,), ("skip", -1)),
    ("volume", (0.5,), ("set_volume", 0.5)),
    ("speed", (1.5,), ("set_speed", 1.5)),
]


@pytest.mark.parametrize(("command", "values", "call"), CALLS)
def test_commands_reach_it_without_an_agent(player, command, values, call):
    getattr(agent_control, command)(*values)
    assert player.calls == [call]


def test_the_agent_passes_controls_on(player, folder):
    host = Host(str(folder / "agent.sock"), lambda *_: None, idle=WAIT, version="1")
    host.listen()
    thread = threading.Thread(target=host.run)
    thread.start()
    try:
        client = AgentClient(host.path, start=False)
        client.pause()
        client.skip(-1)
        assert player.calls == [("pause",), ("skip", -1)]
        assert client.status()["speaking"]["id"] == os.getpid()
    finally:
        host.end()
        thread.join(WAIT)


def test_it_speaks_nothing(player):
    with pytest.raises(VoiceError, match="is no agent"):
        AgentClient(control_path(), start=False).say("Hello")


def test_without_its_socket_it_can_only_be_stopped(turn, folder):
    with pytest.raises(AgentError, match="no agent runs"):
        agent_control.pause()
    host = Host(str(folder / "agent.sock"), lambda *_: None, idle=WAIT, version="1")
    with pytest.raises(UsageError, match="not spoken by the agent"):
        host._on_player({"type": "pause"}, "pause")
    agent_control.stop()
    assert turn.is_cancelled


def test_the_socket_is_removed(folder, turn):
    controlled = Controlled("1")
    controlled.serve(Player())
    assert os.path.exists(control_path())
    controlled.close()
    assert not [name for name in os.listdir(folder) if name.startswith("play-")]
