"""Ctrl-C and the other signals that end the program.

Python raises KeyboardInterrupt at any point of the main thread. Inside a callback of the import system, which is likely
at the start of `voice say`, it is printed and dropped. So this module also records the signal. Inside a method of
`threading.Condition`, it leaves the lock held for good. So during playback, which has such locks, the first signal only
stops the player.
"""

import _thread
import os
import signal
import sys
from collections.abc import Callable

from voice_cli.cli.start import INTERRUPTED

_signals = 0
"""How many have come."""
_first = 0
"""The number of the first one."""
_stop: Callable[[], None] | None = None
_at_exit: Callable[[], None] | None = None


def watch() -> None:
    """Raise KeyboardInterrupt at Ctrl-C, SIGTERM, SIGHUP and Windows' Ctrl-Break, except for ignored signals."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable


def exit_code() -> int:
    """Return the exit code of an interrupted run: 128 and the number of the signal, or 130 if none has come."""
    return 128 + _first if _first else INTERRUPTED


def die() -> None:
    """End the process by the signal that has come, if one has, without exit handlers.

    So a shell ends its loop or script at Ctrl-C, and systemd counts SIGTERM as a clean end. The exit code that a shell
    sees is `exit_code`. This returns if the signal does not end the process: it is process 1 of a container.
    """
    if _first and sys.platform != "win32":
        signal.signal(_first, signal.SIG_DFL)
        os.kill(os.getpid(), _first)


def stop_with(stop: Callable[[], None] | None) -> None:
    """Call `stop` at the next signal, instead of raising KeyboardInterrupt; raise it if there was a signal.

    None: the next signal raises KeyboardInterrupt again. `stop` runs on a new thread, since the main thread may hold a
    lock that it needs. The second signal raises KeyboardInterrupt, and the third ends the process.
    """
    global _stop  # noqa: PLW0603  a process has one set of signal handlers
    _stop = stop
    if _signals:
        raise KeyboardInterrupt


def at_exit(restore: Callable[[], None] | None) -> None:
    """Call `restore` at the second signal, after which nothing else may run; None: nothing is to be restored."""
    global _at_exit  # noqa: PLW0603
    _at_exit = restore


def _on_unraisable(what: "sys.UnraisableHookArgs") -> None:
    if what.exc_type is not KeyboardInterrupt:  # that is recorded in `_signals`
        sys.__unraisablehook__(what)


def _on_signal(number: int, _frame: object) -> None:
    global _signals, _first  # noqa: PLW0603
    _signals += 1
    _first = _first or number
    if _signals > 1 and _at_exit is not None:
        _at_exit()
    if _signals > 2:  # the main thread may wait for a lock
        die()
        os._exit(exit_code())
    if _stop is None or _signals > 1:
        raise KeyboardInterrupt
    _thread.start_new_thread(_stop, ())  # threading's own takes locks to start
