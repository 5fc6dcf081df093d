"""Completion: the candidates, the installation, and real shells on a terminal."""

import os
import re
import select
import shutil
import subprocess
import sys
import time

import pytest

from support.command import environment_in
from support.environment import cleaned
from voice_cli.audio import CODECS
from voice_cli.backends import BACKENDS
from voice_cli.cli import candidates, completion_scripts
from voice_cli.cli.commands import tree, walk
from voice_cli.errors import FileError, UsageError
from voice_cli.presets import PRESETS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return an empty home folder."""
    cleaned(monkeypatch, HOME=str(tmp_path), SHELL="/bin/bash")
    return tmp_path


@pytest.fixture
def completed(home, capsys):
    """Return a function that completes the last of some words, and returns the candidates."""

    def complete(*words):
        assert candidates.complete([f"={words[-1]}", *words[:-1]]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return [line.partition("\t")[0] for line in out.splitlines()]

    return complete


@pytest.fixture
def profiles(home):
    path = home / ".config" / "voice" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[profiles.kokoro]\nbackend = "espeak"\n[profiles.kitten]\n[profiles.home]\n')
    return path


# The candidates.


def test_every_command_and_option_is_completed(completed):
    for path, command in walk(tree()):
        words = path.split()
        if hasattr(command, "commands"):
            assert set(completed(*words, "")) >= set(command.commands)
        flags = {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")}
        assert set(completed(*words, "--")) == {*flags, "--help"} if flags else True


def test_options_are_completed_from_their_beginning(completed):
    assert completed("say", "--instr") == ["--instructions"]
    assert "-f" in completed("say", "-")
    assert completed("say", "--", "--instr") == []


def test_values_are_completed(completed, profiles):
    assert completed("say", "--format", "") == sorted(CODECS)
    assert completed("say", "--format", "o") == ["opus"]
    assert completed("say", "--backend", "") == sorted(BACKENDS)
    assert completed("say", "--profile", "ki") == ["kitten"]
    assert completed("voices", "-p", "") == sorted({"home", "kitten", *PRESETS})
    assert completed("profiles", "show", "ki") == ["kitten"]
    assert completed("config", "show", "--profile", "h") == ["home"]
    assert "en-us" in completed("say", "--voice", "en")
    assert "en_US-amy-low" in completed("voices", "get", "en_US-a")
    assert completed("hooks", "install", "co") == ["codex"]
    assert completed("completion", "show", "f") == ["fish"]


def test_values_after_an_equals_sign_are_completed(completed, profiles):
    assert completed("say", "--format=o") == ["--format=opus"]
    assert completed("say", "--format", "=", "o") == ["opus"]  # as bash splits it
    assert completed("say", "--profile", "=", "kitten", "--format", "o") == ["opus"]


def test_texts_and_files_are_left_to_the_shell(completed):
    assert completed("say", "x") == []
    assert completed("say", "-f", "") == []
    assert completed("nonsense", "x") == []


def test_a_wrong_config_file_is_no_error(completed, profiles):
    profiles.write_text("nonsense = [")
    assert completed("say", "--profile", "k") == []


def test_names_that_would_control_the_terminal_are_left_out(completed, profiles):
    profiles.write_text('[profiles."a\\u001b]0;b"]\n[profiles.a]\n')
    assert completed("say", "--profile", "") == sorted({"a", *PRESETS})


def test_devices_are_completed(completed, portaudio):
    assert completed("say", "--device", "sp") == ["speakers"]


def test_the_tree_is_kept_without_typer(home):
    script = "from voice_cli.cli.candidates import complete; complete(['=--f', 'say']); import sys; print(*sys.modules)"
    environment = environment_in(home, {"XDG_CACHE_HOME": str(home)})
    for expected in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        *candidates, modules = done.stdout.splitlines()
        assert [line.partition("\t")[0] for line in candidates] == [
            "--file",
            "--first-byte-timeout",
            "--flush-after",
            "--format",
        ]
        assert ("typer" in modules.split()) is expected
        assert "rich" not in modules.split()


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"key": "another", "tree": {}}'])
def test_a_kept_tree_that_is_wrong_is_made_again(completed, home, kept):
    path = home / ".cache" / "voice" / "commands.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(kept)
    assert completed("say", "--instr") == ["--instructions"]
    assert path.stat().st_size > 1000


# The installation.


@pytest.mark.parametrize(("shell", "start"), [("bash", ".bashrc"), ("zsh", ".zshrc")])
def test_a_line_is_added_to_the_file_that_the_shell_reads(home, shell, start, capsys):
    (home / start).write_text("alias x=y")
    for _ in range(2):
        completion_scripts.install(shell=shell)
    script = home / ".local" / "share" / "voice" / f"completion.{shell}"
    assert (home / start).read_text() == f"alias x=y\n. '{script}'\n"
    assert script.read_text() == completion_scripts.SCRIPTS[shell]
    assert f"installed for {shell}" in capsys.readouterr().err


def test_the_users_shell_is_the_default(home, capsys):
    completion_scripts.show()
    assert capsys.readouterr().out == completion_scripts.SCRIPTS["bash"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no login shells")
def test_without_a_variable_the_login_shell_is_the_users(home, monkeypatch, capsys):
    import pwd  # Windows has none

    monkeypatch.delenv("SHELL")
    account = pwd.getpwuid(os.getuid())
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd((*account[:6], "/usr/bin/zsh")))
    completion_scripts.show()
    assert capsys.readouterr().out == completion_scripts.SCRIPTS["zsh"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no accounts of this kind")
def test_a_user_without_an_account_names_the_shell(home, monkeypatch):
    import pwd  # Windows has none

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("SHELL")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(UsageError, match="not known which shell"):
        completion_scripts.install()


@pytest.mark.parametrize(("variable", "shell"), [("/bin/tcsh", None), ("/bin/bash", "tcsh")])
def test_another_shell_is_a_usage_error(home, monkeypatch, variable, shell):
    monkeypatch.setenv("SHELL", variable)
    with pytest.raises(UsageError):
        completion_scripts.install(shell=shell)


def test_a_file_that_cannot_be_written_is_a_file_error(home):
    (home / ".bashrc").mkdir()
    with pytest.raises(FileError, match="bashrc"):
        completion_scripts.install(shell="bash")


# Real shells.

PROMPTS = {"bash": ".bashrc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
STAND_IN = """\
#!/bin/sh
if [ "$1" = _complete ]; then exec "{python}" -m voice_cli "$@"; fi
printf '%s\\n' "$@" >"$HOME/arguments"
"""


def type_into(shell, home, keys):
    """Start a shell, and type these keys at its prompt, until its command has run."""
    import pty  # Windows has none

    environment = {**environment_in(home, {"TERM": "xterm"}), "PATH": f"{home}/bin:{os.environ['PATH']}"}
    arguments = {"bash": ["--noprofile", "-i"], "zsh": ["-i"], "fish": ["--interactive"]}[shell]
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(home)
        os.execvpe(shell, [shell, *arguments], environment)
    shown, typed, deadline = "", False, time.monotonic() + 60
    try:
        while not (home / "arguments").exists():
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 65536).decode(errors="replace")
            if not typed and re.search(r"READY", shown):
                os.write(terminal, keys.encode())
                typed = True
            assert time.monotonic() < deadline, shown
    finally:
        os.close(terminal)
        os.kill(process, 9)
        os.waitpid(process, 0)
    return (home / "arguments").read_text().splitlines()


@pytest.mark.parametrize("shell", PROMPTS)
def test_a_shell_completes_commands_options_and_values(home, profiles, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (home / "bin").mkdir()
    (home / "bin" / "voice").write_text(STAND_IN.format(python=sys.executable))
    (home / "bin" / "voice").chmod(0o755)
    start = home / PROMPTS[shell]
    start.parent.mkdir(parents=True, exist_ok=True)
    start.write_text({"fish": "function fish_prompt; echo 'READY> '; end\n"}.get(shell, "PS1='READY> '\n"))
    completion_scripts.install(shell=shell)
    keys = "voice sa\t--instr\tx --format op\t-p kit\t\r"
    assert type_into(shell, home, keys) == ["say", "--instructions", "x", "--format", "opus", "-p", "kitten"]
