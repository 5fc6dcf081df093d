"""Each program's settings have the form that its documentation gives."""

import pytest

from voice_cli.assistants.programs import PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_event_has_one_command(name):
    program = PROGRAMS[name]
    for event, group in program.groups("voice hook x").items():
        assert event[0].isupper()
        assert set(group) <= {"matcher", "hooks"}
        assert group["hooks"] == [{"type": "command", "command": "voice hook x", "timeout": program.timeout}]


@pytest.mark.parametrize(
    ("name", "environment", "path"),
    [
        ("claude-code", {}, "HOME/.claude/settings.json"),
        ("claude-code", {"CLAUDE_CONFIG_DIR": "/c"}, "/c/settings.json"),
        ("codex", {}, "HOME/.codex/hooks.json"),
        ("codex", {"CODEX_HOME": "/c"}, "/c/hooks.json"),
        ("gemini", {}, "HOME/.gemini/settings.json"),
        ("gemini", {"GEMINI_CLI_HOME": "/c"}, "/c/.gemini/settings.json"),
    ],
)
def test_the_path_follows_the_programs_variable(monkeypatch, name, environment, path):
    monkeypatch.setenv("HOME", "/home/me")
    assert PROGRAMS[name].path(environment) == path.replace("HOME", "/home/me")
