"""Run a program as the foreground job of a terminal, as a shell does."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.threads import WAIT

SHELL = """\
import fcntl, json, os, signal, sys, termios

report, proceed = int(sys.argv[1]), int(sys.argv[2])
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)

def tell(**values):
    flags = termios.tcgetattr(0)[3]
    mode = {"is_plain": bool(flags & termios.ICANON), "has_echo": bool(flags & termios.ECHO)}
    os.write(report, (json.dumps({**values, **mode}) + "\\n").encode())

pid = os.fork()
if pid:
    tell(pid=pid)
else:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[3], sys.argv[3:])
while True:
    _, status = os.waitpid(pid, os.WUNTRACED)
    os.tcsetpgrp(0, os.getpgrp())
    if not os.WIFSTOPPED(status):
        tell(code=os.waitstatus_to_exitcode(status))
        break
    tell(code=None)
    os.read(proceed, 1)
    os.tcsetpgrp(0, pid)
    os.kill(pid, signal.SIGCONT)
"""
"""Reports the mode of the terminal when the job stops or ends; continues it for each byte."""


class Job:
    """The job. Its standard input and standard error are the terminal, its standard output is a pipe."""

    def __init__(self, *command: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        report, reported = os.pipe()
        proceed, self._proceed = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", SHELL, str(reported), str(proceed), *command],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={"TERM": "xterm-256color", "COLUMNS": "100", **environment},
            cwd=folder,
            start_new_session=True,
            pass_fds=(reported, proceed),
        )
        for descriptor in (theirs, reported, proceed):
            os.close(descriptor)
        self._reports = open(report)  # noqa: SIM115
        self._pid: int = self.wait()["pid"]
        self.drawn = ""
        """What was written to the terminal."""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the other side is closed
                return
            with self._changed:
                self.drawn += data.decode()
                self._changed.notify_all()

    def kill(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self._pid, number)

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def wait_for(self, text: str) -> None:
        """Wait until this text is drawn after the last call."""
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.drawn, WAIT), f"{text!r} is not in {self.drawn!r}"
            self.drawn = self.drawn.partition(text)[2]

    def wait(self) -> dict[str, Any]:
        """Wait until it stops or ends; return its exit code (None: it is stopped) and the mode of the terminal."""
        return json.loads(self._reports.readline())

    def go_on(self) -> None:
        """Continue it in the foreground."""
        os.write(self._proceed, b".")

    def kill_all(self) -> None:
        """Kill it and its shell, if they have not ended."""
        if self._process.poll() is None:
            os.kill(self._pid, signal.SIGKILL)
            self._process.kill()
            self._process.communicate()

    def end(self) -> tuple[dict[str, Any], bytes]:
        """Wait for its end; return its report and its output."""
        out, _ = self._process.communicate(timeout=60)
        report = self.wait()
        self._reader.join(WAIT)
        self._reports.close()
        os.close(self._ours)
        os.close(self._proceed)
        return report, out
