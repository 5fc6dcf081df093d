"""Between the generating thread and the readers: one lock a batch, a queue a sample, and the rules of both.

A sample's stream is *open* while chunks may come, then *ended* (complete, failed or cancelled), and
*drained* once its last chunk is taken. It ends once: what comes first counts, and what comes after changes
nothing. The end is a state of the queue, not a thing in it, so no chunk can be taken for it and no chunk
can come to lie behind it.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Protocol

from voice_cli.errors import EngineError, Interrupted


class StreamTimeoutError(EngineError, TimeoutError):
    """The other side did nothing for the streamer's `timeout`: no chunk came, or no reader made room for one.

    Nothing is lost by it: whoever waited may go on and wait again.
    """


class Sign(Enum):
    """What a look at a queue can find besides a chunk."""

    NOTHING = "nothing yet"
    END = "the end"


class Readers(Protocol):
    """Who waits for chunks: threads at a `Condition`, or futures of an event loop."""

    def notify_all(self) -> None:
        """Lock held, any thread: let all of them look again."""


class Condition(threading.Condition):
    """A condition that nobody waits for most of the time: to notify it then costs next to nothing."""

    waiting = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waiting += 1
        try:
            return super().wait(timeout)
        finally:
            self.waiting -= 1

    def notify_all(self) -> None:
        if self.waiting:
            super().notify_all()


class Source(Protocol):
    """What can be read: one sample's queue, or the batch of them."""

    readable: Readers

    def look(self) -> Any:
        """Lock held: take what is there now, or say with a `Sign` why nothing is."""


class SampleQueue:
    """The chunks of one sample: what `AudioStreamer.audio_queues` holds.

    To the outside it is the reading side of a `queue.Queue`; the streamer alone writes.
    """

    def __init__(self, exchange: "Exchange", index: int) -> None:
        self.exchange = exchange
        self.index = index
        self.maxsize = exchange.max_chunks or 0
        """The most chunks that wait in it; 0: no bound."""
        self.chunks: deque[Any] = deque()
        self.ended = False
        self.error: BaseException | None = None
        self.readable = exchange.new_readers()
        self.writable = Condition(exchange.lock)

    def qsize(self) -> int:
        """Count the chunks that wait to be read. Any thread."""
        return len(self.chunks)

    def empty(self) -> bool:
        return not self.chunks

    def full(self) -> bool:
        return 0 < self.maxsize <= len(self.chunks)

    # The signature is queue.Queue's.
    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next chunk, or `stop_signal` from the end on, as often as it is asked for. Any thread.

        Raises:
            queue.Empty: nothing came in `timeout` seconds, or nothing is there and `block` is False.
            Exception: the generation failed, and all that came before is read.

        """
        try:
            found = self.exchange.read(self, timeout if block else 0.0)
        except StreamTimeoutError as exc:
            if exc is self.error:  # the generation's own
                raise
            raise queue.Empty from None
        return self.exchange.stop_signal if found is Sign.END else found

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def look(self) -> Any:
        """Lock held: take the next chunk, or say with a `Sign` why there is none."""
        if self.chunks:
            return self.exchange.take(self)
        if not self.ended:
            return Sign.NOTHING
        if self.error is not None:
            raise self.exchange.reraised(self.error)
        return Sign.END


class Exchange:
    """All queues of one batch under one lock, which is never held while a chunk is copied or anyone waits."""

    def __init__(self, batch_size: int, max_chunks: int | None, stop_signal: object) -> None:
        self.max_chunks = max_chunks
        self.stop_signal = stop_signal
        self.clock: Callable[[], float] = time.monotonic
        self.lock = threading.Lock()
        self.readable = self.new_readers()
        self.queues = [self.new_queue(index) for index in range(batch_size)]
        # Kept as they change, so that a batch of a thousand is not searched for the one chunk that has come.
        self._with_chunks: set[int] = set()
        self._open = batch_size
        self._undrained = batch_size
        self._traceback: Any = None

    def new_readers(self) -> Any:
        return Condition(self.lock)

    def new_queue(self, index: int) -> SampleQueue:
        return SampleQueue(self, index)

    @property
    def running(self) -> bool:
        """Whether a chunk can still reach anybody."""
        return self._open > 0

    def active(self) -> set[int]:
        """Give the samples of which something may still be read."""
        return {sample.index for sample in self.queues if sample.chunks or not sample.ended}

    def put(self, sample: SampleQueue, chunk: Any, timeout: float | None) -> None:
        """Append the chunk, waiting for room; drop it if the sample ends, or has ended.

        Raises:
            StreamTimeoutError: there was no room for `timeout` seconds; the chunk is not in the queue.

        """
        with self.lock:
            deadline = None
            while not sample.ended and sample.full():
                if deadline is None and timeout is not None:
                    deadline = self.clock() + timeout
                self.pause(sample.writable, deadline, f"nobody took a chunk for {timeout} s")
            if sample.ended:
                return
            sample.chunks.append(chunk)
            self._with_chunks.add(sample.index)
            sample.readable.notify_all()
            self.readable.notify_all()

    def finish(self, samples: Iterable[int], error: BaseException | None = None) -> None:
        """End those of the samples that have not ended."""
        with self.lock:
            if error is not None and self._open:
                self._traceback = error.__traceback__
            for index in samples:
                self._end(self.queues[index], error)

    def cancel(self) -> None:
        """Drop every chunk that waits and end what has not ended; readers of what lost by it are told."""
        with self.lock:
            self.call_off()

    def call_off(self) -> None:
        """Lock held: see `cancel`."""
        for sample in self.queues:
            error = sample.error or Interrupted("the speech was cancelled")
            self._end(sample, error)
            if sample.chunks:
                sample.chunks.clear()
                sample.error = error
                self._drained(sample)

    def take(self, sample: SampleQueue) -> Any:
        """Lock held: take the first chunk, which must be there."""
        chunk = sample.chunks.popleft()
        if not sample.chunks:
            self._with_chunks.discard(sample.index)
            if sample.ended:
                self._drained(sample)
        if self.max_chunks is not None:
            sample.writable.notify_all()
        return chunk

    def look(self) -> Any:
        """Lock held: take a chunk of each sample that has one, or say with a `Sign` why there is none."""
        if self._with_chunks:
            return {index: self.take(self.queues[index]) for index in sorted(self._with_chunks)}
        if self._undrained:
            return Sign.NOTHING
        for sample in self.queues:
            if sample.error is not None:
                raise self.reraised(sample.error)
        return Sign.END

    def reraised(self, error: BaseException) -> BaseException:
        """Give the error with the traceback it came with: each raise would add its own frames to it."""
        return error.with_traceback(self._traceback if not isinstance(error, Interrupted) else None)

    def read(self, source: Source, timeout: float | None) -> Any:
        """Wait until there is something to take from the source, or its end.

        Raises:
            StreamTimeoutError: there was neither for `timeout` seconds.
            Exception: the generation failed or was cancelled, and all that came before is read.

        """
        with self.lock:
            deadline = None
            while (found := source.look()) is Sign.NOTHING:
                if deadline is None and timeout is not None:
                    deadline = self.clock() + timeout
                self.pause(source.readable, deadline, f"no chunk came for {timeout} s")
            return found

    def pause(self, condition: Any, deadline: float | None, complaint: str) -> None:
        """Lock held: give it up until the condition is notified or the deadline is there.

        Raises:
            StreamTimeoutError: the deadline has passed.

        """
        if deadline is None:
            condition.wait()
            return
        left = deadline - self.clock()
        if left <= 0:
            raise StreamTimeoutError(complaint)
        condition.wait(min(left, threading.TIMEOUT_MAX))

    def _end(self, sample: SampleQueue, error: BaseException | None) -> None:
        if sample.ended:
            return
        sample.ended = True
        sample.error = error
        self._open -= 1
        sample.readable.notify_all()
        sample.writable.notify_all()
        if not sample.chunks:
            self._drained(sample)

    def _drained(self, sample: SampleQueue) -> None:
        self._with_chunks.discard(sample.index)
        self._undrained -= 1
        if not self._undrained:
            self.readable.notify_all()
