"""Ctrl-C and its kin, which must not get lost.

Python raises KeyboardInterrupt wherever the main thread happens to be, and where that is a callback of the import
system, which `voice say` is often in at its start, it is printed and forgotten. So that it was asked for is kept too.
"""

import _thread
import signal
import sys
from collections.abc import Callable

_asked = False
_stop: Callable[[], None] | None = None


def watch() -> None:
    """Take Ctrl-C, and the signals that ask a program to end, as KeyboardInterrupt. What is ignored stays so."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _on_unraisable


def stop_with(stop: Callable[[], None]) -> None:
    """Have `stop` called at the next one; raises KeyboardInterrupt if there was one.

    On a thread of its own: the main thread may hold any lock at that moment, and one of those that `stop` wants.
    """
    global _stop  # noqa: PLW0603  a process has one set of signal handlers
    _stop = stop
    if _asked:
        raise KeyboardInterrupt


def _on_unraisable(what: "sys.UnraisableHookArgs") -> None:
    if what.exc_type is not KeyboardInterrupt:  # it is kept
        sys.__unraisablehook__(what)


def _on_signal(_number: int, _frame: object) -> None:
    global _asked  # noqa: PLW0603
    _asked = True
    if _stop is not None:
        _thread.start_new_thread(_stop, ())  # threading's own takes locks to start
    raise KeyboardInterrupt
