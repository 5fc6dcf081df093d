"""The clock, the disks of the user's folders, and the terminal."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TextIO

from voice_cli.doctor.finding import BROKEN, OK, WARNING, Finding
from voice_cli.folders import FOLDERS, user_folder

DAY = 86_400.0
LEAST_FREE = 100 << 20
"""Bytes that should be free: a voice has some 60 MB."""
PROBE_BYTES = 1 << 16
PRINTED = "…·–×→←↑↓┄µ━╸⠋"
"""Characters that this program prints to a terminal, besides ASCII and those of texts; the last one is of rich."""


def check_clock(now: float | None = None) -> Finding:
    """Return whether the clock can be right: certificates are refused by a wrong one. `now`: seconds of the epoch."""
    now = time.time() if now is None else now
    installed = os.stat(__file__).st_mtime
    date = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if now < installed - DAY:
        found = f"it says {date}, which is before this program was installed"
        return Finding("clock", BROKEN, found, f"set it: {_set_clock()}")
    return Finding("clock", OK, date)


def _set_clock() -> str:
    if sys.platform == "darwin":
        return "sudo sntp -sS time.apple.com"
    return "w32tm /resync" if sys.platform == "win32" else "sudo timedatectl set-ntp true"


def check_disks(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield a finding for each of the user's folders that cannot be written or whose disk is full, or one for all."""
    free = {}
    problems = []
    for kind in FOLDERS:
        folder = _existing(user_folder(kind, environment))
        error = _write_error(folder)
        free[kind] = _free(folder)
        if error is not None:
            problems.append(_unwritable(kind, folder, error))
        elif free[kind] < LEAST_FREE:
            found = f"{free[kind] >> 20} MB are free for the {kind} folder, {folder}"
            problems.append(Finding(f"disk ({kind})", WARNING, found, _make_room(kind)))
    yield from problems
    if not problems:
        yield Finding("disk", OK, f"{min(free.values()) / 1e9:.1f} GB free", details={"free_bytes": free})


def _existing(folder: str) -> str:
    """Return the folder, or the one above it that exists."""
    while not os.path.exists(folder) and os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
    return folder


def _free(folder: str) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def _write_error(folder: str) -> OSError | None:
    """Write a small file and delete it; return the error."""
    path = os.path.join(folder, f".voice-doctor-{os.getpid()}")
    try:
        with open(path, "xb") as file:
            file.write(bytes(PROBE_BYTES))
    except OSError as exc:
        return exc
    finally:
        if os.path.exists(path):
            os.unlink(path)
    return None


def _unwritable(kind: str, folder: str, error: OSError) -> Finding:
    check = f"disk ({kind})"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Finding(check, BROKEN, f"the disk of the {kind} folder, {folder}, is full", _make_room(kind))
    found = f"cannot write to the {kind} folder, {folder}: {error.strerror}"
    return Finding(check, WARNING, found, f"make it writable, or {_elsewhere(kind)}")


def _make_room(kind: str) -> str:
    return f"delete something there, or {_elsewhere(kind)}"


def _elsewhere(kind: str) -> str:
    variable = FOLDERS[kind][3] if sys.platform == "win32" else FOLDERS[kind][0]
    return f"set {variable} to a folder on another disk"


def check_terminal(stream: TextIO | None, environment: Mapping[str, str] = os.environ) -> Finding:
    """Return whether the terminal's encoding has the characters that are printed. Its fonts cannot be known."""
    if stream is None:
        return Finding("terminal", OK, "standard output is closed")
    encoding = stream.encoding
    kind = environment.get("TERM") or ("Windows" if sys.platform == "win32" else "no TERM")
    colors = ", without colors (NO_COLOR)" if environment.get("NO_COLOR") else ""
    try:
        PRINTED.encode(encoding)
    except UnicodeEncodeError:
        found = f"its encoding, {encoding}, lacks characters such as {PRINTED[0]!a}: they are printed as escapes"
        return Finding("terminal", WARNING, found, _set_encoding(environment))
    if kind == "dumb":
        return Finding("terminal", OK, f"{encoding}, TERM=dumb: no status line, no colors")
    return Finding("terminal", OK, f"{encoding}, {kind}{colors}")


def _set_encoding(environment: Mapping[str, str]) -> str:
    if environment.get("PYTHONIOENCODING"):
        return "unset PYTHONIOENCODING"
    if sys.platform == "win32":
        return "set PYTHONUTF8=1, and chcp 65001"
    return "export LC_ALL=C.UTF-8 (or another locale of 'locale -a' that ends in UTF-8)"
