"""Between an engine's callback and a stream's iterator: bounded, one thread on each side.

An engine that calls back speaks faster than anybody listens. The handoff makes it wait once enough has been
made, and lets it go as soon as nobody will listen any more. What was put before the end is given first.
"""

import threading
from collections import deque

from voice_cli.errors import Interrupted

_CHUNK_COST = 64
"""Bytes that a chunk takes besides its data (CPython's bytes object and its place in the deque): a stream of
one-byte chunks is bounded, too."""


class Handoff:
    """A queue of chunks that ends in one of: closed, failed, cancelled. What comes first counts.

    One thread calls `put`, then `close` or `fail`; one thread iterates; `cancel` may come from any, and in
    the middle of either: a stream that is garbage collected cancels wherever it dies, so the lock is
    reentrant.
    """

    def __init__(self, capacity: int) -> None:
        """Hold about `capacity` bytes: for PCM, `format.frames(seconds) * format.frame_bytes`."""
        if capacity < 1:
            raise ValueError(f"a capacity of {capacity} bytes holds nothing")
        self._capacity = capacity
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._ended = False
        self._cancelled = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    @property
    def cancelled(self) -> bool:
        """Whether whatever is put from now on will be refused. Any thread."""
        return self._cancelled

    def put(self, data: bytes) -> bool:
        """Add a chunk, and wait first while it is full. False: cancelled, and the engine should stop.

        A chunk larger than the capacity goes in by itself. An empty one is dropped.

        Raises:
            RuntimeError: after `close` or `fail`.

        """
        cost = len(data) + _CHUNK_COST
        with self._changed:
            while self._chunks and self._held + cost > self._capacity and not self._cancelled:
                self._changed.wait()
            if self._cancelled:
                return False
            if self._ended:
                raise RuntimeError("a chunk was put after the end")
            if data:
                self._chunks.append(data)
                self._held += cost
                self._changed.notify_all()
            return True

    def close(self) -> None:
        """End it: nothing more will be put."""
        self._end(None)

    def fail(self, error: BaseException) -> None:
        """End it with an error, which is raised after the last chunk."""
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        with self._changed:
            if not self._ended:
                self._ended = True
                self._error = error
                self._changed.notify_all()

    def cancel(self) -> None:
        """Drop what waits, and wake both sides: `put` gives False, iteration raises Interrupted.

        Any thread, any number of times. Once the last chunk of an ended handoff is given it changes nothing.
        """
        with self._changed:
            if self._ended and not self._chunks:
                return
            self._cancelled = True
            self._chunks.clear()
            self._held = 0
            self._changed.notify_all()

    def __iter__(self) -> "Handoff":
        return self

    def __next__(self) -> bytes:
        """Return the next chunk; wait while there is none.

        Raises:
            StopIteration: closed, and all was given.
            Interrupted: cancelled.

        """
        with self._changed:
            while not (self._chunks or self._ended or self._cancelled):
                self._changed.wait()
            if self._cancelled:
                raise Interrupted("the speech was cancelled")
            if self._chunks:
                data = self._chunks.popleft()
                self._held -= len(data) + _CHUNK_COST
                self._changed.notify_all()
                return data
            if self._error is not None:
                raise self._error
            raise StopIteration
