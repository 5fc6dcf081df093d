"""The bridge between an engine's thread and a stream's reader. Events step the threads; nothing sleeps."""

import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.backends.handoff import Handoff
from voice_cli.errors import EngineError, Interrupted

WAIT = 10.0
"""Seconds after which a step that should have come has not."""


class Waits:
    """A handoff that tells when one of its sides has begun to wait."""

    def __init__(self, capacity):
        self.handoff = Handoff(capacity)
        self.begun = threading.Semaphore(0)
        condition = self.handoff._changed
        wait = condition.wait

        def announced(timeout=None):
            # The lock is held: the other side cannot act before this one sleeps.
            self.begun.release()
            return wait(timeout)

        condition.wait = announced


def in_thread(work):
    """Run it, and give a function that joins it and hands over its result."""
    results = []

    def run():
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result():
        thread.join(WAIT)
        assert not thread.is_alive()
        return results[0]

    return result


@given(st.lists(st.binary(max_size=50)), st.integers(1, 200))
def test_everything_comes_in_order(chunks, capacity):
    handoff = Handoff(capacity)

    def produce():
        taken = [handoff.put(chunk) for chunk in chunks]
        handoff.close()
        return taken

    taken = in_thread(produce)
    assert list(handoff) == [chunk for chunk in chunks if chunk]
    assert all(taken())


def test_put_waits_while_it_is_full():
    waits = Waits(200)
    handoff = waits.handoff
    assert handoff.put(b"a" * 100)
    second = in_thread(lambda: handoff.put(b"b" * 100))
    assert waits.begun.acquire(timeout=WAIT)
    assert next(handoff) == b"a" * 100
    assert second() is True
    assert next(handoff) == b"b" * 100


def test_tiny_chunks_are_bounded_too():
    waits = Waits(6500)
    count = 0

    def produce():
        nonlocal count
        while waits.handoff.put(b"x"):
            count += 1

    done = in_thread(produce)
    assert waits.begun.acquire(timeout=WAIT)
    assert count == 100
    waits.handoff.cancel()
    done()


def test_a_chunk_larger_than_the_capacity_goes_in_alone():
    handoff = Handoff(10)
    assert handoff.put(b"x" * 1000)
    handoff.close()
    assert list(handoff) == [b"x" * 1000]


def test_the_reader_waits_for_a_chunk_and_for_the_end():
    waits = Waits(100)
    read = in_thread(lambda: list(waits.handoff))
    assert waits.begun.acquire(timeout=WAIT)
    waits.handoff.put(b"one")
    assert waits.begun.acquire(timeout=WAIT)
    waits.handoff.close()
    assert read() == [b"one"]


def test_an_error_comes_after_what_was_put_before_it():
    handoff = Handoff(1000)
    handoff.put(b"one")
    handoff.put(b"two")
    failure = EngineError("broken")
    handoff.fail(failure)
    assert [next(handoff), next(handoff)] == [b"one", b"two"]
    for _ in range(2):
        with pytest.raises(EngineError) as caught:
            next(handoff)
        assert caught.value is failure


def test_the_first_end_counts():
    handoff = Handoff(1000)
    handoff.close()
    handoff.fail(EngineError("late"))
    assert list(handoff) == []
    assert list(handoff) == []


def test_put_after_the_end_is_a_mistake():
    handoff = Handoff(1000)
    handoff.close()
    with pytest.raises(RuntimeError):
        handoff.put(b"late")


def test_cancel_wakes_a_waiting_writer():
    waits = Waits(100)
    waits.handoff.put(b"a" * 90)
    blocked = in_thread(lambda: waits.handoff.put(b"b" * 90))
    assert waits.begun.acquire(timeout=WAIT)
    waits.handoff.cancel()
    assert blocked() is False
    assert waits.handoff.cancelled
    assert waits.handoff.put(b"more") is False


def test_cancel_wakes_a_waiting_reader():
    waits = Waits(100)
    reading = in_thread(lambda: next(waits.handoff))
    assert waits.begun.acquire(timeout=WAIT)
    waits.handoff.cancel()
    assert isinstance(reading(), Interrupted)


def test_cancel_drops_what_waits():
    handoff = Handoff(1000)
    handoff.put(b"unheard")
    handoff.close()
    handoff.cancel()
    for _ in range(2):
        handoff.cancel()
        with pytest.raises(Interrupted):
            next(handoff)


def test_cancel_after_the_end_changes_nothing():
    handoff = Handoff(1000)
    handoff.put(b"heard")
    handoff.close()
    assert list(handoff) == [b"heard"]
    handoff.cancel()
    assert not handoff.cancelled
    assert list(handoff) == []


def test_cancel_may_come_from_the_garbage_collector_while_the_lock_is_held():
    handoff = Handoff(1000)

    class Dying:
        def __del__(self):
            handoff.cancel()

    cycle = Dying()
    cycle.self = cycle
    del cycle
    with handoff._changed:
        gc.collect()
    assert handoff.put(b"x") is False


def test_a_capacity_of_nothing_is_a_mistake():
    with pytest.raises(ValueError):
        Handoff(0)
