"""The streamer for threads: a generating thread puts, any other thread iterates."""

import contextlib
import math
import operator
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from voice_cli.pcm import samples as chunks
from voice_cli.streamer.exchange import Exchange, SampleQueue, Sign


class AudioStreamer:
    """Hand audio chunks from the thread that generates them to whoever plays or sends them, as they come.

    Give it to a model as `generate(audio_streamer=…, stop_check_fn=streamer.stop_check_fn)`: the model
    calls `put` for every chunk, and `end`. It has `put` and `end` of
    `transformers.generation.BaseStreamer`, without its import.

    A sample's stream ends once, in one of three ways: complete (`end`), failed (`fail`), cancelled
    (`cancel`). The first counts. Readers get every chunk that was put before the end, in order, and then
    StopIteration, the failure, or Interrupted; so does every reader that comes later, at once. Leave a
    `with streamer:` early, and the generation is cancelled.

    Every method may be called from any thread, but not from a signal handler: it would wait for the lock
    that the code under it holds. `put` alone waits, and only where `max_chunks` is given.
    """

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
            stop_signal: what `audio_queues[i].get()` gives at the end, to those who read the queues
                themselves. It is compared with nothing, so it may be anything, and a chunk may equal it.
            timeout: seconds that a reader waits for the next chunk, and `put` for room, before
                StreamTimeoutError. None: for as long as it takes.
            max_chunks: the most chunks of one sample that wait to be read; `put` waits for room beyond
                that. None: no bound.

        Raises:
            ValueError: one of the numbers is out of its range.

        """
        self.batch_size = _at_least_one("batch_size", batch_size)
        """Samples in the batch."""
        self.stop_signal = stop_signal
        self.timeout = timeout
        """Seconds; may be changed, for the waits that begin later."""
        if timeout is not None and (math.isnan(timeout) or timeout < 0):
            raise ValueError(f"timeout is a number of seconds, not {timeout}")
        self.max_chunks = None if max_chunks is None else _at_least_one("max_chunks", max_chunks)
        self.exchange = self._new_exchange()
        """What readers and `put` share; not for users."""
        self.audio_queues: list[SampleQueue] = self.exchange.queues
        """A queue for each sample."""
        self.sample_indices_map: dict[int, int] = {index: index for index in range(self.batch_size)}
        """The place in `audio_queues` of each sample."""

    def _new_exchange(self) -> Exchange:
        return Exchange(self.batch_size, self.max_chunks, self.stop_signal)

    @property
    def finished_flags(self) -> list[bool]:
        """Whether each sample's stream has ended, read or not. A copy: to end one, call `end`.

        VibeVoice's long-form model stops at its next step where any of them is set.
        """
        return [sample.ended for sample in self.audio_queues]

    def put(self, audio_chunks: Any, sample_indices: Any) -> None:
        """Hand over the next chunk of some samples. The generating thread calls it.

        The chunks are copied: buffers may be reused as soon as it returns. They are handed over one by one,
        in order; where one has to wait for room, those before it are already with their readers. For a
        sample that has ended it does nothing: models go on to the end of their window after they have
        called `end`. The end of a sample, from any thread, also releases a `put` that waits for it, whose
        chunk is dropped.

        Args:
            audio_chunks: `(samples, ...)`: a torch tensor of any type, on any device, an array, or a list
                of chunks. Read back, a tensor is on the CPU, detached, and float32 if it was of half
                precision.
            sample_indices: whose they are: a number, or a list, array or tensor of 0 to 2 dimensions. With
                a number, `audio_chunks` may be the one chunk itself.

        Raises:
            SampleIndexError: an index is not in the batch. Nothing was handed over.
            TypeError: an index is no integer. Likewise.
            ValueError: there are not as many chunks as indices. Likewise.
            StreamTimeoutError: no reader made room for `timeout` seconds. This chunk was not handed over.

        """
        for number, row in chunks.rows(audio_chunks, sample_indices, self.batch_size):
            sample = self.audio_queues[number]
            if not sample.ended:  # a look ahead, to spare the copy; what counts is asked under the lock
                self.exchange.put(sample, chunks.own(row), self.timeout)

    def end(self, sample_indices: Any = None) -> None:
        """Say that no more chunks come: of these samples, or of all. The generating thread, or any other.

        Never waits. A second end, or one after a failure, does nothing.

        Raises:
            SampleIndexError, TypeError: see `put`. Nothing was ended.

        """
        if sample_indices is None:
            self.exchange.finish(range(self.batch_size))
        else:
            self.exchange.finish(chunks.sample_numbers(sample_indices, self.batch_size))

    def fail(self, exc: BaseException) -> None:
        """Say that the generation failed: readers get what was put, and then this exception. Never waits.

        An exception that means something else to whoever iterates (StopIteration) or is no Exception
        (KeyboardInterrupt, CancelledError) reaches them as a RuntimeError that has it as its cause. Samples
        that have ended stay as they are.
        """
        if not isinstance(exc, BaseException):
            raise TypeError(f"fail takes an exception, not {exc!r}")
        self.exchange.finish(range(self.batch_size), _for_readers(exc))

    @contextlib.contextmanager
    def generating(self) -> Iterator[Self]:
        """Put this around `generate` in the generating thread: however it is left, the readers learn of it.

        Calls `end`, or `fail` with the exception, which goes on to the caller.
        """
        try:
            yield self
        except BaseException as exc:
            self.fail(exc)
            raise
        self.end()

    def cancel(self) -> None:
        """Call the generation off: drop the chunks not yet read, release a waiting `put`, let
        `stop_check_fn` be true.

        Never waits: the generating thread notices at its next step. Readers of a stream that lost by it get
        Interrupted; one that was complete and read to its end stays so. A second cancel does nothing.
        """
        self.exchange.cancel()

    def close(self) -> None:
        """Do without the rest: `cancel`, as `with streamer:` and `contextlib.closing` call it."""
        self.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def stop_check_fn(self) -> bool:
        """Whether the generation may stop, since no chunk would reach anybody: cancelled, or ended from
        outside.

        Hand it to `generate(stop_check_fn=…)`: the Realtime model looks at nothing else. Any thread; never
        waits.
        """
        return not self.exchange.running

    def get_stream(self, sample_idx: int) -> "AudioSampleIterator":
        """Give an iterator over the chunks of one sample.

        Raises:
            SampleIndexError: it is not in the batch.

        """
        return AudioSampleIterator(self, sample_idx)

    def __iter__(self) -> Iterator[dict[int, Any]]:
        return AudioBatchIterator(self)


class AudioSampleIterator:
    """The chunks of one sample, in order, until its stream ends.

    Several readers of one sample, or of one sample and of the batch, share its chunks: each chunk goes to
    one of them, the first to ask. Every one of them comes to the end. Any thread may call `next`.
    """

    def __init__(self, streamer: AudioStreamer, sample_idx: int) -> None:
        self.streamer = streamer
        self.sample_idx = chunks.sample_number(sample_idx, streamer.batch_size)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """Wait for the next chunk.

        Raises:
            StopIteration: the generation is complete, and all of it is read.
            StreamTimeoutError: nothing came for the streamer's `timeout`; `next` may be called again.
            Interrupted: it was cancelled.
            Exception: it failed with this, and all that came before is read.

        """
        streamer = self.streamer
        found = streamer.exchange.read(streamer.audio_queues[self.sample_idx], streamer.timeout)
        if found is Sign.END:
            raise StopIteration
        return found


class AudioBatchIterator:
    """What has come of all samples, as `{sample_idx: chunk}`, until every stream has ended.

    Each step waits until some sample has a chunk, and takes one chunk of each that has, in the order of their
    numbers: samples that are ahead wait for nobody, and nobody for them. See `AudioSampleIterator` for
    several readers.
    """

    def __init__(self, streamer: AudioStreamer) -> None:
        self.streamer = streamer

    @property
    def active_samples(self) -> set[int]:
        """The samples of which something may still come."""
        return self.streamer.exchange.active()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> dict[int, Any]:
        """Wait for the next chunks.

        Raises:
            StopIteration, StreamTimeoutError, Interrupted, Exception: see `AudioSampleIterator`; a failure
            comes once
                every chunk of every sample is read.

        """
        exchange = self.streamer.exchange
        found: dict[int, Any] | Sign = exchange.read(exchange, self.streamer.timeout)
        if isinstance(found, Sign):
            raise StopIteration
        return found


def _at_least_one(name: str, value: int) -> int:
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} is 1 or more, not {number}")
    return number


def _for_readers(exc: BaseException) -> BaseException:
    # Raised as it is, StopIteration would tell a reader that all is well (PEP 479), CancelledError that its
    # own task is to end, and KeyboardInterrupt would take an event loop down.
    if isinstance(exc, Exception) and not isinstance(exc, StopIteration | StopAsyncIteration):
        return exc
    error = RuntimeError(f"the generation was left by {exc!r}")
    error.__cause__ = exc
    return error
