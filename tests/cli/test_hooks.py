"""`voice hooks`: installation, the list, muting. Events are in tests/assistants/test_reactions.py."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from support.command import Said, environment_in
from support.fake_agent import VOICE, FakeAgent
from voice_cli.assistants.programs import PROGRAMS
from voice_cli.assistants.sessions import Session, change, read
from voice_cli.cli.hooks import is_ours


@pytest.fixture
def agent(tmp_path):
    """Return a stand-in for the agent, which runs."""
    fake = FakeAgent(tmp_path / "agent")
    yield fake
    fake.close()


@pytest.fixture
def environment(tmp_path, agent):
    return environment_in(tmp_path, {**agent.environment, "XDG_STATE_HOME": str(tmp_path / "state")})


@pytest.fixture
def run(environment, tmp_path):
    """Run `voice` with a stand-in for the agent."""

    def with_agent(*arguments):
        done = subprocess.run([*VOICE, *arguments], env=environment, cwd=tmp_path, capture_output=True, check=False)
        return Said(done.returncode, done.stdout, done.stderr.decode())

    return with_agent


@pytest.fixture
def state(tmp_path):
    return str(tmp_path / "state" / "voice" / "assistants.json")


@pytest.mark.parametrize("name", PROGRAMS)
def test_install_list_and_uninstall(run, tmp_path, name):
    path = tmp_path / PROGRAMS[name].path({"HOME": ""}).removeprefix(os.path.expanduser("~")).lstrip("/")
    done = run("hooks", "install", name)
    assert (done.code, done.out) == (0, b"")
    assert f"added hooks to {path}" in done.line
    assert set(json.loads(path.read_bytes())["hooks"]) == set(PROGRAMS[name].events)
    assert "already" in run("hooks", "install", name).line
    (row,) = [row for row in run("hooks", "list", "--json").json["programs"] if row["command"]]
    assert (row["program"], row["settings"], row["problem"]) == (name, str(path), "")
    assert "removed" in run("hooks", "uninstall", name).line
    assert not path.exists()
    assert "no hooks" in run("hooks", "uninstall", name).line


def test_the_installed_command_runs_for_the_shell_without_modules_of_the_project(run, tmp_path):
    run("hooks", "install", "claude-code")
    (group,) = json.loads((tmp_path / ".claude" / "settings.json").read_bytes())["hooks"]["SessionEnd"]
    command = group["hooks"][0]["command"]
    assert shlex.split(command) == [sys.executable, "-P", "-m", "voice_cli", "hook", "claude-code"]
    project = tmp_path / "project"
    project.mkdir()
    for module in ("voice_cli.py", "json.py", "typing.py"):
        (project / module).write_text("raise SystemExit('from the project')")
    done = subprocess.run(
        command,
        shell=True,
        input=b'{"hook_event_name": "PreToolUse"}',
        capture_output=True,
        env=environment_in(tmp_path),
        cwd=project,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_the_script_is_installed_with_its_absolute_path(tmp_path):
    folder = tmp_path / "a folder's"
    folder.mkdir()
    script = folder / "voice"
    script.write_text(f"#!{sys.executable}\nfrom voice_cli.__main__ import main\nraise SystemExit(main())\n")
    script.chmod(0o755)
    environment = {**environment_in(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(["./voice", "hooks", "install", "codex"], env=environment, cwd=folder, check=True)
    (group,) = json.loads((tmp_path / ".codex" / "hooks.json").read_bytes())["hooks"]["Stop"]
    command = group["hooks"][0]["command"]
    assert shlex.split(command) == [str(script), "hook", "codex"]
    assert is_ours("codex", command)


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("/usr/bin/voice hook codex", True),
        ("'/a b/voice' hook codex", True),
        ("/usr/bin/python3 -P -m voice_cli hook codex", True),
        ("/usr/bin/voice hook gemini", False),
        ("voice say hook codex", False),
        ("my-voice hook codex", False),
        ("voice hook codex; make", False),
        ("voice 'hook codex", False),
        ("hook codex", False),
        ("", False),
    ],
)
def test_which_commands_are_those_of_voice(command, ours):
    assert is_ours("codex", command) == ours


@pytest.mark.parametrize("command", ["install", "uninstall"])
@pytest.mark.parametrize("names", [[], ["nobody\x1b"], ["codex", "nobody"]])
def test_an_unknown_program_is_an_error_before_anything_is_written(run, tmp_path, command, names):
    done = run("hooks", command, *names)
    assert done.code == 2
    assert "one of: claude-code, codex, gemini" in done.line
    assert "\x1b" not in done.err
    assert os.listdir(tmp_path) == ["agent"]


def test_settings_that_are_not_json_are_an_error(run, tmp_path):
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini" / "settings.json").write_text("{} // mine\x1b[2J")
    done = run("hooks", "install", "gemini")
    assert done.code == 3
    assert "is not JSON" in done.line
    rows = run("hooks", "list", "--json").json["programs"]
    assert ["is not JSON" in row["problem"] for row in rows] == [False, False, True]


def test_sessions_are_listed_muted_and_given_voices(run, state):
    change(state, lambda s: s.sessions.update({"abc": Session("codex", "/x\x1b[2J", 5), "b": Session()}))
    assert run("hooks", "mute", "ab").code == 0
    assert run("hooks", "voice", "b", "en-gb").code == 0
    assert read(state).sessions["abc"].muted
    assert read(state).sessions["b"].voice == "en-gb"
    lines = run("hooks", "list").out.decode().splitlines()
    assert any(line.startswith("abc\tcodex\t/x\\x1b[2J\t") and "\tyes\t" in line for line in lines)
    assert run("hooks", "mute", "--all").code == 0
    assert read(state).muted
    assert all(session.muted for session in read(state).sessions.values())
    assert run("hooks", "unmute", "b").code == 0
    assert {name: session.muted for name, session in read(state).sessions.items()} == {"abc": True, "b": False}
    assert run("hooks", "unmute", "--all").code == 0
    assert not read(state).muted
    assert run("hooks", "voice", "b").code == 0
    assert read(state).sessions["b"].voice == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["mute"],
        ["mute", "x"],
        ["mute", "x", "--all"],
        ["unmute"],
        ["voice"],
        ["voice", "x", "y"],
        ["voice", "x", "y", "z"],
    ],
)
def test_a_session_must_be_named(run, arguments):
    done = run("hooks", *arguments)
    assert done.code == 2
    assert done.line


def test_muting_stops_the_speech(run, agent, state):
    change(state, lambda s: s.sessions.update({"abc": Session()}))
    assert run("hooks", "mute", "abc").code == 0
    assert agent.call() == ("stop", {"id": None, "name": "abc", "all": False})
