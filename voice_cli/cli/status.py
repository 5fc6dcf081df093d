"""The display during playback: a status line, a progress bar, or the text as it is heard."""

import sys
import time
from collections.abc import Callable
from typing import Any

from voice_cli.cli.console import write_stdout
from voice_cli.errors import FileError, Interrupted
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.state import State
from voice_cli.printable import escaped_text
from voice_cli.speech.narration import Narration
from voice_cli.speech.spoken import begun, said

PATIENCE = 0.4
"""Seconds before the status line appears, so that importing rich does not delay the first sound."""

WORDS = {
    State.WAITING: "waiting",
    State.BUFFERING: "buffering",
    State.PLAYING: "speaking",
    State.DRAINING: "speaking",
    State.DONE: "done",
}


class StatusLine:
    """A line on standard error with backend, state and time, or a bar if a file is made. For the main thread."""

    def __init__(self, backend: str, narration: Narration, *, makes_file: bool) -> None:
        self._backend = backend
        self._narration = narration
        self._makes_file = makes_file
        self._began = time.monotonic()
        self._live: Any = None
        self._task: Any = None

    def update(self, player: Player) -> None:
        """Draw the player's state."""
        waited = time.monotonic() - self._began
        if self._live is None:
            if waited < PATIENCE:
                return
            self._start()
        if self._task is None:
            self._live.update(f"{self._backend} · {WORDS[player.state]} · {player.position or waited:.0f} s")
        else:
            done = self._narration.progress()
            made = player.timeline.audio_seconds
            self._live.update(self._task, completed=done, made=f"{made:.0f} s made, {made / waited:.0f} × real time")

    def finish(self, player: Player) -> None:
        """Draw the final state."""
        if self._live is not None:
            self.update(player)

    def _start(self) -> None:
        from rich.console import Console

        console = Console(file=sys.stderr, highlight=False)
        if self._makes_file:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            made = TextColumn("{task.fields[made]}")
            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), made, TimeRemainingColumn())
            self._live = Progress(*columns, console=console, transient=True)
            self._task = self._live.add_task(self._backend, total=self._narration.total, made="")
        else:
            from rich.status import Status

            self._live = Status("", console=console)
        self._live.start()

    def close(self) -> None:
        """Remove it from the terminal."""
        if self._live is not None:
            self._live.stop()


class TextDisplay:
    """`--show`: prints the text as it is heard."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """Set what is called with each text: `StandardOutput.write`, or the like."""
        self._write = write
        self._done = 0
        """Utterances that were heard completely."""
        self._shown = 0
        """Characters of the utterances after them that were printed."""
        self._has_begun = False

    def update(self, player: Player) -> None:
        """Print the words that have begun."""
        utterances, heard = player.utterances[self._done :], player.heard
        self._print(begun(utterances, heard))
        for utterance in utterances:
            if utterance.end is None or utterance.end > heard:
                break
            self._done += 1
            self._shown -= len(utterance.line.text)

    def finish(self, result: PlaybackResult) -> None:
        """Print the rest of what was heard, and end the line."""
        self._print(said(result.utterances[self._done :], result.heard))
        if self._has_begun:
            self._write("\n")

    def _print(self, text: str) -> None:
        new = text[self._shown :]
        self._shown = max(self._shown, len(text))
        if not self._has_begun:
            new = new.lstrip()
        if new:
            self._has_begun = True
            self._write(new)


class StandardOutput:
    """Text on standard output, during a playback."""

    def __init__(self) -> None:
        self.is_closed = False
        """Whether its reader closed it."""
        self.error: FileError | None = None
        """Why it could not be written."""

    def write(self, text: str) -> None:
        """Write text, escaped, unless that has failed."""
        if not self.is_closed and self.error is None and sys.stdout is not None:
            try:
                write_stdout(escaped_text(text), end="")
            except Interrupted:
                self.is_closed = True
            except FileError as exc:
                self.error = exc
