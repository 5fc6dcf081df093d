"""The streamer for an event loop: a generating thread puts, tasks of the loop iterate.

Text in, PCM out over a WebSocket: the generation runs in a thread, the socket's back-pressure reaches the model, and a
disconnect cancels it::

    import asyncio
    import copy

    from voice_cli.streamer import AsyncAudioStreamer, to_pcm

    one_at_a_time = asyncio.Lock()  # a model holds one generation's state

    async def speak(websocket):
        text = (await websocket.recv()).strip()
        if not text:  # a blank text would be spoken to the model's maximum length
            return

        def generate(streamer):
            with streamer.generating():  # an exception in here reaches the loop below
                inputs = processor.process_input_with_cached_prompt(
                    text=text, cached_prompt=voice_prompt, return_tensors="pt"
                )
                model.generate(
                    **inputs,
                    audio_streamer=streamer,
                    stop_check_fn=streamer.stop_check_fn,
                    tokenizer=processor.tokenizer,
                    all_prefilled_outputs=copy.deepcopy(voice_prompt),  # the model writes into it
                )

        async with one_at_a_time:
            streamer = AsyncAudioStreamer(batch_size=1, max_chunks=8)
            generation = asyncio.create_task(asyncio.to_thread(generate, streamer))
            try:
                with streamer:  # left early, it cancels
                    async for chunk in streamer.get_stream(0):
                        await websocket.send(to_pcm(chunk))  # raises when the client has left
            finally:  # the next client gets the model when this thread has ended
                await asyncio.gather(generation, return_exceptions=True)

Serve it with `websockets.asyncio.server.serve(speak, "localhost", 8765)`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any, NoReturn, Self

from voice_cli.pcm import samples as chunks
from voice_cli.queues import TaskWaiters
from voice_cli.streamer.sample_queues import SampleQueue, SampleQueues, StreamTimeoutError
from voice_cli.streamer.sync import AudioStreamer, BatchReader

LOOP_CHECK_S = 1.0
"""Seconds between two checks of a waiting `put` whether the loop was closed, which sends no notification."""


class LoopQueue(SampleQueue):
    """The chunks of one sample, with the reading side of an `asyncio.Queue`."""

    # asyncio.Queue's signature, as queue.Queue's is the base's.
    async def get(self) -> Any:  # type: ignore[override]
        """Return the next chunk, or `stop_signal` after the end. A task of the loop."""
        try:
            return await _read(self.batch, self, None)
        except StopAsyncIteration:
            return self.batch.stop_signal

    def get_nowait(self) -> Any:
        """Return the next chunk, or `stop_signal` after the end.

        Raises:
            asyncio.QueueEmpty: no chunk is buffered.

        """
        with self.batch.lock:
            if not self.is_ready():
                raise asyncio.QueueEmpty
            return self.take_or_stop()


class LoopQueues(SampleQueues):
    """`SampleQueues` that tasks of a loop read, and a thread fills."""

    queue_class = LoopQueue

    def __init__(self, batch_size: int, max_chunks: int | None, stop_signal: object) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop_thread = threading.get_ident()
        super().__init__(batch_size, max_chunks, stop_signal)

    def new_condition(self) -> TaskWaiters:
        return TaskWaiters()

    @property
    def running(self) -> bool:
        return super().running and not self.loop.is_closed()

    def put(self, sample: SampleQueue, chunk: Any, timeout: float | None) -> None:
        if self.loop.is_closed():
            self.cancel()
        super().put(sample, chunk, timeout)

    def wait_for_room(self, sample: SampleQueue, timeout: float | None) -> None:
        """Wait until the sample's queue has room, or the loop is closed. The lock is held.

        Raises:
            StreamTimeoutError: there was no room for `timeout` seconds.
            RuntimeError: this is the loop's own thread, so that no reader could make room.

        """
        if threading.get_ident() == self.loop_thread:
            raise RuntimeError("put would wait for room in the event loop's thread (generate in another thread)")
        left = timeout
        while not sample.writable.wait_for(sample.has_room, LOOP_CHECK_S if left is None else min(LOOP_CHECK_S, left)):
            if self.loop.is_closed():
                self.cancel()
            elif left is not None:
                left -= LOOP_CHECK_S
                if left <= 0:
                    raise StreamTimeoutError(f"the queue was full for {timeout} s")


class AsyncAudioStreamer(AudioStreamer):
    """An `AudioStreamer` whose readers are tasks of the event loop it was made in.

    `put`, `end`, `fail`, `cancel`, `close`, `generating` and `stop_check_fn` are the same, and may be called from any
    thread. In the loop's thread, `put` raises RuntimeError instead of waiting. Closing the loop cancels the generation:
    `put` and `end` do not raise then.

    With `max_chunks`, use `with streamer:`: otherwise a waiting `put` may block its thread for ever, and `asyncio.run`
    waits for the threads of its executor.

    The constructor raises RuntimeError if its thread has no running event loop.
    """

    _queues_class = LoopQueues
    batch: LoopQueues

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop whose tasks read."""
        return self.batch.loop

    def get_stream(  # type: ignore[override]  # as documented: the same name, for `async for`
        self, sample_idx: int
    ) -> "AsyncAudioSampleIterator":
        """Return an async iterator over the chunks of one sample. Not a coroutine: it is not awaited.

        Raises:
            SampleIndexError: it is not in the batch.

        """
        return AsyncAudioSampleIterator(self, sample_idx)

    def __aiter__(self) -> AsyncIterator[dict[int, Any]]:
        return AsyncAudioBatchIterator(self)

    def __iter__(self) -> NoReturn:
        raise TypeError("an AsyncAudioStreamer is read by `async for`")


class AsyncAudioSampleIterator:
    """`AudioSampleIterator` for tasks. A pending `anext` may be cancelled: no chunk is lost."""

    def __init__(self, streamer: AsyncAudioStreamer, sample_idx: int) -> None:
        self.streamer = streamer
        self.sample_idx = chunks.sample_number(sample_idx, streamer.batch_size)
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Return the next chunk; wait for it.

        Raises:
            StopAsyncIteration: the generation is complete, and all of it was read.
            StreamTimeoutError, Interrupted, Exception: see `AudioSampleIterator`.

        """
        if self._closed:
            raise StopAsyncIteration
        streamer = self.streamer
        return await _read(streamer.batch, streamer.audio_queues[self.sample_idx], streamer.timeout)

    async def aclose(self) -> None:
        """Close this iterator, as an async generator is closed; the stream itself continues."""
        self._closed = True


class AsyncAudioBatchIterator(BatchReader):
    """`AudioBatchIterator` for tasks. A pending `anext` may be cancelled: no chunk is lost."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[int, Any]:
        """Return the next chunks; wait for them. Raises what `AsyncAudioSampleIterator` does."""
        batch = self.streamer.batch
        found: dict[int, Any] = await _read(batch, batch, self.streamer.timeout)
        return found


async def _read(batch: SampleQueues, source: SampleQueue | SampleQueues, seconds: float | None) -> Any:
    """Return what the source has next, as `SampleQueues.read`, but raise StopAsyncIteration. A task of the loop."""
    loop = asyncio.get_running_loop()
    deadline = None
    while True:
        with batch.lock:
            if source.is_ready():
                try:
                    return source.take()
                except StopIteration:
                    raise StopAsyncIteration from None
            waiter = source.readable.add()
        if seconds is not None and deadline is None:
            deadline = loop.time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                await waiter.wait()
        except TimeoutError:
            raise StreamTimeoutError(f"no chunk arrived for {seconds} s") from None
        finally:
            with batch.lock:
                source.readable.discard(waiter)
