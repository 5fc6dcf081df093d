"""`voice agent …`: starting, stopping and showing the agent."""

import os
import sys
from typing import Any

from voice_cli.agent.client import AgentClient, start_and_wait
from voice_cli.agent.launch import log_path
from voice_cli.agent.paths import socket_path
from voice_cli.agent.service import unit_path
from voice_cli.cli.console import print_message, write_json, write_stdout
from voice_cli.errors import AgentError, FileError
from voice_cli.printable import escaped, escaped_text


def start() -> None:
    """Start the agent in the background, if none runs, and return when it listens."""
    try:
        AgentClient(start=False)
    except AgentError:
        start_and_wait(socket_path())


def stop(now: bool = False) -> None:
    """Ask the agent to end after its speeches; `now`: cancel them."""
    try:
        AgentClient(start=False).shutdown(now=now)
    except AgentError:
        print_message("no agent runs")


def status(as_json: bool = False) -> int:
    """Print the state of the agent; the exit code is 12 if none runs."""
    found = AgentClient(start=False).status()
    if as_json:
        write_json(found)
        return 0
    lines = [
        f"agent {found['version']}, process {found['pid']}, up {found['uptime_s']:.0f} s",
        f"memory    {found['memory_mb'] or '?'} MB",
        f"socket    {found['socket']}",
        f"spoken    {found['spoken']}",
    ]
    speaking = found["speaking"]
    lines.append(f"speaking  {line_of(speaking) if speaking else 'nothing'}")
    lines += [f"waiting   {line_of(each)}" for each in found["waiting"]]
    write_stdout("\n".join(lines))
    return 0


def line_of(speech: dict[str, Any]) -> str:
    """Return a speech of the queue as a line."""
    about = f" at {speech['position_s']:.1f} s" if "position_s" in speech else ""
    paused = ", paused" if speech.get("paused") else ""
    return f"{speech['id']} ({speech['priority']}{about}{paused}): {escaped(speech['text'])}"


def print_socket() -> None:
    """Print the path of the socket."""
    write_stdout(socket_path())


def log() -> None:
    """Print the log of the agent.

    Raises:
        FileError: there is none.

    """
    path = log_path()
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError as exc:
        raise FileError(f"cannot read {path}: {os.strerror(exc.errno or 0)}") from exc
    write_stdout(escaped_text(text), end="")


def install() -> None:
    """Write the unit file of systemd or launchd, and print the command that starts it.

    Raises:
        FileError: it cannot be written.

    """
    from voice_cli.agent.service import install as write_unit

    path = unit_path()
    try:
        write_unit(path)
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc
    write_stdout(f"wrote {path}; start it now and at each login: {_service_commands()[0]}")


def uninstall() -> None:
    """Remove the unit file.

    Raises:
        FileError: it cannot be removed.

    """
    path = unit_path()
    try:
        os.unlink(path)
    except FileNotFoundError:
        write_stdout(f"{path} is not there")
    except OSError as exc:
        raise FileError(f"cannot remove {path}: {exc.strerror}") from exc
    else:
        write_stdout(f"removed {path}; if the service runs: {_service_commands()[1]}")


def _service_commands() -> tuple[str, str]:
    """Return the commands that start the service now and at each login, and that end it for good."""
    if sys.platform == "darwin":
        return f"launchctl bootstrap gui/$(id -u) {unit_path()}", "launchctl bootout gui/$(id -u)/voice-agent"
    return "systemctl --user enable --now voice-agent", "systemctl --user disable --now voice-agent"
