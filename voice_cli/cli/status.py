"""The one line on a terminal while something goes on; it leaves nothing behind."""

import sys
import time
from types import TracebackType
from typing import Any

from voice_cli.playback.player import Player
from voice_cli.playback.pump import State

PATIENCE = 0.4
"""Seconds before it appears: what is over by then needs no status, and loading rich must not be in the way of the
first sound."""

WORDS = {
    State.WAITING: "waiting",
    State.BUFFERING: "buffering",
    State.PLAYING: "speaking",
    State.DRAINING: "speaking",
    State.DONE: "done",
}


class StatusLine:
    """Backend, state and time, by rich, on standard error. Used by the thread that plays."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._began = time.monotonic()
        self._live: Any = None

    def __enter__(self) -> "StatusLine":
        return self

    def update(self, player: Player) -> None:
        """Draw what the player is doing now."""
        waited = time.monotonic() - self._began
        if self._live is None:
            if waited < PATIENCE:
                return
            from rich.console import Console
            from rich.status import Status

            self._live = Status("", console=Console(file=sys.stderr, highlight=False), spinner="dots")
            self._live.start()
        seconds = player.position or waited
        self._live.update(f"{self._backend} · {WORDS[player.state]} · {seconds:.0f} s")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
