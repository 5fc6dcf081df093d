"""Ctrl-C and the other signals that end the program.

Python raises KeyboardInterrupt at any point of the main thread. Inside a callback of the import system, as often at
the start of `voice say`, it is printed and dropped. So this module records the signal as well.
"""

import _thread
import signal
import sys
from collections.abc import Callable

_asked = False
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
    if _asked:
        raise KeyboardInterrupt


def _on_unraisable(what: "sys.UnraisableHookArgs") -> None:
    if what.exc_type is not KeyboardInterrupt:  # `_asked` has it
        sys.__unraisablehook__(what)


def _on_signal(_number: int, _frame: object) -> None:
    global _asked  # noqa: PLW0603
    _asked = True
    if _stop is not None:
        _thread.start_new_thread(_stop, ())  # threading's own takes locks to start
    raise KeyboardInterrupt
