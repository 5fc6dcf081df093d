"""Ctrl-C at any point of the main thread."""

import os
import signal
import threading

import pytest

from support.threads import happened
from voice_cli.cli import interrupts


@pytest.fixture(autouse=True)
def reset(monkeypatch):
    monkeypatch.setattr(interrupts, "_signals", 0)
    monkeypatch.setattr(interrupts, "_first", 0)
    monkeypatch.setattr(interrupts, "_stop", None)


def send_signal():
    interrupts._on_signal(signal.SIGINT, None)


def test_the_first_signal_stops_and_does_not_raise():
    lock, stopped = threading.Lock(), threading.Event()

    def stop():
        with lock:  # which the interrupted thread holds
            stopped.set()

    interrupts.stop_with(stop)
    with lock:
        send_signal()
    happened(stopped)


def test_the_second_signal_raises():
    interrupts.stop_with(lambda: None)
    send_signal()
    with pytest.raises(KeyboardInterrupt):
        send_signal()


def test_the_third_signal_ends_the_process(monkeypatch):
    codes, signals = [], []
    monkeypatch.setattr(os, "_exit", codes.append)
    monkeypatch.setattr(interrupts, "die", lambda: signals.append(interrupts.exit_code()))
    interrupts.stop_with(lambda: None)
    send_signal()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            send_signal()
    assert (signals, codes) == ([130], [130])


def test_the_exit_code_is_that_of_the_first_signal():
    assert interrupts.exit_code() == 130
    interrupts.stop_with(lambda: None)
    interrupts._on_signal(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        send_signal()
    assert interrupts.exit_code() == 128 + signal.SIGTERM


def test_a_signal_before_stop_with_is_raised_there_again():
    with pytest.raises(KeyboardInterrupt):
        send_signal()
    with pytest.raises(KeyboardInterrupt):
        interrupts.stop_with(lambda: None)
