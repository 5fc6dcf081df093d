"""Run `voice` in a subprocess with a clean environment, with pipes or a terminal."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from support.environment import clean

VOICE = (sys.executable, "-m", "voice_cli")
TIMEOUT = 60.0


class Said(NamedTuple):
    """The result of a run of `voice`."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)

    @property
    def line(self) -> str:
        """The single message on standard error."""
        (line,) = self.err.splitlines()
        assert line.startswith("voice: "), line
        return line.removeprefix("voice: ")


def environment_in(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment with that folder as home."""
    home = {"HOME": str(folder), "USERPROFILE": str(folder), "APPDATA": str(folder)}
    return {**clean(), **home, **(more or {})}


def in_shell(script: str | None) -> list[str]:
    """Return the start of a command that is run by a shell script as ``"$@"``; None: it is run without one."""
    return [] if script is None else ["sh", "-c", script, "sh"]


def run_voice(
    *arguments: object,
    folder: Path,
    text: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    script: str | None = None,
    timeout: float = TIMEOUT,
) -> Said:
    """Run `voice` in that folder, for at most `timeout` seconds; `text` is its standard input (None: empty).

    `script`: a shell script to run instead, which runs `voice` as ``"$@"``.
    """
    done = subprocess.run(
        [*in_shell(script), *VOICE, *map(str, arguments)],
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        env=environment_in(folder, environment),
        cwd=folder,
        timeout=timeout,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr.decode())


def on_terminal(
    *arguments: object, folder: Path, environment: Mapping[str, str] | None = None, also: tuple[str, ...] = ()
) -> tuple[int, str, bytes]:
    """Run `voice` with stderr (and `also` "stdin" or "stdout") on a terminal; return code, terminal output, stdout."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*VOICE, *map(str, arguments)],
        stdin=theirs if "stdin" in also else subprocess.DEVNULL,
        stdout=theirs if "stdout" in also else subprocess.PIPE,
        stderr=theirs,
        env=environment_in(folder, {"TERM": "xterm-256color", "COLUMNS": "100", **(environment or {})}),
        cwd=folder,
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not data:
            break
        drawn += data
    os.close(ours)
    out = process.stdout.read() if process.stdout else b""
    if process.stdout:
        process.stdout.close()
    return process.wait(TIMEOUT), drawn.decode(), out


def screen_of(drawn: str) -> list[str]:
    """Return the lines that a terminal shows after that output, without trailing empty ones."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", drawn):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b["):
            count = int(re.sub(r"\D", "", part) or 1)
            if part.endswith("A"):
                row = max(0, row - count)
            elif part.endswith("K"):
                lines[row] = "" if part == "\x1b[2K" else lines[row][:column]
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines
