"""Ctrl-Z for a speech that the agent speaks: it is paused while this process is stopped.

The signals may interrupt this process while it sends a message, so pause and resume go over a connection of their own.
"""

import os
import signal
import threading
from collections.abc import Callable

from voice_cli.cli.agent_client import connect

ANSWER_SECONDS = 1.0
"""Seconds to wait for the agent before the process stops."""


class JobControl:
    """Pauses a speech of the agent at SIGTSTP and resumes it at SIGCONT. Does nothing outside the main thread."""

    def __init__(self, number: int, is_paused: Callable[[], bool]) -> None:
        """`number`: of the speech. `is_paused` returns whether the user has paused it, so that it stays paused."""
        self._number = number
        self._is_paused_by_user = is_paused
        self._has_paused = False
        self._is_watching = (
            hasattr(signal, "SIGTSTP")
            and signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL
            and threading.current_thread() is threading.main_thread()
        )
        if self._is_watching:
            signal.signal(signal.SIGTSTP, self._stop)
            signal.signal(signal.SIGCONT, self._continue)

    def close(self) -> None:
        """Restore the signals."""
        if self._is_watching:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            signal.signal(signal.SIGCONT, signal.SIG_DFL)

    def _stop(self, number: int, _frame: object) -> None:
        self._has_paused = not self._is_paused_by_user() and self._send("pause")
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _continue(self, _number: int, _frame: object) -> None:
        signal.signal(signal.SIGTSTP, self._stop)
        if self._has_paused:
            self._has_paused = False
            self._send("resume")

    def _send(self, kind: str) -> bool:
        """Send a control message, and return whether the agent did it."""
        connection = connect()
        if connection is None:
            return False
        try:
            connection.settimeout(ANSWER_SECONDS)
            connection.sendall(b'{"type":"%s","id":%d}\n' % (kind.encode(), self._number))
            return connection.recv(1 << 16).startswith(b'{"type":"done"')
        except OSError:
            return False
        finally:
            connection.close()
