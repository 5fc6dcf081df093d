"""The streamer for an event loop: a generating thread puts, tasks of the loop iterate.

A text in, PCM out over a WebSocket, with the generation in a thread, back-pressure from the socket to the
model, and an end to it when the client leaves::

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
            finally:  # the next one may have the model when this one's thread is through with it
                await asyncio.gather(generation, return_exceptions=True)

Serve it with `websockets.asyncio.server.serve(speak, "localhost", 8765)`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn, Self

from voice_cli.pcm import samples as chunks
from voice_cli.streamer.exchange import Exchange, SampleQueue, Sign, Source, StreamTimeoutError
from voice_cli.streamer.sync import AudioStreamer

LOOP_CHECK_S = 1.0
"""Seconds between two looks of a waiting `put` at whether the loop is closed: the one end that announces
itself to nobody. Readers never look at a clock."""


class AsyncAudioStreamer(AudioStreamer):
    """An `AudioStreamer` whose readers are tasks of the event loop it was made in.

    `put`, `end`, `fail`, `cancel`, `close`, `generating` and `stop_check_fn` are the same, and may be
    called from any thread, the loop's too; but `put` must not have to wait there, and raises RuntimeError
    instead. The iterators belong to the loop. If the loop is closed, that is a `cancel`: `put` and `end`
    never raise for it.

    With `max_chunks`, leave it by `with streamer:`: a `put` that nobody makes room for holds its thread, and
    `asyncio.run` waits for the threads of its executor.
    """

    def __init__(
        self,
        batch_size: int,
        stop_signal: object = None,
        timeout: float | None = None,
        *,
        max_chunks: int | None = None,
    ) -> None:
        """Make the queues, as `AudioStreamer` does.

        Raises:
            RuntimeError: no event loop runs in this thread.

        """
        self.loop = asyncio.get_running_loop()
        super().__init__(batch_size, stop_signal, timeout, max_chunks=max_chunks)

    def _new_exchange(self) -> "LoopExchange":
        return LoopExchange(self.batch_size, self.max_chunks, self.stop_signal, self.loop)

    def get_stream(  # type: ignore[override]  # as documented: the same name, for `async for`
        self, sample_idx: int
    ) -> "AsyncAudioSampleIterator":
        """Give an async iterator over the chunks of one sample. No coroutine: it is not awaited.

        Raises:
            SampleIndexError: it is not in the batch.

        """
        return AsyncAudioSampleIterator(self, sample_idx)

    def __aiter__(self) -> AsyncIterator[dict[int, Any]]:
        return AsyncAudioBatchIterator(self)

    def __iter__(self) -> NoReturn:
        raise TypeError("an AsyncAudioStreamer is read by `async for`")


class AsyncAudioSampleIterator:
    """`AudioSampleIterator` for tasks: the chunks of one sample, in order, until its stream ends.

    A pending `anext` may be cancelled, by `asyncio.wait_for` for one: it takes a chunk only in the step in
    which it returns it, so none is lost.
    """

    def __init__(self, streamer: AsyncAudioStreamer, sample_idx: int) -> None:
        self.streamer = streamer
        self.sample_idx = chunks.sample_number(sample_idx, streamer.batch_size)
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        """Wait for the next chunk.

        Raises:
            StopAsyncIteration: the generation is complete, and all of it is read.
            StreamTimeoutError, Interrupted, Exception: see `AudioSampleIterator`.

        """
        if self._closed:
            raise StopAsyncIteration
        streamer = self.streamer
        found = await _read(streamer.exchange, streamer.audio_queues[self.sample_idx], streamer.timeout)
        if found is Sign.END:
            raise StopAsyncIteration
        return found

    async def aclose(self) -> None:
        """Read no more through this iterator, as of an async generator; the stream itself goes on."""
        self._closed = True


class AsyncAudioBatchIterator:
    """`AudioBatchIterator` for tasks: what has come of all samples, as `{sample_idx: chunk}`.

    A pending `anext` may be cancelled: no chunk is lost.
    """

    def __init__(self, streamer: AsyncAudioStreamer) -> None:
        self.streamer = streamer

    @property
    def active_samples(self) -> set[int]:
        """The samples of which something may still come."""
        return self.streamer.exchange.active()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[int, Any]:
        """Wait for the next chunks.

        Raises:
            StopAsyncIteration, StreamTimeoutError, Interrupted, Exception: see `AudioBatchIterator`.

        """
        exchange = self.streamer.exchange
        found: dict[int, Any] | Sign = await _read(exchange, exchange, self.streamer.timeout)
        if isinstance(found, Sign):
            raise StopAsyncIteration
        return found


class LoopQueue(SampleQueue):
    """The chunks of one sample, with the reading side of an `asyncio.Queue`."""

    # asyncio.Queue's signature, as queue.Queue's is the base's.
    async def get(self) -> Any:  # type: ignore[override]
        """Wait for the next chunk; from the end on, give `stop_signal`. A task of the loop."""
        found = await _read(self.exchange, self, None)
        return self.exchange.stop_signal if found is Sign.END else found

    def get_nowait(self) -> Any:
        """Take the next chunk, or `stop_signal` from the end on.

        Raises:
            asyncio.QueueEmpty: there is none yet.

        """
        with self.exchange.lock:
            found = self.look()
        if found is Sign.NOTHING:
            raise asyncio.QueueEmpty
        return self.exchange.stop_signal if found is Sign.END else found


class LoopReaders:
    """The tasks that wait for chunks. They are only told to look again: what one finds is still anybody's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.waiting: set[asyncio.Future[None]] = set()

    def notify_all(self) -> None:
        """Lock held, any thread: let all of them look again."""
        if self.waiting:
            woken, self.waiting = self.waiting, set()
            with contextlib.suppress(RuntimeError):  # the loop is closed, and with it every task that waited
                self.loop.call_soon_threadsafe(_wake, woken)


class LoopExchange(Exchange):
    """An `Exchange` whose readers are tasks; `put` is a thread's."""

    def __init__(
        self,
        batch_size: int,
        max_chunks: int | None,
        stop_signal: object,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.loop = loop
        super().__init__(batch_size, max_chunks, stop_signal)

    def new_readers(self) -> LoopReaders:
        return LoopReaders(self.loop)

    def new_queue(self, index: int) -> LoopQueue:
        return LoopQueue(self, index)

    @property
    def running(self) -> bool:
        return super().running and not self.loop.is_closed()

    def put(self, sample: SampleQueue, chunk: Any, timeout: float | None) -> None:
        if self.loop.is_closed():
            self.cancel()
        super().put(sample, chunk, timeout)

    def pause(self, condition: Any, deadline: float | None, complaint: str) -> None:
        """Lock held: give it up until the condition is notified or the deadline is there, or for a while.

        Raises:
            StreamTimeoutError: the deadline has passed.
            RuntimeError: this is the loop's own thread, in which nobody could then make room.

        """
        if _running_loop() is self.loop:
            raise RuntimeError("put would wait for room in the event loop's thread: generate in another")
        if self.loop.is_closed():
            self.call_off()
            return
        look_again = self.clock() + LOOP_CHECK_S
        if deadline is None or look_again < deadline:
            condition.wait(LOOP_CHECK_S)
        else:
            super().pause(condition, deadline, complaint)


async def _read(exchange: Exchange, source: Source, patience: float | None) -> Any:
    """`Exchange.read`, for a task of the loop."""
    loop = asyncio.get_running_loop()
    deadline = None
    while True:
        with exchange.lock:
            found = source.look()
            if found is not Sign.NOTHING:
                return found
            if deadline is not None and loop.time() >= deadline:
                raise StreamTimeoutError(f"no chunk came for {patience} s")
            # Enlisted under the same lock as the look: nothing can come in between and not wake it.
            waiter: asyncio.Future[None] = loop.create_future()
            readers: LoopReaders = source.readable  # type: ignore[assignment]  # of a LoopExchange they are
            readers.waiting.add(waiter)
        if deadline is None and patience is not None:
            deadline = loop.time() + patience
        timer = None if deadline is None else loop.call_at(deadline, _wake, [waiter])
        try:
            await waiter
        finally:
            if timer is not None:
                timer.cancel()
            with exchange.lock:
                readers.waiting.discard(waiter)


def _wake(waiters: Iterable["asyncio.Future[None]"]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
