"""The contract of `AsyncAudioStreamer`; test_faults.py tests the known faults."""

import asyncio
import contextlib
import gc
import itertools
import threading

import numpy as np
import pytest

from voice_cli.errors import Interrupted
from voice_cli.streamer import (
    AsyncAudioBatchIterator,
    AsyncAudioSampleIterator,
    AsyncAudioStreamer,
    AudioStreamer,
    StreamTimeoutError,
    aio,
)


def put(streamer, number, sample=0):
    streamer.put(np.full((1, 4), number, np.float32), [sample])


async def numbers(chunks):
    return [int(chunk[0]) async for chunk in chunks]


class TestDocumentedNames:
    def test_attributes_and_iterators(self, run):
        async def main():
            streamer = AsyncAudioStreamer(batch_size=2, stop_signal="over", timeout=1.5)
            assert isinstance(streamer, AudioStreamer)
            assert streamer.loop is asyncio.get_running_loop()
            assert (streamer.batch_size, streamer.stop_signal, streamer.timeout) == (2, "over", 1.5)
            assert len(streamer.audio_queues) == 2
            assert streamer.finished_flags == [False, False]
            stream, batch = streamer.get_stream(sample_idx=1), aiter(streamer)
            assert isinstance(stream, AsyncAudioSampleIterator)
            assert isinstance(batch, AsyncAudioBatchIterator)
            assert aiter(stream) is stream
            assert aiter(batch) is batch
            assert batch.active_samples == {0, 1}
            with pytest.raises(TypeError, match="async for"):
                iter(streamer)

        run(main())

    def test_it_needs_a_running_loop(self):
        with pytest.raises(RuntimeError, match="no running event loop"):
            AsyncAudioStreamer(1)

    def test_queues_can_be_read_directly(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1, stop_signal="over")
            waiting = streamer.audio_queues[0]
            with pytest.raises(asyncio.QueueEmpty):
                waiting.get_nowait()
            first = asyncio.create_task(waiting.get())
            await asyncio.sleep(0)
            put(streamer, 1)
            assert int((await first)[0]) == 1
            put(streamer, 2)
            assert int(waiting.get_nowait()[0]) == 2
            streamer.end()
            assert await waiting.get() == "over"
            assert waiting.get_nowait() == "over"

        run(main())

    def test_aclose_ends_only_this_reader(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            put(streamer, 1)
            streamer.end()
            async with contextlib.aclosing(streamer.get_stream(0)) as stream:
                pass
            assert await numbers(stream) == []
            assert await numbers(streamer.get_stream(0)) == [1]

        run(main())


class TestThreads:
    def test_documented_example(self, run, replayed_model):
        async def main():
            streamer = AsyncAudioStreamer(batch_size=1)
            model = replayed_model(20)
            generation = asyncio.get_running_loop().run_in_executor(
                None,
                lambda: model.generate(audio_streamer=streamer, tokenizer=None, all_prefilled_outputs={"lm": []}),
            )
            read = await numbers(streamer.get_stream(0))
            assert await generation == "outputs"
            return read

        assert run(main()) == list(range(20))

    def test_thousand_streams_of_a_hundred_chunks(self, run, work):
        streams, chunks = 1000, 100

        async def main():
            streamer = AsyncAudioStreamer(streams)

            def generate(part):
                with contextlib.suppress(StopIteration):
                    for number in range(chunks):
                        for sample in part:
                            streamer.put([number], [sample])
                    streamer.end(part)

            workers = [work(generate, range(start, streams, 4)) for start in range(4)]
            read = [[] for _ in range(streams)]
            async for batch in streamer:
                for sample, chunk in batch.items():
                    read[sample].append(chunk)
            for worker in workers:
                worker.result()
            return read

        assert run(main()) == [list(range(chunks))] * streams

    def test_back_pressure_blocks_the_thread_not_the_loop(self, run, work):
        async def main():
            streamer = AsyncAudioStreamer(1, max_chunks=2)
            generator = work(lambda: [put(streamer, number) for number in range(50)])
            read = []
            for _ in range(50):
                read.append(int((await anext(streamer.get_stream(0)))[0]))
                assert streamer.audio_queues[0].qsize() <= 2
            generator.result()
            return read

        assert run(main()) == list(range(50))

    def test_put_that_would_wait_in_the_loop_raises(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1, max_chunks=1)
            put(streamer, 1)
            with pytest.raises(RuntimeError, match="another"):
                put(streamer, 2)
            streamer.end()
            assert await numbers(streamer.get_stream(0)) == [1]

        run(main())

    @pytest.mark.parametrize("stop", ["cancel", "close", "end"])
    def test_waiting_put_is_released(self, run, work, stop):
        async def main():
            streamer = AsyncAudioStreamer(1, max_chunks=1)
            put(streamer, 0)
            about_to_wait = threading.Event()
            wait_for_room = streamer.batch.wait_for_room

            def seen(*args):
                about_to_wait.set()
                wait_for_room(*args)

            streamer.batch.wait_for_room = seen
            generator = work(lambda: put(streamer, 1))
            assert await asyncio.to_thread(about_to_wait.wait, 5)
            getattr(streamer, stop)()
            await asyncio.to_thread(generator.result)

        run(main())

    def test_waiting_put_returns_when_the_loop_closes(self, work, monkeypatch):
        monkeypatch.setattr(aio, "LOOP_CHECK_S", 0.01)

        async def main():
            streamer = AsyncAudioStreamer(1, max_chunks=1)
            put(streamer, 0)
            return streamer, work(lambda: [put(streamer, number) for number in range(10)])

        streamer, generator = asyncio.run(main())
        generator.result()
        assert streamer.stop_check_fn()

    def test_put_times_out(self, run, work, clock):
        async def main():
            streamer = AsyncAudioStreamer(1, timeout=5.0, max_chunks=1)
            put(streamer, 0)
            generator = work(lambda: put(streamer, 1))
            for _ in range(5):  # it checks the loop once a second
                await asyncio.to_thread(clock.until_asleep)
                clock.advance(1.0)
            with pytest.raises(StreamTimeoutError):
                await asyncio.to_thread(generator.result)

        run(main())


class TestTimeout:
    def test_ten_minutes_idle_use_one_timer(self, run_stepped):
        async def main(selector):
            streamer = AsyncAudioStreamer(1, timeout=3600.0)
            reader = asyncio.create_task(anext(streamer.get_stream(0)))
            await asyncio.sleep(10)
            await asyncio.sleep(590)
            assert not reader.done()
            assert selector.selects < 10
            put(streamer, 1)
            await reader

        run_stepped(main)

    @pytest.mark.parametrize("of", ["one stream", "the batch"])
    def test_timeout_counts_from_the_last_chunk_and_the_stream_continues(self, run_stepped, of):
        async def main(selector):
            streamer = AsyncAudioStreamer(1, timeout=5.0)
            reader = streamer.get_stream(0) if of == "one stream" else aiter(streamer)
            loop = asyncio.get_running_loop()
            for number in range(3):
                loop.call_later(4.0, put, streamer, number)
                await anext(reader)
            assert loop.time() == pytest.approx(12.0)
            with pytest.raises(StreamTimeoutError, match=r"no chunk arrived for 5\.0 s"):
                await anext(reader)
            assert loop.time() == pytest.approx(17.0)
            put(streamer, 3)
            await anext(reader)

        run_stepped(main)

    def test_no_timer_is_left_behind(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1, timeout=3600.0)
            reader = asyncio.create_task(anext(streamer.get_stream(0)))
            await asyncio.sleep(0)
            put(streamer, 1)
            await reader
            loop = asyncio.get_running_loop()
            late = [timer for timer in loop._scheduled if timer.when() > loop.time() + 600]
            assert all(timer.cancelled() for timer in late)
            readers = streamer.audio_queues[0].readable
            assert not readers._loops
            abandoned = asyncio.create_task(anext(streamer.get_stream(0)))
            await asyncio.sleep(0)
            assert len(readers._loops) == 1
            abandoned.cancel()
            await asyncio.wait([abandoned])
            assert not readers._loops

        run(main())

    def test_zero_timeout_returns_only_queued_chunks(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1, timeout=0.0)
            put(streamer, 1)
            await anext(streamer.get_stream(0))
            with pytest.raises(StreamTimeoutError):
                await anext(streamer.get_stream(0))

        run(main())


class TestEnds:
    def test_all_waiting_tasks_end(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            readers = [asyncio.create_task(numbers(streamer.get_stream(0))) for _ in range(3)]
            await asyncio.sleep(0)
            for number in range(9):
                put(streamer, number)
            streamer.end()
            shares = await asyncio.gather(*readers)
            assert sorted(itertools.chain(*shares)) == list(range(9))

        run(main())

    def test_chunk_of_a_reader_cancelled_after_wakeup_goes_to_another(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            first = asyncio.create_task(anext(streamer.get_stream(0)))
            second = asyncio.create_task(anext(streamer.get_stream(0)))
            await asyncio.sleep(0)
            put(streamer, 1)
            first.cancel()
            assert int((await second)[0]) == 1

        run(main())

    def test_cancel_interrupts_every_reader(self, run, work):
        async def main():
            streamer = AsyncAudioStreamer(2)
            readers = [asyncio.create_task(anext(streamer.get_stream(sample))) for sample in range(2)]
            readers.append(asyncio.create_task(anext(aiter(streamer))))
            await asyncio.sleep(0)
            work(streamer.cancel)
            for outcome in await asyncio.gather(*readers, return_exceptions=True):
                assert isinstance(outcome, Interrupted)
            with pytest.raises(Interrupted):
                await anext(aiter(streamer))

        run(main())

    def test_cancelled_error_in_the_generator_is_a_runtime_error(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            streamer.fail(asyncio.CancelledError())
            with pytest.raises(RuntimeError):
                await anext(streamer.get_stream(0))

        run(main())

    def test_leaving_the_context_early_stops_the_model(self, run, replayed_model):
        async def main():
            model = replayed_model(10_000)
            streamer = AsyncAudioStreamer(1, max_chunks=4)

            def generate():
                with streamer.generating():
                    model.generate(
                        audio_streamer=streamer,
                        stop_check_fn=streamer.stop_check_fn,
                        tokenizer=None,
                        all_prefilled_outputs={"lm": []},
                    )

            generation = asyncio.create_task(asyncio.to_thread(generate))
            with streamer:
                async for _ in streamer.get_stream(0):
                    break
            await generation
            assert model.made < 100

        run(main())

    def test_unused_streamers_are_collected_without_warnings(self, run):
        async def main():
            for _ in range(10):
                streamer = AsyncAudioStreamer(2)
                put(streamer, 1)
                aiter(streamer)
                streamer.get_stream(0)

        run(main())
        gc.collect()
