"""The agent's socket: whose it is, and whether something answers there."""

import os
import socket
import sys

import pytest

from support.threads import WAIT, in_thread
from voice_cli import __version__
from voice_cli.doctor import agent
from voice_cli.doctor.agent import check_agent
from voice_cli.doctor.finding import BROKEN, OK, WARNING

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no agent on Windows")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("VOICE_AGENT_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "voice"


def test_no_agent(folder, monkeypatch):
    assert check_agent().state == OK
    folder.mkdir(mode=0o700)
    assert check_agent().state == OK
    monkeypatch.setenv("VOICE_AGENT_SOCKET", str(folder / "x.sock"))
    found = check_agent()
    assert found.state == BROKEN
    assert "unset VOICE_AGENT_SOCKET" in found.remedy


def test_a_folder_that_others_may_use(folder):
    folder.mkdir()
    folder.chmod(0o755)
    found = check_agent()
    assert (found.state, found.remedy) == (BROKEN, f"chmod 700 {folder}")
    os.chmod(folder, 0o700)
    assert check_agent().state == OK


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (b'{"type": "done", "version": "%s", "pid": 7, "memory_mb": 40}\n' % __version__.encode(), OK),
        (b'{"type": "done", "version": "0.0.1", "pid": 7}\n', WARNING),
        (b'{"type": "error"}\n', WARNING),
        (b"nonsense\n", BROKEN),
        (None, BROKEN),
    ],
)
def test_answers(folder, monkeypatch, answer, state):
    monkeypatch.setattr(agent, "SECONDS", 0.05 if answer is None else WAIT)
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "agent.sock"))
        listening.listen()
        checking = in_thread(check_agent)
        connection, _ = listening.accept()
        with connection:
            if answer is not None:
                connection.recv(100)
                connection.sendall(answer)
            found = checking()
    assert found.state == state
    assert (found.remedy is None) == (state == OK)
