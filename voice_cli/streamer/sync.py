"""The streamer for threads: a generating thread puts, any other thread iterates."""

import contextlib
import math
import operator
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from voice_cli.pcm import samples as chunks
from voice_cli.streamer.sample_queues import SampleQueue, SampleQueues


class AudioStreamer:
    """Pass audio chunks from the thread that generates them to the threads that play or send them.

    Pass it to a model as `generate(audio_streamer=…, stop_check_fn=streamer.stop_check_fn)`: the model calls `put` for
    every chunk, and `end`. It has `put` and `end` of `transformers.generation.BaseStreamer`, without its import.

    A sample's stream ends once, in one of three ways: complete (`end`), failed (`fail`), cancelled (`cancel`). Readers
    get every chunk that was put before the end, in order, and then StopIteration, the failure, or Interrupted; so does
    every later reader, at once. `with streamer:` cancels the generation if it is left early.

    Every method may be called from any thread, but not from a signal handler, since it takes a lock. Only `put` waits,
    and only with `max_chunks`.
    """

    _queues_class = SampleQueues

    def __init__(
        self,
        batch_size: int,
        stop_signal: object = None,
        timeout: float | None = None,
        *,
        max_chunks: int | None = None,
    ) -> None:
        """Make the queues.

        Args:
            batch_size: how many samples are generated together; VibeVoice's Realtime model takes 1.
            stop_signal: what `audio_queues[i].get()` returns at the end. It is compared with nothing, so it may be
                anything, and a chunk may equal it.
            timeout: seconds that a reader waits for the next chunk, and `put` for room, before StreamTimeoutError;
                None: no limit.
            max_chunks: the most chunks of one sample that are buffered; `put` then waits for room. None: no bound.

        Raises:
            ValueError: one of the numbers is out of its range.

        """
        self.batch_size = _at_least_one("batch_size", batch_size)
        """Samples in the batch."""
        self.stop_signal = stop_signal
        self.timeout = timeout
        """Seconds; may be changed, for the waits that begin later."""
        if timeout is not None and (math.isnan(timeout) or timeout < 0):
            raise ValueError(f"timeout must be a number of seconds, not {timeout}")
        self.max_chunks = None if max_chunks is None else _at_least_one("max_chunks", max_chunks)
        self.batch = self._queues_class(self.batch_size, self.max_chunks, stop_signal)
        """What readers and `put` share; not for users."""
        self.audio_queues: list[SampleQueue] = self.batch.queues
        """A queue for each sample."""
        self.sample_indices_map: dict[int, int] = {index: index for index in range(self.batch_size)}
        """The place in `audio_queues` of each sample."""

    @property
    def finished_flags(self) -> list[bool]:
        """Whether each sample's stream has ended, read or not. A copy: to end one, call `end`.

        VibeVoice's long-form model stops at its next step if any of them is set.
        """
        return [sample.ended for sample in self.audio_queues]

    def put(self, audio_chunks: Any, sample_indices: Any) -> None:
        """Copy the next chunk of some samples to their queues, in order. The generating thread calls it.

        A chunk of a sample that has ended, or ends while `put` waits for room, is dropped: models go on to the end of
        their window after they have called `end`.

        Args:
            audio_chunks: `(samples, ...)`: a torch tensor of any type, on any device, an array, or a list of chunks. A
                tensor is read back on the CPU, detached, and as float32 if it was of half precision.
            sample_indices: the samples: a number, or a list, array or tensor of 0 to 2 dimensions. With a number,
                `audio_chunks` may be the one chunk itself.

        Raises:
            SampleIndexError: an index is not in the batch. No chunk was put.
            TypeError: an index is not an integer. No chunk was put.
            ValueError: there are not as many chunks as indices. No chunk was put.
            StreamTimeoutError: there was no room for `timeout` seconds. The chunks before this one were put.

        """
        for number, row in chunks.rows(audio_chunks, sample_indices, self.batch_size):
            sample = self.audio_queues[number]
            if not sample.ended:  # spares the copy; checked again under the lock
                self.batch.put(sample, chunks.own(row), self.timeout)

    def end(self, sample_indices: Any = None) -> None:
        """Mark the streams of these samples, or of all, as complete. Never waits.

        Raises:
            SampleIndexError, TypeError: see `put`. No stream was ended.

        """
        every = range(self.batch_size)
        self.batch.end(every if sample_indices is None else chunks.sample_numbers(sample_indices, self.batch_size))

    def fail(self, exc: BaseException) -> None:
        """End all streams that have not ended with an exception, which readers get after the last chunk. Never waits.

        StopIteration, and what is no Exception (KeyboardInterrupt, CancelledError), mean something else to a reader:
        they are raised as a RuntimeError with the original as its cause.
        """
        if not isinstance(exc, BaseException):
            raise TypeError(f"fail takes an exception, not {exc!r}")
        self.batch.end(range(self.batch_size), _for_readers(exc))

    @contextlib.contextmanager
    def generating(self) -> Iterator[Self]:
        """Call `end` when the block is left, or `fail` with its exception, which is raised again.

        For the generating thread, around `generate`.
        """
        try:
            yield self
        except BaseException as exc:
            self.fail(exc)
            raise
        self.end()

    def cancel(self) -> None:
        """Cancel the generation: drop the buffered chunks, release a waiting `put`, make `stop_check_fn` return True.

        Never waits: the generating thread stops at its next step. Readers get Interrupted, except of a stream that was
        complete and read to its end.
        """
        self.batch.cancel()

    def close(self) -> None:
        """Cancel, for `contextlib.closing`."""
        self.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def stop_check_fn(self) -> bool:
        """Return whether the generation may stop, because all streams have ended. Any thread; never waits.

        Pass it to `generate(stop_check_fn=…)`: the Realtime model checks nothing else.
        """
        return not self.batch.running

    def get_stream(self, sample_idx: int) -> "AudioSampleIterator":
        """Return an iterator over the chunks of one sample.

        Raises:
            SampleIndexError: it is not in the batch.

        """
        return AudioSampleIterator(self, sample_idx)

    def __iter__(self) -> Iterator[dict[int, Any]]:
        return AudioBatchIterator(self)


class AudioSampleIterator:
    """The chunks of one sample, in order, until its stream ends.

    Several readers of one sample, or of one sample and of the batch, share its chunks: each chunk goes to the first
    reader that asks. All of them get the end. Any thread may call `next`.
    """

    def __init__(self, streamer: AudioStreamer, sample_idx: int) -> None:
        self.streamer = streamer
        self.sample_idx = chunks.sample_number(sample_idx, streamer.batch_size)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Return the next chunk; wait for it.

        Raises:
            StopIteration: the generation is complete, and all of it was read.
            StreamTimeoutError: no chunk arrived within the streamer's `timeout`; `next` may be called again.
            Interrupted: it was cancelled.
            Exception: it failed with this, and all chunks before were read.

        """
        streamer = self.streamer
        return streamer.batch.read(streamer.audio_queues[self.sample_idx], streamer.timeout)


class BatchReader:
    """The part of a batch's iterators that does not wait."""

    def __init__(self, streamer: AudioStreamer) -> None:
        self.streamer = streamer

    @property
    def active_samples(self) -> set[int]:
        """The samples that are not read to their end."""
        return self.streamer.batch.active()


class AudioBatchIterator(BatchReader):
    """The chunks of all samples, as `{sample_idx: chunk}`, until every stream has ended.

    Each step waits until a sample has a chunk, and takes one chunk of each sample that has one, in the order of their
    numbers: no sample waits for another. See `AudioSampleIterator` for several readers.
    """

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[int, Any]:
        """Return the next chunks; wait for them. Raises what `AudioSampleIterator` does, after all chunks were read."""
        batch = self.streamer.batch
        found: dict[int, Any] = batch.read(batch, self.streamer.timeout)
        return found


def _at_least_one(name: str, value: int) -> int:
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, not {number}")
    return number


def _for_readers(exc: BaseException) -> BaseException:
    # Raised unchanged, StopIteration would look like a complete stream (PEP 479), CancelledError would cancel the
    # reader's own task, and KeyboardInterrupt would stop an event loop.
    if isinstance(exc, Exception) and not isinstance(exc, StopIteration | StopAsyncIteration):
        return exc
    error = RuntimeError(f"the generation was left by {exc!r}")
    error.__cause__ = exc
    return error
