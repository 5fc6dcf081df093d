"""The bounded queue between a thread and an event loop. Events step the threads."""

import asyncio
import contextlib
import random
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.loops import run
from support.threads import WAIT, in_thread
from voice_cli.errors import EngineError, Interrupted
from voice_cli.queues import BoundedQueue


class Channel(BoundedQueue):
    """A queue of items with explicit sizes."""

    def __init__(self, capacity):
        super().__init__(capacity, lambda item: item[1])

    def put(self, item, size=0):
        return super().put((item, size))

    async def take(self):
        return [item for item, _ in await super().take()]


class Waits:
    """A channel that reports when its writer has begun to wait. Create it inside a loop."""

    def __init__(self, capacity):
        self.channel = Channel(capacity)
        self.begun = threading.Semaphore(0)
        condition = self.channel._changed
        wait = condition.wait

        def announced(timeout=None):
            self.begun.release()  # the lock is held, so the other side cannot act before this one sleeps
            return wait(timeout)

        condition.wait = announced

    async def writer_waits(self):
        assert await asyncio.to_thread(self.begun.acquire, timeout=WAIT)


async def taken(channel):
    """Return all items up to the end."""
    items = []
    while more := await channel.take():
        items += more
    return items


@given(st.lists(st.tuples(st.integers(), st.integers(0, 50))), st.integers(1, 100))
def test_items_are_taken_in_order(items, capacity):
    async def main():
        channel = Channel(capacity)

        def produce():
            put = [channel.put(item, item[1]) for item in items]
            channel.close()
            return put

        made = in_thread(produce)
        assert await taken(channel) == items
        assert await channel.take() == []
        assert all(made())

    run(main)


def test_put_waits_while_the_queue_is_full():
    async def main():
        waits = Waits(200)
        assert waits.channel.put("a", 100)
        assert waits.channel.put("b", 100)
        third = in_thread(lambda: waits.channel.put("c", 1))
        await waits.writer_waits()
        assert await waits.channel.take() == ["a", "b"]
        assert third() is True
        assert await waits.channel.take() == ["c"]

    run(main)


def test_item_larger_than_the_capacity_is_put_alone():
    async def main():
        waits = Waits(10)
        assert waits.channel.put("large", 1000)
        second = in_thread(lambda: waits.channel.put("small", 1))
        await waits.writer_waits()
        assert await waits.channel.take() == ["large"]
        assert second() is True

    run(main)


def test_item_without_size_needs_no_room():
    async def main():
        channel = Channel(10)
        assert channel.put("full", 10)
        assert channel.put("an event")
        assert await channel.take() == ["full", "an event"]

    run(main)


@pytest.mark.parametrize("end", ["close", "fail", "put", "cancel"])
def test_take_waits_for_the_next_event(end):
    async def main():
        channel = Channel(10)
        taking = asyncio.create_task(channel.take())
        await asyncio.sleep(0)
        assert not taking.done()
        act = {
            "close": channel.close,
            "fail": lambda: channel.close(EngineError("broken")),
            "put": lambda: channel.put("one"),
            "cancel": channel.cancel,
        }[end]
        in_thread(act)()
        if end == "fail":
            with pytest.raises(EngineError, match="broken"):
                await taking
        elif end == "cancel":
            with pytest.raises(Interrupted):
                await taking
        else:
            assert await taking == ([] if end == "close" else ["one"])

    run(main)


def test_error_follows_the_items_before_it():
    async def main():
        channel = Channel(10)
        channel.put("one")
        failure = EngineError("broken")
        channel.close(failure)
        assert await channel.take() == ["one"]
        for _ in range(2):
            with pytest.raises(EngineError) as caught:
                await channel.take()
            assert caught.value is failure

    run(main)


def test_second_close_has_no_effect():
    async def main():
        channel = Channel(10)
        channel.close()
        channel.close(EngineError("late"))
        assert await channel.take() == []

    run(main)


def test_cancel_drops_queued_items():
    async def main():
        channel = Channel(10)
        channel.put("unheard")
        channel.close()
        channel.cancel()
        channel.cancel()
        assert channel.put("more") is False
        for _ in range(2):
            with pytest.raises(Interrupted):
                await channel.take()

    run(main)


def test_cancel_wakes_a_waiting_writer():
    async def main():
        waits = Waits(10)
        waits.channel.put("a", 10)
        blocked = in_thread(lambda: waits.channel.put("b", 10))
        await waits.writer_waits()
        waits.channel.cancel()
        assert blocked() is False

    run(main)


@pytest.mark.parametrize("error", [None, EngineError("broken")])
def test_cancel_after_the_end_has_no_effect(error):
    async def main():
        channel = Channel(10)
        channel.put("heard")
        channel.close(error)
        assert await channel.take() == ["heard"]
        channel.cancel()
        if error is None:
            assert await channel.take() == []
        else:
            with pytest.raises(EngineError):
                await channel.take()

    run(main)


def test_cancelled_take_loses_nothing():
    async def main():
        channel = Channel(10)
        taking = asyncio.create_task(channel.take())
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        channel.put("one")
        assert await channel.take() == ["one"]

    run(main)


def test_take_cancelled_while_an_item_arrives_loses_nothing():
    async def main():
        channel = Channel(10)
        taking = asyncio.create_task(channel.take())
        await asyncio.sleep(0)
        channel.put("one")  # the waiter is notified in the loop's next iteration
        await asyncio.sleep(0)
        taking.cancel()  # and cancelled in the same one
        with contextlib.suppress(asyncio.CancelledError):
            assert await taking == ["one"]
            return
        assert await channel.take() == ["one"]

    run(main)


def test_queue_may_outlive_the_loop():
    async def main():
        channel = Channel(10)
        taking = asyncio.ensure_future(channel.take())
        await asyncio.sleep(0)
        return channel, taking

    channel, _ = run(main)
    assert channel.put("unread")
    channel.close()
    channel.cancel()
    assert channel.put("more") is False


@settings(max_examples=150)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=60),
    capacity=st.integers(1, 60),
    end=st.sampled_from(["close", "fail"]),
    cancel_after=st.none() | st.integers(0, 60),
    seed=st.integers(0, 2**16),
)
def test_any_thread_schedule_keeps_the_order(sizes, capacity, end, cancel_after, seed):
    """Items are taken once and in order, all of them unless cancelled, and no thread hangs."""
    given_up = random.Random(seed)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    async def main():
        channel = Channel(capacity)
        failure = EngineError("broken")

        def produce():
            count = 0
            for index, size in enumerate(sizes):
                if index == cancel_after:
                    in_thread(channel.cancel)
                if not channel.put(index, size):
                    break
                count += 1
            channel.close() if end == "close" else channel.close(failure)
            return count

        made = in_thread(produce)
        items = []
        outcome = None
        while outcome is None:
            taking = asyncio.ensure_future(channel.take())
            if given_up.random() < 0.3:
                await asyncio.sleep(0)
                taking.cancel()
            try:
                more = await taking
                items += more
                outcome = None if more else "closed"
            except asyncio.CancelledError:
                continue
            except EngineError:
                outcome = "failed"
            except Interrupted:
                outcome = "cancelled"
        count = made()
        assert items == list(range(len(items)))
        if outcome == "cancelled":
            assert cancel_after is not None
            assert len(items) <= count
        else:
            assert outcome == ("closed" if end == "close" else "failed")
            assert len(items) == count == len(sizes)

    try:
        run(main)
    finally:
        sys.setswitchinterval(interval)
