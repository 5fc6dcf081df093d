"""The bounded queue: between threads, and between a thread and an event loop. Events step the threads."""

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
    """A queue of items that each bring their size."""

    def __init__(self, capacity):
        super().__init__(capacity, lambda item: item[1])

    def put(self, item, size=0):
        return super().put((item, size))

    async def take(self):
        return [item for item, _ in await super().take()]


class Waits:
    """A channel that tells when its writer has begun to wait. Made inside a loop."""

    def __init__(self, capacity):
        self.channel = Channel(capacity)
        self.begun = threading.Semaphore(0)
        condition = self.channel._changed
        wait = condition.wait

        def announced(timeout=None):
            self.begun.release()  # the lock is held: the other side cannot act before this one sleeps
            return wait(timeout)

        condition.wait = announced

    async def writer_waits(self):
        assert await asyncio.to_thread(self.begun.acquire, timeout=WAIT)


async def taken(channel):
    """Take it all."""
    items = []
    while more := await channel.take():
        items += more
    return items


@given(st.lists(st.tuples(st.integers(), st.integers(0, 50))), st.integers(1, 100))
def test_everything_comes_in_order(items, capacity):
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


def test_put_waits_while_it_is_full():
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


def test_what_is_larger_than_it_goes_in_alone():
    async def main():
        waits = Waits(10)
        assert waits.channel.put("large", 1000)
        second = in_thread(lambda: waits.channel.put("small", 1))
        await waits.writer_waits()
        assert await waits.channel.take() == ["large"]
        assert second() is True

    run(main)


def test_what_has_no_size_needs_no_room():
    async def main():
        channel = Channel(10)
        assert channel.put("full", 10)
        assert channel.put("an event")
        assert await channel.take() == ["full", "an event"]

    run(main)


@pytest.mark.parametrize("end", ["close", "fail", "put", "cancel"])
def test_take_waits_for_what_comes_next(end):
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


def test_an_error_comes_after_what_was_put_before_it():
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


def test_the_first_end_counts():
    async def main():
        channel = Channel(10)
        channel.close()
        channel.close(EngineError("late"))
        assert await channel.take() == []

    run(main)


def test_cancel_drops_what_waits():
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
def test_cancel_after_the_end_changes_nothing(error):
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


def test_a_take_that_is_given_up_while_it_waits_loses_nothing():
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


def test_a_take_that_is_given_up_as_something_comes_loses_nothing():
    async def main():
        channel = Channel(10)
        taking = asyncio.create_task(channel.take())
        await asyncio.sleep(0)
        channel.put("one")  # its waiter is told in the next turn of the loop,
        await asyncio.sleep(0)
        taking.cancel()  # and given up in the same
        with contextlib.suppress(asyncio.CancelledError):
            assert await taking == ["one"]
            return
        assert await channel.take() == ["one"]

    run(main)


def test_whoever_makes_it_outlives_the_loop():
    async def main():
        channel = Channel(10)
        taking = asyncio.ensure_future(channel.take())
        await asyncio.sleep(0)
        return channel, taking

    channel, _ = run(main)
    assert channel.put("nobody takes it")
    channel.close()
    channel.cancel()
    assert channel.put("more") is False


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=60),
    capacity=st.integers(1, 60),
    end=st.sampled_from(["close", "fail"]),
    cancel_after=st.none() | st.integers(0, 60),
    seed=st.integers(0, 2**16),
)
def test_however_the_threads_fall_in_a_row(sizes, capacity, end, cancel_after, seed):
    """Items are taken in order and none twice; all of them, unless it was cancelled; and nobody hangs."""
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
