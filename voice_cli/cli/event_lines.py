"""`--events`: what happens, as lines of JSON on standard output (docs/events.md)."""

import json
import time
from typing import Any

from voice_cli.cli.status import StandardOutput
from voice_cli.clock import process_start

VERSION = 1


class EventLines(StandardOutput):
    """Writes each event as a line, and flushes it."""

    def __init__(self, started: float | None = None) -> None:
        """`started`: the time from which `at_ms` counts; None: the start of the process."""
        super().__init__()
        self._started = process_start() if started is None else started

    def start(self, backend: str | None, number: int | None = None) -> "EventLines":
        """Write the first event, and return this. `number`: the agent's id of the speech."""
        age = time.monotonic() - self._started
        self.send("start", version=VERSION, time=round(time.time() - age, 3), backend=backend, id=number)
        return self

    def send(self, event: str, **fields: Any) -> None:
        """Write an event that happens now."""
        self.send_object({"event": event, "at_ms": milliseconds(time.monotonic() - self._started), **fields})

    def send_object(self, fields: dict[str, Any]) -> None:
        self.write(json.dumps(fields) + "\n")


def milliseconds(seconds: float) -> float:
    return round(1000 * seconds, 1)
