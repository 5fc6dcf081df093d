"""Starting the agent: when it may be started without being asked for, and as a service."""

import configparser
import os
import plistlib
import shlex
import socket
import subprocess
import sys

import pytest

from support.command import VOICE, environment_in, run_voice
from support.threads import WAIT
from voice_cli.agent import launch, service
from voice_cli.agent.client import AgentClient
from voice_cli.agent.paths import make_private, runtime_folder, socket_path
from voice_cli.errors import AgentError, UsageError


@pytest.fixture
def home(tmp_path):
    return {"HOME": str(tmp_path)}


@pytest.fixture
def user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"CI": "true"}, False),
        ({"CI": ""}, True),
        ({"HOME": "/dev/null/none"}, False),
        ({"HOME": ""}, False),
    ],
)
def test_it_is_started_only_for_a_user_with_a_home(home, more, expected):
    assert launch.may_start({**home, **more}, is_terminal=False) == expected


def test_it_is_not_started_for_root_without_a_terminal(home, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert not launch.may_start(home, is_terminal=False)
    assert launch.may_start(home, is_terminal=True)


@pytest.mark.usefixtures("user")
def test_it_is_not_started_on_windows(home, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert not launch.may_start(home, is_terminal=True)


def test_the_folder_is_that_of_the_session_or_of_the_user():
    assert runtime_folder({"XDG_RUNTIME_DIR": "/run/user/7"}) == "/run/user/7/voice"
    own = f"/run/user/{os.getuid()}"
    assert runtime_folder({}) == (f"{own}/voice" if os.path.isdir(own) else f"/tmp/voice-{os.getuid()}")
    assert socket_path({"XDG_RUNTIME_DIR": "/run/user/7"}) == "/run/user/7/voice/agent.sock"
    assert socket_path({"VOICE_AGENT_SOCKET": "/v.sock"}) == "/v.sock"


@pytest.mark.parametrize("kind", ["file", "link", "open"])
def test_a_folder_that_others_may_use_is_refused(tmp_path, kind):
    path = tmp_path / "voice"
    {"file": path.touch, "link": lambda: path.symlink_to(tmp_path), "open": path.mkdir}[kind]()
    if kind == "open":
        path.chmod(0o755)
    with pytest.raises(PermissionError):
        make_private(str(path))


def test_a_socket_in_a_folder_of_others_is_not_used(tmp_path):
    """Its owner would get the request with the environment."""
    folder = tmp_path / "run" / "voice"
    folder.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "agent.sock"))
    listener.listen()
    listener.settimeout(WAIT)
    environment = {
        **environment_in(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "VOICE_AGENT": "auto",
        "CI": "1",
    }
    for mode in (0o755, 0o770):
        folder.chmod(mode)
        assert run_voice("say", "Hello", "--no-play", folder=tmp_path, environment=environment).code == 0
        assert run_voice("pause", folder=tmp_path, environment=environment).code == 12
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.accept()
    listener.close()


def test_start_status_log_and_stop(tmp_path):
    environment = environment_in(tmp_path, {"XDG_STATE_HOME": str(tmp_path / "state")})

    def run(*arguments):
        return run_voice(*arguments, folder=tmp_path, environment=environment)

    path = run("agent", "socket").out.decode().strip()
    assert run("agent", "status").code == 12
    assert run("agent", "start").code == 0
    status = run("agent", "status", "--json").json
    assert (status["socket"], status["speaking"], status["waiting"]) == (path, None, [])
    assert run("agent", "start").code == 0, "it runs already"
    assert AgentClient(path).status()["pid"] == status["pid"]
    assert run("agent", "run").line.startswith("an agent already listens")
    assert run("agent", "log").code == 0
    assert run("agent", "stop", "--now").code == 0
    with pytest.raises(AgentError):
        AgentClient(path, start=False)
    assert run("agent", "stop").line == "no agent runs"


def test_an_idle_agent_ends_by_itself(tmp_path):
    environment = environment_in(tmp_path, {"VOICE_AGENT_IDLE": "1"})
    process = subprocess.Popen([*VOICE, "agent", "run"], env=environment, stderr=subprocess.PIPE)
    assert process.communicate(timeout=WAIT)[1] == b""
    assert process.returncode == 0


def test_commands_without_an_agent_say_so(tmp_path):
    for command in ("pause", "resume", "skip", "back"):
        done = run_voice(command, folder=tmp_path)
        assert (done.code, done.line) == (12, "no agent runs (start it: voice agent start)"), command
    assert run_voice("queue", folder=tmp_path).out == b"nothing is spoken\n"
    assert run_voice("stop", folder=tmp_path).code == 0


def test_a_detached_speech_starts_the_agent(tmp_path):
    environment = environment_in(tmp_path, {"VOICE_AGENT": "auto"})
    done = run_voice("say", "Hello", "--detach", folder=tmp_path, environment=environment)
    assert (done.code, done.err) == (0, "")
    assert done.out.strip().isdigit()
    assert run_voice("agent", "stop", "--now", folder=tmp_path, environment=environment).code == 0


# The service.


def test_the_unit_of_systemd_runs_the_agent(tmp_path):
    path = service.unit_path({"XDG_CONFIG_HOME": str(tmp_path)}, "linux")
    assert path == str(tmp_path / "systemd" / "user" / "voice-agent.service")
    service.install(path)
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(path)
    assert shlex.split(parser["Service"]["ExecStart"]) == list(launch.COMMAND)


def test_the_unit_of_launchd_runs_the_agent():
    assert service.unit_path(platform="darwin").endswith("/Library/LaunchAgents/voice-agent.plist")
    tree = plistlib.loads(service.unit("darwin").encode())
    assert tree["ProgramArguments"] == list(launch.COMMAND)


def test_other_systems_have_no_service():
    with pytest.raises(UsageError, match="neither"):
        service.unit_path({}, "freebsd14")


def test_install_and_uninstall(tmp_path):
    environment = environment_in(tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")})
    unit = tmp_path / "config" / "systemd" / "user" / "voice-agent.service"
    done = run_voice("agent", "install", folder=tmp_path, environment=environment)
    assert unit.exists()
    assert b"systemctl --user enable --now voice-agent" in done.out
    assert run_voice("agent", "uninstall", folder=tmp_path, environment=environment).code == 0
    assert not unit.exists()
    assert run_voice("agent", "uninstall", folder=tmp_path, environment=environment).code == 0
