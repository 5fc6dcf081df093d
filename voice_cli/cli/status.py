"""The display during playback: a status line, a progress bar, or the text as it is heard."""

import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from shutil import get_terminal_size
from typing import Any

from voice_cli.cli.console import print_above, print_note, write_stderr, write_stdout
from voice_cli.errors import FileError, Interrupted
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.state import State
from voice_cli.printable import escaped_text, one_line
from voice_cli.speech.events import Utterance
from voice_cli.speech.narration import Narration
from voice_cli.speech.spoken import NEAR, pieces_of

PATIENCE = 0.4
"""Seconds before the status line appears: a short playback has none."""

WORDS = {
    State.WAITING: "waiting",
    State.BUFFERING: "buffering",
    State.PLAYING: "speaking",
    State.DRAINING: "speaking",
    State.DONE: "done",
}


def state_of(player: Player, words: Mapping[State, str] = WORDS) -> str:
    """Return the word for what the player does."""
    return "paused" if player.is_paused and player.state is not State.DONE else words[player.state]


def status_line(backend: str, narration: Narration, *, makes_file: bool) -> "StatusLine | FileProgress":
    """Return the display of a playback, or of a file that is made, on standard error."""
    return FileProgress(backend, narration) if makes_file else StatusLine(backend, narration)


class StatusLine:
    """A line on standard error with backend, state and time. For the main thread.

    It is written without rich: importing that takes so long that a device with a small buffer would run empty.
    """

    def __init__(self, backend: str, narration: Narration, words: Mapping[State, str] = WORDS) -> None:
        self._backend = backend
        self._words = words
        self._narration = narration
        self._began = time.monotonic()
        self._drawn = ""

    def update(self, player: Player) -> None:
        """Draw the player's state."""
        waited = time.monotonic() - self._began
        if waited < PATIENCE:
            return
        recovery = self._narration.recovery
        name = (recovery.fallback if recovery is not None else None) or self._backend
        parts = [name, state_of(player, self._words), f"{player.position or waited:.0f} s"]
        if player.speed != 1:
            parts.append(f"speed {player.speed:.2g}")
        if player.volume != 1:
            parts.append(f"volume {player.volume:.2g}")
        self._draw(one_line(" · ".join(parts), max(1, get_terminal_size().columns - 1)))

    def note(self, text: str) -> None:
        """Print a note, above the line if there is one."""
        self.close()
        print_note(text)

    def finish(self, player: Player) -> None:
        """Draw the final state, if there is a line."""
        if self._drawn:
            self.update(player)

    def close(self) -> None:
        """Remove it from the terminal."""
        self._draw("")

    def _draw(self, line: str) -> None:
        if line != self._drawn:
            end = "" if line else "\r"
            write_stderr(f"\r{line.ljust(len(self._drawn))}{end}")
            self._drawn = line


class FileProgress:
    """A bar on standard error while a file is made. For the main thread."""

    def __init__(self, backend: str, narration: Narration) -> None:
        self._backend = backend
        self._narration = narration
        self._began = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def update(self, player: Player) -> None:
        """Draw how much is made."""
        waited = time.monotonic() - self._began
        if self._bar is None:
            if waited < PATIENCE:
                return
            self._start()
        made = player.timeline.audio_seconds
        made_so_far = f"{made:.0f} s made, {made / waited:.0f} × real time"
        self._bar.update(self._task, completed=self._narration.progress(), made=made_so_far)

    def note(self, text: str) -> None:
        """Print a note, above the bar if there is one."""
        if self._bar is None:
            print_note(text)
        else:
            print_above(self._bar, f"voice: {text}")

    def finish(self, player: Player) -> None:
        """Draw the final state, if there is a bar."""
        if self._bar is not None:
            self.update(player)

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        made = TextColumn("{task.fields[made]}")
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), made, TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(file=sys.stderr, highlight=False), transient=True)
        self._task = self._bar.add_task(self._backend, total=self._narration.total, made="")
        self._bar.start()

    def close(self) -> None:
        """Remove it from the terminal."""
        if self._bar is not None:
            self._bar.stop()


class TextDisplay:
    """`--show`: prints the text as it is heard, each word once. Skipped text is not printed."""

    def __init__(self, write: Callable[[str], object]) -> None:
        """Set what is called with each text: `StandardOutput.write`, or the like."""
        self._write = write
        self._spans = 0
        """Spans that were printed completely."""
        self._until = 0.0
        """Seconds of the speech up to which the next one was printed."""
        self._shown: set[tuple[int, int]] = set()
        """The characters that were printed: the index of the utterance, and the position in its text."""
        self._has_begun = False

    def update(self, player: Player) -> None:
        """Print the words that have begun."""
        self._show(player.utterances, player.spans, is_over=False)

    def finish(self, result: PlaybackResult) -> None:
        """Print the rest of what was heard, and end the line."""
        self._show(result.utterances, result.spans, is_over=True)
        if self._has_begun:
            self._write("\n")

    def _show(self, utterances: Sequence[Utterance], spans: Sequence[tuple[float, float]], *, is_over: bool) -> None:
        """Print the words that began since the last call; if it is over, only those that have ended."""
        for span in range(self._spans, len(spans)):
            start, end = spans[span]
            start = max(start, self._until) if span == self._spans else start
            first = max(0, bisect_right(utterances, start, key=_start_of) - 1)
            for index in range(first, bisect_right(utterances, end, key=_start_of)):
                at = 0
                for word in pieces_of(utterances[index]):
                    is_new = word.start >= start - NEAR or (index, at) in self._shown
                    if is_new and (word.end if is_over else word.start) <= end + NEAR:
                        self._print(index, at, word.text)
                    at += len(word.text)
        self._spans, self._until = len(spans) - 1, spans[-1][1]

    def _print(self, index: int, at: int, text: str) -> None:
        """Print a part of an utterance's text, without what was printed before its words were known."""
        places = [(index, at + offset) for offset in range(len(text))]
        new = "".join([text[place - at] for _, place in places if (index, place) not in self._shown])
        self._shown.update(places)
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


def _start_of(utterance: Utterance) -> float:
    return utterance.start or 0.0
