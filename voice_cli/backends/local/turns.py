"""Whose turn it is with an engine that does one thing at a time: theirs whose sound is needed first.

A listener with ten seconds of speech in hand can wait; one who has heard nothing yet cannot (earliest deadline first).
Requests that say nothing of it come in the order in which they were made.
"""

import time
from collections.abc import Iterator
from typing import Generic, TypeVar

Job = TypeVar("Job")


class Turns(Generic[Job]):
    """Those who wait. Not locked: it is the engine's lock that it is used under."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Job]] = []
        self._count = 0

    def add(self, job: Job, due: float | None = None) -> None:
        """Let a job wait that is due at a moment of `time.monotonic`; None: now."""
        self._count += 1  # which also keeps jobs themselves from being compared
        self._waiting.append((time.monotonic() if due is None else due, self._count, job))
        self._waiting.sort()

    def take(self) -> Job | None:
        """Return the one whose turn it is; None: none waits."""
        return self._waiting.pop(0)[2] if self._waiting else None

    def __iter__(self) -> Iterator[Job]:
        """Give all, without taking any."""
        return iter([job for _, _, job in self._waiting])
