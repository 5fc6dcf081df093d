"""Ctrl-C at any point of the main thread."""

import signal
import threading

import pytest

from support.threads import happened
from voice_cli.cli import interrupts


@pytest.fixture(autouse=True)
def reset(monkeypatch):
    monkeypatch.setattr(interrupts, "_is_interrupted", False)
    monkeypatch.setattr(interrupts, "_stop", None)


def interrupted():
    with pytest.raises(KeyboardInterrupt):
        interrupts._on_signal(signal.SIGINT, None)


def test_stop_may_take_a_lock_that_the_interrupted_thread_holds():
    lock, stopped = threading.Lock(), threading.Event()

    def stop():
        with lock:
            stopped.set()

    interrupts.stop_with(stop)
    with lock:
        interrupted()
    happened(stopped)


def test_an_early_interrupt_is_raised_by_stop_with():
    interrupted()
    with pytest.raises(KeyboardInterrupt):
        interrupts.stop_with(lambda: None)
