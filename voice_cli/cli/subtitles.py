"""Subtitles beside a file (SubRip, WebVTT): found, read, and printed as the file is heard."""

import os
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from voice_cli.errors import FileError
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.script.text_encoding import decode_text

SUFFIXES = (".srt", ".vtt")

MOST_BYTES = 16 << 20
"""A larger file is no subtitles."""

_TIMES = re.compile(r"\s*((?:\d+:)?\d+:\d+[.,]\d+)\s+-->\s+((?:\d+:)?\d+:\d+[.,]\d+)")
"""The line with the times of a cue, of either format. Hours may be left out in WebVTT."""
_TAG = re.compile(r"<[^<>\n]*>")
_ENTITIES = {"&lt;": "<", "&gt;": ">", "&nbsp;": " ", "&lrm;": "", "&rlm;": "", "&amp;": "&"}


class Cue(NamedTuple):
    """A subtitle."""

    start: float
    """Seconds of the file."""
    end: float
    text: str


def subtitles_beside(path: str) -> list[Cue]:
    """Return the subtitles of the file with the same name and the suffix of subtitles; none, if there is no such file.

    Raises:
        FileError: it cannot be read, or is not text.

    """
    for suffix in SUFFIXES:
        beside = os.path.splitext(path)[0] + suffix
        if os.path.isfile(beside):
            try:
                with open(beside, "rb") as file:
                    data = file.read(MOST_BYTES + 1)
            except OSError as exc:
                raise FileError(f"cannot read {beside}: {exc.strerror}") from exc
            if len(data) > MOST_BYTES:
                raise FileError(f"{beside} is larger than {MOST_BYTES >> 20} MB: it is no subtitles")
            return parse(decode_text(data, beside), vtt=suffix == ".vtt")
    return []


def parse(text: str, *, vtt: bool) -> list[Cue]:
    """Return the cues of SubRip or WebVTT, in the order of their starts. What is no cue is left out."""
    cues = []
    for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n").split("\n")
        for index, line in enumerate(lines[:2]):  # a name or a number may come first
            match = _TIMES.match(line)
            if match is not None:
                words = _TAG.sub("", " ".join(lines[index + 1 :]))
                if vtt:
                    words = re.sub("|".join(_ENTITIES), lambda entity: _ENTITIES[entity[0]], words)
                if words := " ".join(words.split()):
                    cues.append(Cue(_seconds(match[1]), _seconds(match[2]), words))
                break
    return sorted(cues, key=lambda cue: cue.start)


def _seconds(stamp: str) -> float:
    seconds = 0.0
    for part in stamp.replace(",", ".").split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


class CueDisplay:
    """Prints the subtitles of files as they are heard, each once, one on a line."""

    def __init__(self, write: Callable[[str], object], cues: Sequence[Sequence[Cue]]) -> None:
        """Set what is called with each line, and the subtitles of each file, in the order of playback."""
        self._write = write
        self._cues = cues
        self._spans = 0
        """Spans that were printed completely."""
        self._until = 0.0
        """Seconds up to which the next one was printed."""
        self._shown: set[tuple[int, int]] = set()
        """What was printed: the index of the file, and that of the cue."""

    def update(self, player: Player) -> None:
        """Print the cues that have begun."""
        self._show([utterance.start or 0.0 for utterance in player.utterances], player.spans)

    def finish(self, result: PlaybackResult) -> None:
        """Print the rest of what was heard."""
        self._show([utterance.start or 0.0 for utterance in result.utterances], result.spans)

    def _show(self, starts: Sequence[float], spans: Sequence[tuple[float, float]]) -> None:
        for span in range(self._spans, len(spans)):
            first, last = spans[span]
            first = max(first, self._until) if span == self._spans else first
            for index, (start, end) in enumerate(pairwise([*starts, float("inf")])):
                if start <= last and end >= first:
                    self._print(index, first - start, min(last, end) - start)
        self._spans, self._until = len(spans) - 1, spans[-1][1]

    def _print(self, index: int, first: float, last: float) -> None:
        """Print the cues of a file that are due in that part of it, in seconds."""
        cues = self._cues[index]
        low = max(0, bisect_right(cues, first, key=lambda cue: cue.start) - 1)
        for number in range(low, bisect_right(cues, last, key=lambda cue: cue.start)):
            if cues[number].end > first and (index, number) not in self._shown:
                self._shown.add((index, number))
                self._write(f"{cues[number].text}\n")
