"""The bounded queue between two threads. Events step the threads; no test sleeps."""

import gc
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.threads import WAIT, in_thread
from voice_cli.errors import EngineError, Interrupted
from voice_cli.queues import BoundedQueue


class Waits:
    """A queue that reports when one of its sides has begun to wait."""

    def __init__(self, capacity):
        self.queue = BoundedQueue(capacity)
        self.begun = threading.Semaphore(0)
        condition = self.queue._changed
        wait = condition.wait

        def announced(timeout=None):
            # The lock is held, so the other side cannot act before this one sleeps.
            self.begun.release()
            return wait(timeout)

        condition.wait = announced


@given(st.lists(st.binary(max_size=50)), st.integers(1, 200))
def test_items_are_read_in_order(chunks, capacity):
    queue = BoundedQueue(capacity)

    def produce():
        taken = [queue.put(chunk) for chunk in chunks]
        queue.close()
        return taken

    taken = in_thread(produce)
    assert list(queue) == chunks
    assert all(taken())


def test_several_items_are_read_at_once_up_to_a_cost():
    queue = BoundedQueue(100, cost=len)
    for item in (b"aa", b"bbb", b"c", b"ddddddd"):
        queue.put(item)
    queue.close()
    assert [queue.get_many(5) for _ in range(4)] == [[b"aa", b"bbb"], [b"c"], [b"ddddddd"], []]


def test_put_waits_while_the_queue_is_full():
    waits = Waits(200)
    queue = waits.queue
    assert queue.put(b"a" * 100)
    second = in_thread(lambda: queue.put(b"b" * 100))
    assert waits.begun.acquire(timeout=WAIT)
    assert next(queue) == b"a" * 100
    assert second() is True
    assert next(queue) == b"b" * 100


def test_tiny_chunks_are_bounded():
    waits = Waits(6500)
    count = 0

    def produce():
        nonlocal count
        while waits.queue.put(b"x"):
            count += 1

    done = in_thread(produce)
    assert waits.begun.acquire(timeout=WAIT)
    assert count == 100
    waits.queue.cancel()
    done()


def test_chunk_larger_than_the_capacity_is_put_alone():
    queue = BoundedQueue(10)
    assert queue.put(b"x" * 1000)
    queue.close()
    assert list(queue) == [b"x" * 1000]


def test_reader_waits_for_a_chunk_and_for_the_end():
    waits = Waits(100)
    read = in_thread(lambda: list(waits.queue))
    assert waits.begun.acquire(timeout=WAIT)
    waits.queue.put(b"one")
    assert waits.begun.acquire(timeout=WAIT)
    waits.queue.close()
    assert read() == [b"one"]


def test_error_follows_the_items_before_it():
    queue = BoundedQueue(1000)
    queue.put(b"one")
    queue.put(b"two")
    failure = EngineError("broken")
    queue.close(failure)
    assert [next(queue), next(queue)] == [b"one", b"two"]
    for _ in range(2):
        with pytest.raises(EngineError) as caught:
            next(queue)
        assert caught.value is failure


def test_second_close_has_no_effect():
    queue = BoundedQueue(1000)
    queue.close()
    queue.close(EngineError("late"))
    assert list(queue) == []
    assert list(queue) == []


def test_put_after_the_end_is_refused():
    queue = BoundedQueue(1000)
    queue.close()
    assert queue.put(b"late") is False
    assert queue.put_nowait(b"late") is False
    assert list(queue) == []


def test_waiting_item_is_added_when_the_queue_is_closed():
    waits = Waits(100)
    waits.queue.put(b"a" * 90)
    blocked = in_thread(lambda: waits.queue.put(b"b" * 90))
    assert waits.begun.acquire(timeout=WAIT)
    waits.queue.close()
    assert blocked() is True
    assert list(waits.queue) == [b"a" * 90, b"b" * 90]


def test_cancel_wakes_a_waiting_writer():
    waits = Waits(100)
    waits.queue.put(b"a" * 90)
    blocked = in_thread(lambda: waits.queue.put(b"b" * 90))
    assert waits.begun.acquire(timeout=WAIT)
    waits.queue.cancel()
    assert blocked() is False
    assert waits.queue.cancelled
    assert waits.queue.put(b"more") is False


def test_cancel_wakes_a_waiting_reader():
    waits = Waits(100)
    reading = in_thread(lambda: next(waits.queue))
    assert waits.begun.acquire(timeout=WAIT)
    waits.queue.cancel()
    assert isinstance(reading(), Interrupted)


def test_cancel_drops_queued_items():
    queue = BoundedQueue(1000)
    queue.put(b"unheard")
    queue.close()
    queue.cancel()
    for _ in range(2):
        queue.cancel()
        with pytest.raises(Interrupted):
            next(queue)


def test_cancel_after_the_end_has_no_effect():
    queue = BoundedQueue(1000)
    queue.put(b"heard")
    queue.close()
    assert list(queue) == [b"heard"]
    queue.cancel()
    assert not queue.cancelled
    assert list(queue) == []


def test_cancel_by_the_garbage_collector_while_the_lock_is_held():
    queue = BoundedQueue(1000)

    class Dying:
        def __del__(self):
            queue.cancel()

    cycle = Dying()
    cycle.self = cycle
    del cycle
    with queue._changed:
        gc.collect()
    assert queue.put(b"x") is False


def test_capacity_of_zero_is_a_value_error():
    with pytest.raises(ValueError):
        BoundedQueue(0)
