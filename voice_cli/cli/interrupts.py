"""Ctrl-C and the other signals that end the program.

Python raises KeyboardInterrupt at any point of the main thread. Inside a callback of the import system, which is likely
at the start of `voice say`, it is printed and dropped. So this module also records the signal.
"""

import _thread
import signal
import sys
from collections.abc import Callable

_is_interrupted = False
_stop: Callable[[], None] | None = None


def watch() -> None:
    """Raise KeyboardInterrupt at Ctrl-C, SIGTERM and SIGHUP, except for signals that are ignored."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable


def stop_with(stop: Callable[[], None]) -> None:
    """Call `stop` at the next signal; raise KeyboardInterrupt if there was one.

    `stop` runs on a new thread, since the main thread may hold a lock that it needs.
    """
    global _stop  # noqa: PLW0603  a process has one set of signal handlers
    _stop = stop
    if _is_interrupted:
        raise KeyboardInterrupt


def _on_unraisable(what: "sys.UnraisableHookArgs") -> None:
    if what.exc_type is not KeyboardInterrupt:  # that is recorded in `_is_interrupted`
        sys.__unraisablehook__(what)


def _on_signal(_number: int, _frame: object) -> None:
    global _is_interrupted  # noqa: PLW0603
    _is_interrupted = True
    if _stop is not None:
        _thread.start_new_thread(_stop, ())  # threading's own takes locks to start
    raise KeyboardInterrupt
