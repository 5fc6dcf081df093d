"""Keys that control a playback, from the terminal of `voice say`.

The terminal is in cbreak mode, without echo, while a speech plays; Ctrl-C and Ctrl-Z stay signals. Its own mode is
restored by `close` at the end, also after an exception, Ctrl-C and SIGTERM; by a handler before SIGTSTP (Ctrl-Z) stops
the process or SIGQUIT ends it; and by `interrupts` at the second Ctrl-C. Windows has no termios, and no keys.
"""

import contextlib
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from voice_cli.cli import interrupts

TICK = 0.02
"""Seconds between two looks at the keys, the display, and whether another speech has cancelled this one."""

PATIENCE = 0.4
"""Seconds after which the keys work while there is no sound; before, nothing is imported for them."""

HELP = "space pause · ←/→ sentence back/forward · ↑/↓ volume · [ ] speed · q quit · ? keys"

STEP = 0.1
"""One step of volume and speed."""


class Controls(Protocol):
    """What the keys act on: a `Player`, or a player in another process."""

    @property
    def is_paused(self) -> bool: ...
    @property
    def volume(self) -> float: ...
    @property
    def speed(self) -> float: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def skip(self, count: int) -> None: ...
    def set_volume(self, factor: float) -> None: ...
    def set_speed(self, factor: float) -> None: ...
    def cancel(self) -> None: ...


def _toggle_pause(controls: Controls) -> None:
    if controls.is_paused:
        controls.resume()
    else:
        controls.pause()


def _change_volume(controls: Controls, step: float) -> None:
    controls.set_volume(round(controls.volume + step, 2))


def _change_speed(controls: Controls, step: float) -> None:
    controls.set_speed(round(controls.speed + step, 2))


ACTIONS: dict[bytes, Callable[[Controls], None]] = {
    b" ": _toggle_pause,
    b"\x1b[A": lambda controls: _change_volume(controls, STEP),
    b"\x1b[B": lambda controls: _change_volume(controls, -STEP),
    b"[": lambda controls: _change_speed(controls, -STEP),
    b"]": lambda controls: _change_speed(controls, STEP),
    b"q": lambda controls: controls.cancel(),
}
"""What each key does, by the bytes that a terminal sends."""

SKIPS = {b"\x1b[D": -1, b"\x1b[C": 1}
"""The keys that skip. Presses that are read at once are one skip, so that no sentence between is heard for a moment."""


def are_usable() -> bool:
    """Return whether the terminal is ours: standard input and standard error, in the foreground, on POSIX."""
    files = (sys.stdin, sys.stderr)
    return all(file is not None and file.isatty() for file in files) and _is_foreground(sys.stdin.fileno())


def _is_foreground(descriptor: int) -> bool:
    try:
        return hasattr(os, "tcgetpgrp") and os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # the terminal is gone
        return False


def split_keys(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the keys in what a terminal sent, and the start of an escape sequence that is not complete."""
    keys: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 1
        if data[at] == 0x1B:
            if data[at + 1 : at + 2] in (b"[", b"O"):
                end = at + 2
                while end < len(data) and not 0x40 <= data[end] <= 0x7E:
                    end += 1
                end += 1
            if end > len(data) or end == at + 1 == len(data):
                return keys, data[at:]
        keys.append(data[at:end].replace(b"\x1bO", b"\x1b["))  # application mode
        at = end
    return keys, b""


class Keys:
    """Applies the keys of standard input to `controls`. For the main thread. `note` prints the help."""

    def __init__(self, controls: Controls, note: Callable[[str], None], help: str = HELP) -> None:  # noqa: A002
        self._controls = controls
        self._note = note
        self._help = help
        self._descriptor = sys.stdin.fileno()
        self._began = time.monotonic()
        self._rest = b""
        self._mode: list[Any] | None = None
        """The terminal's own mode, while it has ours."""
        self._handlers: dict[int, Any] = {}
        """The handlers of the signals before."""

    def poll(self, *, is_playing: bool) -> None:
        """Apply the keys that were pressed. Before the sound, do nothing for a moment, to not delay it."""
        if not self._handlers:
            if not is_playing and time.monotonic() - self._began < PATIENCE:
                return
            self._start()
        keys, self._rest = split_keys(self._rest + self._read())
        for key, presses in itertools.groupby(keys):
            if key in SKIPS:
                self._controls.skip(SKIPS[key] * len(list(presses)))
                continue
            for _ in presses:
                if key == b"?":
                    self._note(self._help)
                elif key in ACTIONS:
                    ACTIONS[key](self._controls)

    def _read(self) -> bytes:
        import select

        with contextlib.suppress(OSError):  # the terminal is gone
            is_ready = self._mode is not None and select.select([self._descriptor], [], [], 0)[0]
            if is_ready and _is_foreground(self._descriptor):  # else the system would stop the process
                return os.read(self._descriptor, 64)
        return b""

    def _start(self) -> None:
        for name, handler in (("SIGTSTP", self._leave), ("SIGQUIT", self._leave), ("SIGCONT", self._come_back)):
            number = getattr(signal, name)
            self._handlers[number] = signal.getsignal(number)
            if self._handlers[number] is not signal.SIG_IGN:
                signal.signal(number, handler)
        interrupts.at_exit(self._restore)
        self._set_mode()

    def _set_mode(self) -> None:
        import termios

        if self._mode is None and _is_foreground(self._descriptor):
            mode = termios.tcgetattr(self._descriptor)
            ours = [*mode[:3], mode[3] & ~(termios.ECHO | termios.ICANON), *mode[4:6], [*mode[6]]]
            ours[6][termios.VMIN], ours[6][termios.VTIME] = 1, 0
            self._mode = mode
            termios.tcsetattr(self._descriptor, termios.TCSANOW, ours)

    def _restore(self) -> None:
        """Set the terminal's own mode again."""
        import termios

        if self._mode is not None and _is_foreground(self._descriptor):
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._mode)
        self._mode = None

    def _leave(self, number: int, _frame: object) -> None:
        """Restore the terminal, then let the signal stop or end the process, as it did before."""
        self._restore()
        before = self._handlers[number]
        signal.signal(number, before if callable(before) else signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _come_back(self, number: int, frame: object) -> None:
        """Set our mode again, if the process goes on in the foreground."""
        before = self._handlers[number]
        if callable(before):
            before(number, frame)
        if self._handlers[signal.SIGTSTP] is not signal.SIG_IGN:
            signal.signal(signal.SIGTSTP, self._leave)
        self._set_mode()

    def close(self) -> None:
        """Restore the terminal and the signals."""
        if self._handlers:
            self._restore()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            interrupts.at_exit(None)
