"""From the thread that makes a stream to the event loop that sends it: bounded, and never waited for by the loop."""

import asyncio
import contextlib
import threading
from collections import deque
from typing import Any

from voice_cli.errors import Interrupted


class Channel:
    """A queue of items that ends in one of: closed, failed, cancelled. What was put before the end is given first.

    One thread calls `put`, then `close` or `fail`; one coroutine calls `take`; `cancel` may come from anywhere.
    """

    def __init__(self, capacity: int) -> None:
        """Hold items of about `capacity` bytes. Made inside the event loop that will take them."""
        self._capacity = capacity
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._items: deque[Any] = deque()
        self._held = 0
        self._ended = False
        self._cancelled = False
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: Any, size: int = 0) -> bool:
        """Add an item of that many bytes, and wait first while there is no room. False: cancelled, make no more."""
        with self._changed:
            while self._items and self._held + size > self._capacity and not self._cancelled:
                self._changed.wait()
            if self._cancelled:
                return False
            self._items.append(item)
            self._held += size
            waiter, self._waiter = self._waiter, None
        self._wake(waiter)
        return True

    def close(self) -> None:
        """End it: nothing more will be put."""
        self._end(None)

    def fail(self, error: BaseException) -> None:
        """End it with an error, which is raised after the last item."""
        self._end(error)

    def cancel(self) -> None:
        """Drop what waits; `put` gives False and `take` raises Interrupted. Any thread, any number of times."""
        with self._changed:
            if self._ended and not self._items:
                return
            self._cancelled = True
            self._items.clear()
            self._held = 0
            self._changed.notify_all()
            waiter, self._waiter = self._waiter, None
        self._wake(waiter)

    async def take(self) -> list[Any]:
        """Give all that waits; wait while there is nothing. Empty: it is over.

        Raises:
            Interrupted: it was cancelled.

        """
        while True:
            with self._changed:
                if self._cancelled:
                    raise Interrupted("the speech was cancelled")
                if self._items:
                    items = list(self._items)
                    self._items.clear()
                    self._held = 0
                    self._changed.notify_all()
                    return items
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return []
                self._waiter = waiter = self._loop.create_future()
            await waiter

    def _end(self, error: BaseException | None) -> None:
        with self._changed:
            if self._ended:
                return
            self._ended = True
            self._error = error
            waiter, self._waiter = self._waiter, None
        self._wake(waiter)

    def _wake(self, waiter: "asyncio.Future[None] | None") -> None:
        if waiter is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, waiter)


def _settle(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
