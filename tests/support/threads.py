"""Threads that a test steps: nothing sleeps, and what should have come and has not fails the test."""

import threading
import time
from collections.abc import Callable
from typing import Any

WAIT = 20.0
"""Seconds after which a step that should have come has not."""


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Run it, and give a function that joins it and hands over its result, or the exception that it ended with."""
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result() -> Any:
        thread.join(WAIT)
        assert not thread.is_alive(), "it has not come back"
        return results[0]

    return result


def happened(event: threading.Event) -> None:
    """Wait for an event that must come."""
    assert event.wait(WAIT), "it has not happened"


def wait_until(is_so: Callable[[], Any], otherwise: str, seconds: float = WAIT) -> None:
    """Look again and again until something is so that nobody tells of."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)
