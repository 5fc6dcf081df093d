"""Run and wait for threads with a timeout that fails the test."""

import threading
import time
from collections.abc import Callable
from typing import Any

WAIT = 20.0
"""Timeout in seconds."""


def in_thread(work: Callable[[], Any]) -> Callable[[], Any]:
    """Start `work` in a thread; return a function that joins it and returns its result or exception."""
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
        assert not thread.is_alive(), "the thread has not ended"
        return results[0]

    return result


def happened(event: threading.Event) -> None:
    """Wait for an event; fail on timeout."""
    assert event.wait(WAIT), "timed out"


def wait_until(is_so: Callable[[], Any], otherwise: str, seconds: float = WAIT) -> None:
    """Poll a condition until it is true; fail on timeout."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(0.005)
