"""The one bounded queue, with an end for threads and an end for an event loop.

A queue ends in one of: closed, failed, cancelled. What comes first counts, and what was put before the end is taken
before it shows. `asyncio` is imported by `room` and `take` alone.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from voice_cli.errors import Interrupted

Item = TypeVar("Item")

ITEM_COST = 64
"""Bytes that an item costs besides its content (CPython's object and its place in the deque), so that a queue of empty
or one-byte items is bounded, too."""


def cost_of(item: Any) -> int:
    """Return what an item counts for: its length, if it has one."""
    return ITEM_COST + (len(item) if hasattr(item, "__len__") else 0)


class TaskWaiters:
    """The tasks that wait for a change, of any event loop. Each call must hold the lock that guards the change."""

    def __init__(self) -> None:
        self._loops: dict[Any, Any] = {}
        """By event: its event loop."""

    def add(self) -> Any:
        """Return an `asyncio.Event` of the running event loop, which the next `notify_all` sets."""
        import asyncio

        event = asyncio.Event()
        self._loops[event] = asyncio.get_running_loop()
        return event

    def discard(self, event: Any) -> None:
        self._loops.pop(event, None)

    def notify_all(self) -> None:
        if self._loops:
            loops, self._loops = self._loops, {}
            for event, loop in loops.items():
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(event.set)


class BoundedQueue(Generic[Item]):
    """A queue between one producer and one consumer, each a thread or a task of an event loop.

    The producer calls `put` (a thread) or `put_nowait` and `room` (a task), then `close`. The consumer
    iterates or calls `get` (a thread), or awaits `take` (a task). `cancel` may be called by any thread, and in the
    middle of any of these: a stream cancels wherever it is garbage collected, so the lock is reentrant.
    """

    def __init__(self, capacity: int, cost: Callable[[Item], int] = cost_of) -> None:
        """Hold items of about `capacity` in all; `cost` says how much of it an item takes."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        self._capacity = capacity
        self._cost = cost
        self._items: deque[Item] = deque()
        self._held = 0
        self._ended = False
        self.cancelled = False
        """Whether items are refused because `cancel` was called. Only `cancel` sets it."""
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._tasks = TaskWaiters()

    @property
    def has_room(self) -> bool:
        """Whether less than the capacity is held, or the queue has ended. Any thread."""
        return self._held < self._capacity or self._ended or self.cancelled

    def put(self, item: Item) -> bool:
        """Add an item; wait first while the queue is full.

        An item larger than the capacity is added once the queue is empty; one that waits when the queue is closed is
        added at once. Returns False if the queue had ended or was cancelled: produce no more.
        """
        cost = self._cost(item)
        with self._changed:
            if self._ended:
                return False
            while self._items and self._held + cost > self._capacity and not (self.cancelled or self._ended):
                self._changed.wait()
            return self._add(item)

    def put_nowait(self, item: Item) -> bool:
        """Add an item, however full the queue is. Any thread."""
        with self._changed:
            return not self._ended and self._add(item)

    def _add(self, item: Item) -> bool:
        if self.cancelled:
            return False
        self._items.append(item)
        self._held += self._cost(item)
        self._notify()
        return True

    async def room(self) -> None:
        """Wait until `has_room`. For a task."""
        while True:
            with self._changed:
                if self.has_room:
                    return
                waiter = self._tasks.add()
            await waiter.wait()

    def close(self, error: BaseException | None = None) -> None:
        """End the queue: no more items follow. `error` is raised after the last item. Any thread."""
        with self._changed:
            if not (self._ended or self.cancelled):
                self._ended = True
                self._error = error
                self._notify()

    def cancel(self) -> None:
        """Drop all items; producers get False and consumers Interrupted. Any thread, any number of times.

        Nothing changes once the last item of an ended queue was taken.
        """
        with self._changed:
            if self._ended and not self._items:
                return
            self.cancelled = True
            self._items.clear()
            self._held = 0
            self._notify()

    def __iter__(self) -> "BoundedQueue[Item]":
        return self

    def __next__(self) -> Item:
        return self.get()

    def get(self, timeout: float | None = None) -> Item:
        """Return the next item, as iteration does; wait while there is none.

        Raises:
            TimeoutError: none arrived in `timeout` seconds.
            StopIteration: the queue was closed, and all items were taken.
            Interrupted: it was cancelled.
            BaseException: the error that it failed with.

        """
        items = self.get_many(1, timeout)
        if not items:
            raise StopIteration
        return items[0]

    def get_many(self, most: int, timeout: float | None = None) -> list[Item]:
        """Return the first item and those after it that have a cost of `most` with it; wait while there is none.

        An empty list: the queue was closed, and all items were taken. Raises as `get`.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_ready, timeout):
                raise TimeoutError
            if not self._items:
                self._raise_end()
                return []
            items: list[Item] = []
            taken = 0
            while self._items and (not items or taken + self._cost(self._items[0]) <= most):
                items.append(self._items.popleft())
                taken += self._cost(items[-1])
            self._held -= taken
            self._notify()
            return items

    async def take(self) -> list[Item]:
        """Return all items; wait while there are none. An empty list: the queue was closed. For a task.

        Raises:
            Interrupted: it was cancelled.
            BaseException: the error that it failed with.

        """
        while True:
            with self._changed:
                if self._is_ready():
                    if not self._items:
                        self._raise_end()
                    items = list(self._items)
                    self._items.clear()
                    self._held = 0
                    self._notify()
                    return items
                waiter = self._tasks.add()
            await waiter.wait()

    def _is_ready(self) -> bool:
        return bool(self._items) or self._ended or self.cancelled

    def _raise_end(self) -> None:
        if self.cancelled:
            raise Interrupted("the speech was cancelled")
        if self._error is not None:
            raise self._error

    def _notify(self) -> None:
        """Wake all threads and tasks that wait. The lock is held."""
        self._changed.notify_all()
        self._tasks.notify_all()
