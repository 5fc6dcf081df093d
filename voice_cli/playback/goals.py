"""Where a skip goes to: the start of a sentence, or a frame some seconds away."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

BACK_SECONDS = 1.0
"""Seconds of a sentence after which going back goes to its own start."""


class Goal(NamedTuple):
    """A place in the speech, which may not have arrived."""

    sentence: int | None
    """The index of a sentence; None: the goal is `frame`."""
    frame: int = 0

    def find(self, starts: Sequence[int], oldest: int, end: int) -> int | None:
        """Return the goal's frame, or the first one after it that is kept; None: it has not arrived.

        `starts`: the first frame of each sentence. The frames from `oldest` to `end` are kept.
        """
        if self.sentence is None:
            return max(self.frame, oldest) if self.frame < end else None
        if self.sentence >= len(starts):
            return None
        return next((start for start in starts[self.sentence :] if start >= oldest), oldest)


def next_goal(
    count: int, here: int, starts: Sequence[int], awaited: Goal | None, rate: int, step: float | None
) -> Goal:
    """Return where a skip by `count` goes to from the frame `here`, or from the goal that is awaited.

    By sentences, -1 is the start of the current one, or of the one before if less than `BACK_SECONDS` of it was played.
    `step`: seconds of a skip; None: it goes by sentences, whose first frames are `starts`.
    """
    if step is not None:
        return Goal(None, max(0, (here if awaited is None else awaited.frame) + round(count * step * rate)))
    if awaited is not None and awaited.sentence is not None:
        index = awaited.sentence + count
    else:
        index = max(0, bisect_right(starts, here) - 1)
        heard = here - starts[index] if starts else 0
        index += count + (count < 0 and heard >= BACK_SECONDS * rate)
    return Goal(max(0, index))
