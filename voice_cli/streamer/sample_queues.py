"""The queues between the generating thread and the readers: one for each sample of a batch, under one lock.

A sample's stream ends once: complete, failed or cancelled; what comes after changes nothing. The end is a state of the
queue and not an item in it, so a chunk cannot be mistaken for it, and no chunk can follow it.
"""

import queue
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

from voice_cli.errors import EngineError, Interrupted


class StreamTimeoutError(EngineError, TimeoutError):
    """No chunk arrived, or no reader made room for one, within the streamer's `timeout`. The call may be repeated."""


class Condition(threading.Condition):
    """A condition whose timeouts may be of any length."""

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX))


class SampleQueue:
    """The chunks of one sample: an item of `AudioStreamer.audio_queues`, with the reading side of a `queue.Queue`."""

    def __init__(self, batch: "SampleQueues", index: int) -> None:
        self.batch = batch
        self.index = index
        self.maxsize = batch.max_chunks or 0
        """The most chunks that are buffered; 0: no bound."""
        self.chunks: deque[Any] = deque()
        self.ended = False
        self.error: BaseException | None = None
        self._traceback: Any = None
        self.readable = batch.new_condition()
        self.writable = Condition(batch.lock)

    def qsize(self) -> int:
        return len(self.chunks)

    def empty(self) -> bool:
        return not self.chunks

    def full(self) -> bool:
        return 0 < self.maxsize <= len(self.chunks)

    # The signature is queue.Queue's.
    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next chunk, or `stop_signal` after the end, any number of times. Any thread.

        Raises:
            queue.Empty: no chunk arrived in `timeout` seconds, or none is buffered and `block` is False.
            Exception: the generation failed, and all chunks before were read.

        """
        with self.batch.lock:
            if not self.readable.wait_for(self.is_ready, timeout if block else 0.0):
                raise queue.Empty
            return self.take_or_stop()

    def get_nowait(self) -> Any:
        return self.get(block=False)

    # The lock is held in these.

    def is_ready(self) -> bool:
        return bool(self.chunks) or self.ended

    def has_room(self) -> bool:
        return self.ended or not self.full()

    def take(self) -> Any:
        """Return the next chunk; after the last one, raise StopIteration or the error. The queue must be ready."""
        if not self.chunks:
            if self.error is None:
                raise StopIteration
            raise self.error.with_traceback(self._traceback)  # else each raise would add its frames
        chunk = self.chunks.popleft()
        if self.maxsize:
            self.writable.notify_all()
        return chunk

    def take_or_stop(self) -> Any:
        try:
            return self.take()
        except StopIteration:
            return self.batch.stop_signal

    def end(self, error: BaseException | None) -> None:
        self.ended = True
        self.error = error
        self._traceback = error.__traceback__ if error is not None else None
        self.readable.notify_all()
        self.writable.notify_all()


class SampleQueues:
    """All queues of a batch. The lock is not held while a chunk is copied."""

    queue_class = SampleQueue

    def __init__(self, batch_size: int, max_chunks: int | None, stop_signal: object) -> None:
        self.max_chunks = max_chunks
        self.stop_signal = stop_signal
        self.lock = threading.RLock()
        self.readable = self.new_condition()
        self.queues = [self.queue_class(self, index) for index in range(batch_size)]

    def new_condition(self) -> Any:
        """Return what readers wait for."""
        return Condition(self.lock)

    @property
    def running(self) -> bool:
        """Whether a chunk can still reach a reader."""
        return not all(sample.ended for sample in self.queues)

    def active(self) -> set[int]:
        """Return the samples that are not read to their end."""
        return {sample.index for sample in self.queues if sample.chunks or not sample.ended}

    def put(self, sample: SampleQueue, chunk: Any, timeout: float | None) -> None:
        """Append the chunk, after waiting for room; drop it if the sample has ended.

        Raises:
            StreamTimeoutError: there was no room for `timeout` seconds; the chunk was not appended.

        """
        with self.lock:
            if not sample.has_room():
                self.wait_for_room(sample, timeout)
            if not sample.ended:
                sample.chunks.append(chunk)
                sample.readable.notify_all()
                self.readable.notify_all()

    def wait_for_room(self, sample: SampleQueue, timeout: float | None) -> None:
        """Wait until the sample's queue has room. The lock is held."""
        if not sample.writable.wait_for(sample.has_room, timeout):
            raise StreamTimeoutError(f"the queue was full for {timeout} s")

    def end(self, samples: Iterable[int], error: BaseException | None = None) -> None:
        """End those of the samples that have not ended."""
        with self.lock:
            for index in samples:
                if not self.queues[index].ended:
                    self.queues[index].end(error)
            self.readable.notify_all()

    def cancel(self) -> None:
        """Drop all buffered chunks, and end every stream that has not ended."""
        with self.lock:
            for sample in self.queues:
                if sample.error is None and (sample.chunks or not sample.ended):
                    sample.end(Interrupted("the speech was cancelled"))
                sample.chunks.clear()
            self.readable.notify_all()

    def is_ready(self) -> bool:
        return any(sample.chunks for sample in self.queues) or not self.running

    def take(self) -> dict[int, Any]:
        """Return a chunk of each sample that has one; if none has, raise as a sample's `take`.

        The batch must be ready, and the lock is held.
        """
        found = {sample.index: sample.take() for sample in self.queues if sample.chunks}
        if not found:
            next((sample for sample in self.queues if sample.error is not None), self.queues[0]).take()
        return found

    def read(self, source: "SampleQueue | SampleQueues", timeout: float | None) -> Any:
        """Return what the source has next; wait for it. Any thread.

        Raises:
            StopIteration: the stream is complete, and all of it was read.
            StreamTimeoutError: no chunk arrived for `timeout` seconds.
            Exception: the generation failed or was cancelled, and all chunks before were read.

        """
        with self.lock:
            if not source.readable.wait_for(source.is_ready, timeout):
                raise StreamTimeoutError(f"no chunk arrived for {timeout} s")
            return source.take()
