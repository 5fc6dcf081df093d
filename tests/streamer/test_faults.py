"""The known faults of VibeVoice's streamers, each with a test that this package is without it."""

import asyncio
import queue
import threading
import time

import numpy as np
import pytest

from voice_cli.streamer import AsyncAudioStreamer, AudioStreamer, StreamTimeoutError

CHUNK = np.ones((1, 3200), np.float32)
FIRST = np.array([0])


def numbered(number):
    """Return one chunk for one sample, filled with its number."""
    return np.full((1, 4), number, np.float32)


def numbers(chunks):
    return [int(chunk.reshape(-1)[0]) for chunk in chunks]


class TestTheBatchIteratorRecursesEvery10Ms:
    def test_batch_iterator_waits_without_polling(self, work, clock, monkeypatch):
        streamer = AudioStreamer(2)
        napped = threading.Event()
        monkeypatch.setattr(time, "sleep", lambda seconds: napped.set())
        reader = work(lambda: list(streamer))
        clock.until_asleep()
        clock.advance(10.0)  # with a call every 10 ms, a RecursionError
        clock.advance(600.0)
        assert reader.running
        assert clock.waits == [None]
        assert not napped.is_set()
        streamer.put(CHUNK, FIRST)
        clock.until_asleep()
        streamer.end()
        assert [list(batch) for batch in reader.result()] == [[0]]

    def test_async_batch_iterator_waits_without_polling(self, run_stepped):
        async def main(selector):
            streamer = AsyncAudioStreamer(2, timeout=None)
            reader = asyncio.create_task(anext(aiter(streamer)))
            await asyncio.sleep(10)
            await asyncio.sleep(590)
            assert not reader.done()
            assert selector.selects < 10
            streamer.put(CHUNK, FIRST)
            return await reader

        assert list(run_stepped(main)) == [0]


class EqualsEverything:
    def __eq__(self, other):
        return True

    __hash__ = object.__hash__


@pytest.mark.parametrize(
    "stop_signal",
    [0, 0.0, "", [0.0], np.zeros(1, np.float32), np.zeros(4, np.float32), EqualsEverything(), None],
    ids=["int", "float", "str", "list", "one zero", "zeros", "equal to all", "None"],
)
class TestAStopSignalIsComparedByEquality:
    def test_chunk_equal_to_the_stop_signal_is_not_the_end(self, stop_signal):
        streamer = AudioStreamer(1, stop_signal=stop_signal)
        for chunk in ([[0.0]], np.zeros((1, 1), np.float32), np.zeros((1, 4), np.float32), [0], [""], [None]):
            streamer.put(chunk, [0])
        streamer.end()
        assert len(list(streamer.get_stream(0))) == 6

    def test_batch_chunk_equal_to_the_stop_signal_is_not_the_end(self, stop_signal):
        streamer = AudioStreamer(1, stop_signal=stop_signal)
        streamer.put(np.zeros((1, 4), np.float32), FIRST)
        streamer.put([stop_signal], [0])
        streamer.end()
        assert len(list(streamer)) == 2

    def test_async_chunk_equal_to_the_stop_signal_is_not_the_end(self, stop_signal, run):
        async def main():
            streamer = AsyncAudioStreamer(1, stop_signal=stop_signal)
            streamer.put(np.zeros((1, 4), np.float32), FIRST)
            streamer.put([0], [0])
            streamer.end()
            one = await anext(streamer.get_stream(0))
            return [one, *[batch async for batch in streamer]]

        assert len(run(main())) == 2


class TestATimeoutIsQueueEmptyOrIgnored:
    def test_stream_timeout(self):
        with pytest.raises(StreamTimeoutError) as raised:
            next(AudioStreamer(1, timeout=0.01).get_stream(0))
        assert isinstance(raised.value, TimeoutError)
        assert not isinstance(raised.value, queue.Empty)

    def test_batch_timeout(self, work):
        with pytest.raises(StreamTimeoutError):
            work(lambda: next(iter(AudioStreamer(2, timeout=0.01)))).result()

    def test_async_stream_timeout(self, run):
        async def main():
            await anext(AsyncAudioStreamer(1, timeout=0.01).get_stream(0))

        with pytest.raises(StreamTimeoutError):
            run(main())

    def test_async_batch_timeout(self, run):
        async def main():
            await anext(aiter(AsyncAudioStreamer(2, timeout=0.01)))

        with pytest.raises(StreamTimeoutError):
            run(main())


class TestASecondReaderAfterTheEndHangs:
    def test_second_reader_ends_at_once(self, work):
        streamer = AudioStreamer(1)
        streamer.put(CHUNK, FIRST)
        streamer.end()
        assert work(lambda: len(list(streamer.get_stream(0)))).result() == 1
        assert work(lambda: list(streamer.get_stream(0))).result() == []
        assert work(lambda: list(streamer)).result() == []

    def test_second_async_reader_ends_at_once(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            streamer.put(CHUNK, FIRST)
            streamer.end()
            return [len([chunk async for chunk in streamer.get_stream(0)]) for _ in range(2)]

        assert run(main()) == [1, 0]

    def test_two_concurrent_readers_both_end(self, work):
        streamer = AudioStreamer(1)
        readers = [work(lambda: numbers(streamer.get_stream(0))) for _ in range(2)]
        for number in range(50):
            streamer.put(numbered(number), FIRST)
        streamer.end()
        shares = [reader.result() for reader in readers]
        assert sorted(shares[0] + shares[1]) == list(range(50))
        assert all(share == sorted(share) for share in shares)


class TestTheQueuesAreUnbounded:
    def test_put_waits_for_room(self, work, clock):
        streamer = AudioStreamer(1, max_chunks=2)
        generator = work(lambda: [streamer.put(numbered(number), FIRST) for number in range(5)])
        clock.until_asleep()
        assert generator.running
        assert streamer.audio_queues[0].qsize() == 2
        stream = streamer.get_stream(0)
        assert numbers([next(stream), next(stream), next(stream), next(stream), next(stream)]) == [
            0,
            1,
            2,
            3,
            4,
        ]
        generator.result()


class EndsWhileItIsCopied:
    """A tensor that ends the stream during its copy: `put` has checked, but has not put yet."""

    shape = (1, 4)

    def __init__(self, streamer):
        self.streamer = streamer

    def __getitem__(self, index):
        return self

    def __len__(self):
        return 1

    def detach(self):
        return self

    def clone(self):
        return self

    def cpu(self):
        self.streamer.end()
        return self


class TestEndRacingPutStrandsAChunk:
    def test_put_overtaken_by_end_leaves_no_chunk(self, work):
        streamer = AudioStreamer(1)
        streamer.put(EndsWhileItIsCopied(streamer), [0])
        assert work(lambda: list(streamer.get_stream(0))).result() == []
        assert streamer.audio_queues[0].qsize() == 0

    def test_async_put_overtaken_by_end_leaves_no_chunk(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            streamer.put(EndsWhileItIsCopied(streamer), [0])
            assert [chunk async for chunk in streamer.get_stream(0)] == []
            await asyncio.sleep(0)
            assert streamer.audio_queues[0].qsize() == 0

        run(main())

    def test_concurrent_put_and_end_keep_a_prefix(self, work):
        for _ in range(300):
            streamer = AudioStreamer(1)
            together = threading.Barrier(2)

            def put(streamer=streamer, together=together):
                together.wait()
                for number in range(3):
                    streamer.put(numbered(number), FIRST)

            def end(streamer=streamer, together=together):
                together.wait()
                streamer.end()

            workers = [work(put), work(end)]
            for worker in workers:
                worker.result()
            assert numbers(streamer.get_stream(0)) in ([], [0], [0, 1], [0, 1, 2])
            assert streamer.audio_queues[0].qsize() == 0


class TestCancellingAnextLosesTheNextChunk:
    @pytest.mark.parametrize("of", ["one stream", "the batch"])
    def test_no_chunk_is_lost(self, run, of):
        async def main():
            streamer = AsyncAudioStreamer(1)
            reader = streamer.get_stream(0) if of == "one stream" else aiter(streamer)
            read = []
            for number in range(100):
                pending = asyncio.ensure_future(anext(reader))
                for _ in range(number % 3):
                    await asyncio.sleep(0)
                # Before, while and after the reader is woken.
                if number % 2:
                    streamer.put(numbered(number), FIRST)
                    pending.cancel()
                else:
                    pending.cancel()
                    streamer.put(numbered(number), FIRST)
                for _ in range(3):
                    await asyncio.sleep(0)
                if not pending.cancelled():
                    read.append(pending.result())
            streamer.end()
            read += [chunk async for chunk in reader]
            return numbers(chunk if of == "one stream" else chunk[0] for chunk in read)

        assert run(main()) == list(range(100))

    def test_wait_for_loses_no_chunk(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            stream = streamer.get_stream(0)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(stream), 0.001)
            streamer.put(numbered(7), FIRST)
            streamer.end()
            return [chunk async for chunk in stream]

        assert numbers(run(main())) == [7]


class TestAClosedLoopRaisesInsideGenerate:
    def test_put_and_end_return_and_stop_check_fn_is_true(self, work):
        async def make():
            return AsyncAudioStreamer(1)

        streamer = asyncio.run(make())
        assert streamer.stop_check_fn()

        def generate():
            streamer.put(CHUNK, FIRST)
            assert streamer.audio_queues[0].qsize() == 0  # nothing accumulates without a possible reader
            streamer.put(CHUNK, FIRST)
            streamer.end(FIRST)
            streamer.end()
            streamer.fail(RuntimeError("late"))
            streamer.cancel()

        work(generate).result()

    @pytest.mark.parametrize("call", ["put", "end", "fail", "cancel"])
    def test_calls_return_if_the_loop_closed_under_a_waiting_reader(self, work, call):
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda loop, context: None)  # for the task destroyed while waiting
        arguments = {"put": (CHUNK, FIRST), "fail": (RuntimeError("late"),)}.get(call, ())

        async def make():
            streamer = AsyncAudioStreamer(1)
            pending = asyncio.ensure_future(anext(streamer.get_stream(0)))
            await asyncio.sleep(0)
            return streamer, pending

        streamer, pending = loop.run_until_complete(make())
        loop.close()
        work(lambda: getattr(streamer, call)(*arguments)).result()
        assert not pending.done()


class TestIndicesOutOfRangeAreDropped:
    @pytest.mark.parametrize("index", [2, 99, -1, -2])
    def test_index_out_of_range_raises_and_puts_nothing(self, index):
        streamer = AudioStreamer(2)
        with pytest.raises(IndexError):
            streamer.put(np.ones((2, 4), np.float32), np.array([0, index]))
        with pytest.raises(IndexError):
            streamer.end(np.array([0, index]))
        with pytest.raises(ValueError, match="no sample"):
            streamer.get_stream(index)
        assert streamer.audio_queues[0].qsize() == 0
        assert streamer.finished_flags == [False, False]

    def test_async_index_out_of_range_raises(self, run):
        async def main():
            streamer = AsyncAudioStreamer(1)
            with pytest.raises(IndexError):
                streamer.put(CHUNK, np.array([1]))
            with pytest.raises(IndexError):
                streamer.get_stream(1)

        run(main())


class TestAnExceptionInGenerateHangsTheConsumer:
    def test_exception_reaches_the_reader_after_the_chunks(self, work, replayed_model):
        streamer = AudioStreamer(1)
        model = replayed_model(30, fails_at=4)

        def generate():
            with streamer.generating():
                model.generate(audio_streamer=streamer, tokenizer=None, all_prefilled_outputs={"lm": []})

        generator = work(generate)
        read = []

        def consume():
            read.extend(streamer.get_stream(0))

        with pytest.raises(RuntimeError, match="CUDA out of memory"):
            work(consume).result()
        assert len(read) == 4
        with pytest.raises(RuntimeError, match="CUDA out of memory"):
            generator.result()

    def test_exception_reaches_a_waiting_task(self, run, work, replayed_model):
        async def main():
            streamer = AsyncAudioStreamer(1)
            model = replayed_model(30, fails_at=0)

            def generate():
                with streamer.generating():
                    model.generate(audio_streamer=streamer, tokenizer=None, all_prefilled_outputs={"lm": []})

            work(generate)
            async for _ in streamer:
                pytest.fail("no chunk was put")

        with pytest.raises(RuntimeError, match="CUDA out of memory"):
            run(main())


class TestExternalEndDoesNotStopTheRealtimeModel:
    @pytest.mark.parametrize("stop", ["end", "cancel", "close"])
    def test_stop_check_fn_stops_the_model(self, work, replayed_model, stop):
        streamer = AudioStreamer(1)
        model = replayed_model(10_000, stepped=True)
        generator = work(
            lambda: model.generate(
                audio_streamer=streamer,
                stop_check_fn=streamer.stop_check_fn,
                tokenizer=None,
                all_prefilled_outputs={"lm": []},
            )
        )
        model.step(model.WINDOW - 1)
        next(streamer.get_stream(0))
        getattr(streamer, stop)()
        model.step()
        generator.result()
        assert model.stopped
        assert model.made == model.WINDOW


class TestTheModelGoesOnPuttingAfterEnd:
    def test_chunks_after_the_end_are_dropped(self, replayed_model):
        # 8 chunks of speech are two windows, 12 puts: four follow `end(indices)`.
        streamer = AudioStreamer(1)
        model = replayed_model(8)
        model.generate(audio_streamer=streamer, tokenizer=None, all_prefilled_outputs={"lm": []})
        assert model.made == 12
        assert numbers(streamer.get_stream(0)) == list(range(8))


class TestTheModelReusesItsBuffer:
    def test_reused_buffer_does_not_change_read_chunks(self, replayed_model):
        streamer = AudioStreamer(1)
        replayed_model(6).generate(audio_streamer=streamer, tokenizer=None, all_prefilled_outputs={"lm": []})
        assert numbers(streamer.get_stream(0)) == [0, 1, 2, 3, 4, 5]


class TestABf16ChunkHasNoNumpy:
    @pytest.mark.parametrize("device", ["cpu", "cuda:0"])
    def test_bfloat16_chunk_is_read_as_float32_on_the_cpu(self, fake_tensor, device):
        streamer = AudioStreamer(1)
        streamer.put(fake_tensor([[0.5, -0.25]], "torch.bfloat16", device), FIRST)
        chunk = next(streamer.get_stream(0))
        assert chunk.cpu().numpy().tolist() == [0.5, -0.25]  # as in VibeVoice's documentation
