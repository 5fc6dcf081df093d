"""Any order of calls, compared with a simple model; and concurrent threads."""

import asyncio
import contextlib
import itertools
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.errors import Interrupted
from voice_cli.streamer import AsyncAudioStreamer, AudioStreamer, StreamTimeoutError

BATCH = 3
SAMPLES = st.integers(0, BATCH - 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(SAMPLES, min_size=1, max_size=4)),
        st.tuples(st.just("end"), st.lists(SAMPLES, max_size=2)),
        st.tuples(st.just("read"), SAMPLES),
        st.tuples(st.just("read batch")),
        st.tuples(st.sampled_from(["end all", "fail", "cancel"])),
    ),
    max_size=30,
)


class Simple:
    """A model of a streamer: three lists and how each ends."""

    def __init__(self):
        self.chunks = [deque() for _ in range(BATCH)]
        self.ends = [None] * BATCH
        self.count = 0

    def put(self, samples):
        numbers = []
        for sample in samples:
            self.count += 1
            numbers.append(self.count)
            if self.ends[sample] is None:
                self.chunks[sample].append(self.count)
        return numbers

    def finish(self, samples, how):
        for sample in samples:
            self.ends[sample] = self.ends[sample] or how

    def cancel(self):
        for sample in range(BATCH):
            lost = bool(self.chunks[sample]) or self.ends[sample] is None
            self.chunks[sample].clear()
            if lost and self.ends[sample] is not OSError:
                self.ends[sample] = Interrupted

    def read(self, sample):
        if self.chunks[sample]:
            return self.chunks[sample].popleft()
        return self.ends[sample] or StreamTimeoutError

    def read_batch(self):
        batch = {sample: queue.popleft() for sample, queue in enumerate(self.chunks) if queue}
        if batch:
            return batch
        if None in self.ends:
            return StreamTimeoutError
        return next((end for end in self.ends if end is not StopIteration), StopIteration)


def apply_step(streamer, simple, step):
    """Apply one step that is not a read to both."""
    what, *arguments = step
    if what == "put":
        numbers = simple.put(arguments[0])
        streamer.put([[number] for number in numbers], arguments[0])
    elif what == "end":
        simple.finish(arguments[0], StopIteration)
        streamer.end(arguments[0])
    elif what == "end all":
        simple.finish(range(BATCH), StopIteration)
        streamer.end()
    elif what == "fail":
        simple.finish(range(BATCH), OSError)
        streamer.fail(OSError("the disk"))
    else:
        simple.cancel()
        streamer.cancel()


def check_state(streamer, simple):
    assert streamer.finished_flags == [end is not None for end in simple.ends]
    assert streamer.stop_check_fn() == (None not in simple.ends)
    assert [queue.qsize() for queue in streamer.audio_queues] == [len(queue) for queue in simple.chunks]
    left = {sample for sample in range(BATCH) if simple.chunks[sample] or simple.ends[sample] is None}
    assert streamer.batch.active() == left


def plain(found):
    if isinstance(found, dict):
        return {sample: chunk[0] for sample, chunk in found.items()}
    return found[0] if isinstance(found, list) else found


@given(STEPS)
@settings(max_examples=300)
def test_any_order_of_calls_matches_the_model(steps):
    streamer, simple = AudioStreamer(BATCH, timeout=0.0), Simple()
    for step in steps:
        if step[0].startswith("read"):
            expected = simple.read(step[1]) if step[0] == "read" else simple.read_batch()
            reader = streamer.get_stream(step[1]) if step[0] == "read" else iter(streamer)
            try:
                found = next(reader)
            except Exception as exc:
                found = type(exc)
            assert plain(found) == expected
        else:
            apply_step(streamer, simple, step)
        check_state(streamer, simple)


@given(STEPS)
@settings(max_examples=100)
def test_any_order_of_async_calls_matches_the_model(steps):
    async def main():
        streamer, simple = AsyncAudioStreamer(BATCH, timeout=0.0), Simple()
        for step in steps:
            if step[0].startswith("read"):
                expected = simple.read(step[1]) if step[0] == "read" else simple.read_batch()
                reader = streamer.get_stream(step[1]) if step[0] == "read" else aiter(streamer)
                try:
                    found = await anext(reader)
                except StopAsyncIteration:
                    found = StopIteration
                except Exception as exc:
                    found = type(exc)
                assert plain(found) == expected
            else:
                apply_step(streamer, simple, step)
            check_state(streamer, simple)

    asyncio.run(main())


@pytest.mark.parametrize("max_chunks", [None, 1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_concurrent_threads(work, max_chunks, seed):
    """Every chunk goes to exactly one reader, and each reader gets its chunks of a sample in order."""
    samples, chunks = 6, 200
    streamer = AudioStreamer(samples, max_chunks=max_chunks)

    def generate(own):
        dice = random.Random(seed * 100 + own[0])
        left = {sample: iter(range(chunks)) for sample in own}
        while left:
            sample = dice.choice(list(left))
            with contextlib.suppress(StopIteration):
                streamer.put([[(sample, next(left[sample]))]], [sample])
                continue
            streamer.end([sample])
            del left[sample]

    def read_batch():
        return [chunk[0] for batch in streamer for chunk in batch.values()]

    generators = [work(generate, part) for part in ([0, 1], [2, 3], [4, 5])]
    readers = [work(read_batch), work(read_batch)]
    readers += [
        work(lambda sample=sample: [chunk[0] for chunk in streamer.get_stream(sample)]) for sample in range(samples)
    ]
    for generator in generators:
        generator.result()
    shares = [reader.result() for reader in readers]
    for share in shares:
        for sample in range(samples):
            own = [number for of, number in share if of == sample]
            assert own == sorted(own)
    assert sorted(itertools.chain(*shares)) == [
        (sample, number) for sample in range(samples) for number in range(chunks)
    ]
