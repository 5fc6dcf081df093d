"""`voice hooks`: hooks for coding assistants."""

import os
import shlex
import sys
import time
from collections.abc import Sequence
from functools import partial

from voice_cli.assistants import sessions, settings_file
from voice_cli.assistants.programs import PROGRAMS, known
from voice_cli.cli.console import print_message, write_json, write_stdout
from voice_cli.cli.listings import print_rows
from voice_cli.cli.options import line_of
from voice_cli.errors import UsageError, VoiceError


def command_line() -> list[str]:
    """Return the command that runs this installation, with absolute paths.

    -P: otherwise Python would import the modules in the folder of the project that the assistant works on.
    """
    script = os.path.abspath(sys.argv[0])
    if os.path.basename(script) == "voice" and os.access(script, os.X_OK):
        return [script]
    return [sys.executable, "-P", "-m", "voice_cli"]


def is_ours(program: str, command: str) -> bool:
    """Return whether an installation of voice-cli made this command line."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    runs_voice = words[1:-2] == ["-P", "-m", "voice_cli"] or (len(words) == 3 and os.path.basename(words[0]) == "voice")
    return words[-2:] == ["hook", program] and runs_voice


def install(*, text: Sequence[str] | None) -> None:
    """Add hooks to the settings of programs."""
    for name in known(text):
        program = PROGRAMS[name]
        groups = program.groups(shlex.join([*command_line(), "hook", name]))
        path = program.path()
        if settings_file.install(path, groups, partial(is_ours, name)):
            print_message(f"added hooks to {path}" + (f" ({program.note})" if program.note else ""))
        else:
            print_message(f"the hooks are in {path} already")


def uninstall(*, text: Sequence[str] | None) -> None:
    """Remove the hooks from the settings of programs."""
    for name in known(text):
        path = PROGRAMS[name].path()
        removed = settings_file.uninstall(path, partial(is_ours, name))
        print_message(f"removed the hooks from {path}" if removed else f"there are no hooks of voice in {path}")


def show(*, as_json: bool) -> None:
    """Print where hooks are installed, and the sessions that have used them."""
    programs = []
    for name, program in PROGRAMS.items():
        row = {"program": name, "settings": program.path(), "command": "", "problem": ""}
        try:
            found = settings_file.commands(program.path(), partial(is_ours, name))
            row["command"] = ", ".join(found)
        except VoiceError as error:
            row["problem"] = line_of(error)
        programs.append(row)
    state = sessions.read(sessions.state_path())
    latest = sorted(state.sessions.items(), key=lambda item: -item[1].seen)
    rows = [
        {
            "session": name,
            "program": session.program,
            "folder": session.folder,
            "seen": time.strftime("%Y-%m-%d %H:%M", time.localtime(session.seen)),
            "muted": "yes" if session.muted else "",
            "voice": session.voice,
        }
        for name, session in latest
    ]
    if as_json:
        write_json({"programs": programs, "muted": state.muted, "sessions": rows})
        return
    print_rows(programs, as_json=False)
    if rows:
        write_stdout("")
        print_rows(rows, as_json=False)


def mute(*, text: Sequence[str] | None, every: bool) -> None:
    """Mute sessions, and stop what they speak."""
    from voice_cli.assistants.reactions import silence

    silence(_set_muted(text, every=every, muted=True))


def unmute(*, text: Sequence[str] | None, every: bool) -> None:
    """Unmute sessions."""
    _set_muted(text, every=every, muted=False)


def _set_muted(names: Sequence[str] | None, *, every: bool, muted: bool) -> list[str]:
    if bool(names) == every:
        raise UsageError("name a session, or use --all", hint="'voice hooks list' lists the sessions")

    def edit(state: sessions.State) -> list[str]:
        found = list(state.sessions) if every else [state.named(name) for name in names or ()]
        if every:
            state.muted = muted
        for name in found:
            state.sessions[name].muted = muted
        return found

    return sessions.change(sessions.state_path(), edit)


def voice(*, text: Sequence[str] | None) -> None:
    """Set the voice of a session; without a voice, the one of the settings."""
    name, chosen = (*(text or ()), "", "")[:2]
    if not name or len(text or ()) > 2:
        raise UsageError("name a session and a voice", hint="'voice hooks list' lists the sessions")

    def edit(state: sessions.State) -> None:
        state.sessions[state.named(name)].voice = chosen

    sessions.change(sessions.state_path(), edit)
