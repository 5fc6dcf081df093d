"""A circuit breaker for servers, shared by all processes, so that a dead server costs one timeout and not one a speech.

A target that has failed is skipped for some seconds, which double with each failure. After them, one speech tries it;
meanwhile, others skip it as if it had failed again. A success removes the entry.
"""

import time
from collections.abc import Callable
from typing import Any

from voice_cli.state_file import as_dict, limited, read_section, update_section

SECTION = "servers"
FIRST_SECONDS, MOST_SECONDS = 10.0, 300.0
"""Seconds for which a target is skipped after the first failure, and at most."""
MOST_FAILURES = 32
LATEST = 1e12
"""Seconds since 1970: a limit for what the file may have."""


class Breaker:
    """The circuits of the targets, by name. Any thread."""

    def __init__(self, path: str, clock: Callable[[], float] = time.time) -> None:
        """Read the file; one that is damaged counts as empty."""
        self._path = path
        self._clock = clock
        self._entries = read_section(path, SECTION)

    def seconds_left(self, name: str) -> float:
        """Return for how long a target is skipped; 0: ask it. If a trial is due, this is the trial."""
        entry = self._entries.get(name)
        if entry is None:
            return 0.0
        left = self._left(entry)
        if not left:
            update_section(self._path, SECTION, lambda entries: self._begin_trial(entries, name))
        return left

    def failed(self, name: str) -> None:
        """Open the circuit of a target."""
        update_section(self._path, SECTION, lambda entries: self._add_failure(entries, name))

    def succeeded(self, name: str) -> None:
        """Close the circuit of a target."""
        if self._entries.pop(name, None) is not None:
            update_section(self._path, SECTION, lambda entries: entries.pop(name, None))

    def _left(self, entry: Any) -> float:
        """Return the seconds for which an entry counts; 0 if the clock was changed, or the entry is not valid."""
        values = as_dict(entry)
        failures = int(limited(values.get("failures"), 0, MOST_FAILURES))
        if not failures:
            return 0.0
        seconds = min(MOST_SECONDS, FIRST_SECONDS * 2.0 ** (failures - 1))
        age = self._clock() - limited(values.get("at"), 0.0, LATEST)
        return max(0.0, seconds - age) if age >= 0 else 0.0

    def _begin_trial(self, entries: dict[str, Any], name: str) -> None:
        if name in entries:
            entries[name] = {**as_dict(entries[name]), "at": round(self._clock(), 3)}

    def _add_failure(self, entries: dict[str, Any], name: str) -> None:
        failures = int(limited(as_dict(entries.get(name)).get("failures"), 0, MOST_FAILURES - 1)) + 1
        self._entries[name] = entries[name] = {"failures": failures, "at": round(self._clock(), 3)}
