"""The contract of `AudioStreamer`; test_faults.py tests the known faults."""

import contextlib
import queue
import time
import traceback

import numpy as np
import pytest

from voice_cli.errors import Interrupted
from voice_cli.streamer import (
    AudioBatchIterator,
    AudioSampleIterator,
    AudioStreamer,
    SampleIndexError,
    StreamTimeoutError,
)


def put(streamer, number, sample=0):
    streamer.put(np.full((1, 4), number, np.float32), [sample])


def numbers(chunks):
    return [int(chunk[0]) for chunk in chunks]


class TestDocumentedNames:
    def test_attributes(self):
        streamer = AudioStreamer(batch_size=3, stop_signal="over", timeout=1.5)
        assert streamer.batch_size == 3
        assert streamer.stop_signal == "over"
        assert streamer.timeout == 1.5
        assert len(streamer.audio_queues) == 3
        assert streamer.finished_flags == [False, False, False]
        assert streamer.sample_indices_map == {0: 0, 1: 1, 2: 2}

    def test_keywords_of_the_documented_calls(self):
        streamer = AudioStreamer(2, None, None)
        streamer.put(audio_chunks=np.ones((2, 4)), sample_indices=np.array([0, 1]))
        streamer.end(sample_indices=np.array([0]))
        assert streamer.finished_flags == [True, False]
        assert len(list(streamer.get_stream(sample_idx=0))) == 1

    def test_iterators(self):
        streamer = AudioStreamer(2)
        stream, batch = streamer.get_stream(1), iter(streamer)
        assert isinstance(stream, AudioSampleIterator)
        assert isinstance(batch, AudioBatchIterator)
        assert iter(stream) is stream
        assert iter(batch) is batch
        assert (stream.streamer, stream.sample_idx) == (streamer, 1)
        assert batch.active_samples == {0, 1}

    def test_documented_manual_iteration(self):
        streamer = AudioStreamer(1)
        put(streamer, 1)
        streamer.end()
        iterator = streamer.get_stream(0)
        assert int(next(iterator)[0]) == 1
        for _ in range(2):
            with pytest.raises(StopIteration):
                next(iterator)

    def test_queues_can_be_read_directly(self):
        over = object()
        streamer = AudioStreamer(1, stop_signal=over, max_chunks=2)
        waiting = streamer.audio_queues[0]
        assert (waiting.qsize(), waiting.empty(), waiting.full(), waiting.maxsize) == (0, True, False, 2)
        with pytest.raises(queue.Empty):
            waiting.get_nowait()
        with pytest.raises(queue.Empty):
            waiting.get(timeout=0.001)
        put(streamer, 1)
        put(streamer, 2)
        assert waiting.full()
        streamer.end()
        assert numbers([waiting.get(), waiting.get(timeout=1)]) == [1, 2]
        assert waiting.get() is over
        assert waiting.get_nowait() is over

    def test_queue_read_directly_raises_the_failure(self):
        streamer = AudioStreamer(1)
        streamer.fail(StreamTimeoutError("the queue was full"))
        with pytest.raises(StreamTimeoutError, match="was full"):
            streamer.audio_queues[0].get()

    @pytest.mark.parametrize(
        "arguments",
        [
            {"batch_size": 0},
            {"batch_size": -1},
            {"batch_size": 1, "max_chunks": 0},
            {"batch_size": 1, "timeout": -0.1},
            {"batch_size": 1, "timeout": float("nan")},
        ],
    )
    def test_numbers_out_of_range_are_refused(self, arguments):
        with pytest.raises(ValueError, match=r"batch_size|max_chunks|timeout"):
            AudioStreamer(**arguments)

    def test_finished_flags_are_a_copy(self):
        streamer = AudioStreamer(1)
        streamer.finished_flags[0] = True
        assert not any(streamer.finished_flags)


class TestBatch:
    def test_batch_has_one_chunk_per_sample_in_order(self):
        streamer = AudioStreamer(4)
        put(streamer, 30, sample=3)
        put(streamer, 10, sample=1)
        put(streamer, 11, sample=1)
        put(streamer, 20, sample=2)
        streamer.end()
        batches = [{sample: int(chunk[0]) for sample, chunk in batch.items()} for batch in streamer]
        assert batches == [{1: 10, 2: 20, 3: 30}, {1: 11}]
        assert list(batches[0]) == [1, 2, 3]

    def test_finished_samples_are_no_longer_active(self):
        streamer = AudioStreamer(3)
        batch = iter(streamer)
        put(streamer, 1, sample=1)
        streamer.end([0, 1])
        assert batch.active_samples == {1, 2}
        next(batch)
        assert batch.active_samples == {2}

    def test_batch_waits_for_the_end_of_all_samples(self, work, clock):
        streamer = AudioStreamer(2)
        reader = work(lambda: list(streamer))
        clock.until_asleep()
        streamer.end([0])
        assert reader.running
        streamer.end([1])
        assert reader.result() == []

    def test_sample_and_batch_readers_share_the_chunks(self):
        streamer = AudioStreamer(2)
        for number in range(4):
            put(streamer, number, sample=0)
        put(streamer, 10, sample=1)
        streamer.end()
        stream, batch = streamer.get_stream(0), iter(streamer)
        assert int(next(stream)[0]) == 0
        assert {sample: int(chunk[0]) for sample, chunk in next(batch).items()} == {0: 1, 1: 10}
        assert numbers(stream) == [2, 3]
        assert list(batch) == []

    def test_batch_ends_when_another_reader_takes_the_last_chunk(self, work, clock):
        streamer = AudioStreamer(1)
        reader = work(lambda: list(streamer))
        clock.until_asleep()
        readers = streamer.batch.readable
        readers.notify_all = lambda: None  # a notified thread may run late
        put(streamer, 1)
        streamer.end()
        del readers.notify_all
        assert numbers(streamer.get_stream(0)) == [1]
        with readers:
            readers.notify_all()
        assert reader.result() == []


class TestBackPressure:
    @pytest.mark.parametrize("stop", ["cancel", "close", "end"])
    def test_waiting_put_is_released(self, work, clock, stop):
        streamer = AudioStreamer(1, max_chunks=1)
        put(streamer, 0)
        generator = work(lambda: put(streamer, 1))
        clock.until_asleep()
        getattr(streamer, stop)()
        generator.result()
        with contextlib.suppress(Interrupted):
            assert numbers(streamer.get_stream(0)) == [0]

    def test_failure_releases_a_waiting_put(self, work, clock):
        streamer = AudioStreamer(1, max_chunks=1)
        put(streamer, 0)
        generator = work(lambda: put(streamer, 1))
        clock.until_asleep()
        streamer.fail(OSError("the disk"))
        generator.result()

    def test_leaving_the_context_early_releases_a_waiting_put(self, work, clock):
        with AudioStreamer(1, max_chunks=1) as streamer:
            put(streamer, 0)
            generator = work(lambda: [put(streamer, number) for number in range(100)])
            clock.until_asleep()
        generator.result()

    def test_put_times_out_without_losing_chunks(self, work, clock):
        streamer = AudioStreamer(1, timeout=5.0, max_chunks=1)
        put(streamer, 0)
        generator = work(lambda: put(streamer, 1))
        clock.until_asleep()
        clock.advance(4.9)
        assert generator.running
        clock.advance(0.2)
        with pytest.raises(StreamTimeoutError, match="the queue was full"):
            generator.result()
        assert int(next(streamer.get_stream(0))[0]) == 0
        put(streamer, 1)
        assert int(next(streamer.get_stream(0))[0]) == 1

    def test_limit_applies_to_each_sample(self):
        streamer = AudioStreamer(2, max_chunks=1)
        streamer.put(np.ones((2, 4)), [0, 1])
        assert [waiting.qsize() for waiting in streamer.audio_queues] == [1, 1]

    def test_put_may_repeat_a_sample(self, work, clock):
        streamer = AudioStreamer(1, max_chunks=1)
        generator = work(lambda: streamer.put(np.array([[1.0], [2.0]]), [0, 0]))
        clock.until_asleep()
        stream = streamer.get_stream(0)
        assert numbers([next(stream), next(stream)]) == [1, 2]
        generator.result()


class TestTimeout:
    def test_timeout_counts_from_the_last_chunk(self, work, clock):
        streamer = AudioStreamer(1, timeout=5.0)
        stream = streamer.get_stream(0)
        for number in range(3):
            reader = work(next, stream)
            clock.until_asleep()
            clock.advance(4.0)
            put(streamer, number)
            assert int(reader.result()[0]) == number
        reader = work(next, stream)
        clock.until_asleep()
        clock.advance(5.1)
        with pytest.raises(StreamTimeoutError, match=r"no chunk arrived for 5\.0 s"):
            reader.result()

    def test_stream_continues_after_a_timeout(self):
        streamer = AudioStreamer(1, timeout=0.0)
        stream = streamer.get_stream(0)
        with pytest.raises(StreamTimeoutError):
            next(stream)
        put(streamer, 1)
        streamer.end()
        assert numbers(stream) == [1]

    def test_ten_minutes_of_waiting_are_one_wait(self, work, clock):
        streamer = AudioStreamer(1, timeout=3600.0)
        reader = work(next, streamer.get_stream(0))
        clock.until_asleep()
        clock.advance(10.0)
        clock.advance(590.0)
        assert reader.running
        assert clock.waits == [3600.0]
        put(streamer, 1)
        reader.result()

    def test_waiting_uses_no_cpu(self, work):
        streamer = AudioStreamer(1)
        spent = []

        def read():
            before = time.thread_time()
            for _ in streamer:
                pass
            spent.append(time.thread_time() - before)

        process_before = time.process_time()
        reader = work(read)
        idle_s = 0.5
        time.sleep(idle_s)  # the wait to measure
        process_spent = time.process_time() - process_before
        streamer.end()
        reader.result()
        print(f"{idle_s} s idle: reader {spent[0] * 1e3:.2f} ms, process {process_spent * 1e3:.2f} ms of CPU")
        assert spent[0] < idle_s / 5
        assert process_spent < idle_s / 2

    def test_infinite_timeout_never_expires(self, work):
        streamer = AudioStreamer(1, timeout=float("inf"))
        reader = work(next, streamer.get_stream(0))
        put(streamer, 1)
        reader.result()


class TestEnds:
    def test_second_end_has_no_effect(self):
        streamer = AudioStreamer(1)
        put(streamer, 1)
        streamer.end()
        streamer.end()
        streamer.end([0])
        streamer.fail(OSError("late"))
        put(streamer, 2)
        assert numbers(streamer.get_stream(0)) == [1]

    def test_end_of_no_samples_has_no_effect(self):
        streamer = AudioStreamer(1)
        streamer.end([])
        assert streamer.finished_flags == [False]

    def test_stop_check_fn_is_false_until_all_have_ended(self):
        streamer = AudioStreamer(2)
        assert streamer.stop_check_fn() is False
        streamer.end([1])
        assert streamer.stop_check_fn() is False
        streamer.end()
        assert streamer.stop_check_fn() is True

    def test_cancel_interrupts_every_reader_and_drops_queued_chunks(self, work, clock):
        streamer = AudioStreamer(2)
        put(streamer, 1)
        reader = work(next, streamer.get_stream(1))
        clock.until_asleep()
        streamer.cancel()
        assert streamer.stop_check_fn()
        assert streamer.finished_flags == [True, True]
        with pytest.raises(Interrupted):
            reader.result()
        for source in (streamer, streamer.get_stream(0), streamer.get_stream(1)):
            with pytest.raises(Interrupted):
                list(source)
        put(streamer, 2)
        streamer.cancel()
        assert [waiting.qsize() for waiting in streamer.audio_queues] == [0, 0]

    def test_cancel_after_all_is_read_has_no_effect(self):
        with AudioStreamer(1) as streamer:
            put(streamer, 1)
            streamer.end()
            assert len(list(streamer.get_stream(0))) == 1
        assert list(streamer.get_stream(0)) == []
        assert list(streamer) == []

    def test_cancel_with_unread_chunks_interrupts(self):
        streamer = AudioStreamer(1)
        put(streamer, 1)
        streamer.end()
        streamer.cancel()
        with pytest.raises(Interrupted):
            list(streamer)

    def test_failure_is_kept_after_a_cancel(self):
        streamer = AudioStreamer(1)
        put(streamer, 1)
        streamer.fail(OSError("the disk"))
        streamer.cancel()
        with pytest.raises(OSError, match="the disk"):
            next(streamer.get_stream(0))

    def test_failure_keeps_complete_samples(self):
        streamer = AudioStreamer(2)
        put(streamer, 1)
        streamer.end([0])
        put(streamer, 2, sample=1)
        streamer.fail(OSError("the disk"))
        assert numbers(streamer.get_stream(0)) == [1]
        batch = iter(streamer)
        assert list(next(batch)) == [1]
        for _ in range(2):
            with pytest.raises(OSError, match="the disk"):
                next(batch)

    def test_failure_is_the_same_exception_and_its_traceback_does_not_grow(self):
        streamer = AudioStreamer(1)

        def generate():
            with streamer.generating():
                raise OSError("the disk")

        with pytest.raises(OSError, match="the disk") as raised:
            generate()
        lengths = []
        for _ in range(3):
            with pytest.raises(OSError, match="the disk") as again:
                next(streamer.get_stream(0))
            assert again.value is raised.value
            frames = traceback.extract_tb(again.value.__traceback__)
            assert "generate" in [frame.name for frame in frames]
            lengths.append(len(frames))
        assert len(set(lengths)) == 1

    def test_first_failure_is_raised(self):
        streamer = AudioStreamer(1)

        def generate(reason):
            with streamer.generating():
                raise OSError(reason)

        for reason in ("the disk", "a later error"):
            with pytest.raises(OSError, match=reason):
                generate(reason)
        with pytest.raises(OSError, match="the disk") as raised:
            next(streamer.get_stream(0))
        causes = [frame.lineno for frame in traceback.extract_tb(raised.value.__traceback__)]
        streamer.fail(ValueError("without a traceback"))
        with pytest.raises(OSError, match="the disk") as raised:
            next(streamer.get_stream(0))
        assert len(traceback.extract_tb(raised.value.__traceback__)) == len(causes)

    @pytest.mark.parametrize(
        "exc", [StopIteration(1), StopAsyncIteration(), KeyboardInterrupt(), SystemExit(1), GeneratorExit()]
    )
    def test_exceptions_with_special_meaning_are_wrapped(self, exc):
        streamer = AudioStreamer(1)
        streamer.fail(exc)
        with pytest.raises(RuntimeError) as raised:
            next(streamer.get_stream(0))
        assert raised.value.__cause__ is exc

    def test_fail_takes_only_an_exception(self):
        with pytest.raises(TypeError):
            AudioStreamer(1).fail("boom")

    def test_generating_ends_the_stream(self):
        streamer = AudioStreamer(1)
        with streamer.generating() as same:
            assert same is streamer
            put(streamer, 1)
        assert numbers(streamer.get_stream(0)) == [1]

    def test_generating_reraises_keyboard_interrupt(self):
        streamer = AudioStreamer(1)
        with pytest.raises(KeyboardInterrupt), streamer.generating():
            raise KeyboardInterrupt
        with pytest.raises(RuntimeError):
            next(streamer.get_stream(0))


class TestErrors:
    def test_timeout_error_types_and_exit_code(self):
        error = StreamTimeoutError("no chunk")
        assert isinstance(error, TimeoutError)
        assert (str(error), error.message, error.exit_code) == ("no chunk", "no chunk", 11)

    def test_index_error_types(self):
        assert issubclass(SampleIndexError, ValueError)
        assert issubclass(SampleIndexError, IndexError)


class TestReplay:
    """The documented call, at the model's pace: each step is 133 ms of audio."""

    def test_every_chunk_is_read_before_the_next_is_generated(self, work, replayed_model):
        streamer = AudioStreamer(1)
        model = replayed_model(18, stepped=True)

        def generate():
            with streamer.generating():
                return model.generate(audio_streamer=streamer, tokenizer=None, all_prefilled_outputs={"lm": []})

        generator = work(generate)
        stream = streamer.get_stream(0)
        for number in range(18):
            model.step()
            chunk = next(stream)
            assert chunk.shape == (3200,)
            assert int(chunk[0]) == number
        with pytest.raises(StopIteration):
            next(stream)
        assert generator.result() == "outputs"
