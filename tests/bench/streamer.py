"""The overhead of the streamers: `python tests/bench/streamer.py` from the repository root.

Chunks are those of VibeVoice: (1, 3200) float32, 133 ms of audio, copied by every `put`. The generator runs in one
thread, the reader in another or in the event loop. Latency is from the call of `put` to the reader's receipt of the
chunk; between chunks the generator pauses without the GIL, like one that computes on a device.
"""

import asyncio
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from voice_cli.streamer import AsyncAudioStreamer, AudioStreamer

CHUNK = np.zeros((1, 3200), np.float32)
FIRST = np.array([0])
CHUNKS = 30_000
"""More than an hour of speech; 400 MB if all of it is buffered."""
RUNS = 7
LATENCY_CHUNKS = 1000
PAUSE_S = 0.002


def in_thread(generate):
    thread = threading.Thread(target=generate)
    thread.start()
    return thread


def best_rate(measure, *args):
    """Return the median and the best of several runs, in chunks per second."""
    rates = [measure(*args) for _ in range(RUNS)]
    return f"{statistics.median(rates):>11,.0f} chunks/s at the median of {RUNS} runs, {max(rates):,.0f} at best"


def put_chunks(streamer, chunk, count):
    with streamer.generating():
        for _ in range(count):
            streamer.put(chunk, FIRST)


def sync_rate(chunk, count, max_chunks=None):
    streamer = AudioStreamer(1, max_chunks=max_chunks)
    start = time.perf_counter()
    generator = in_thread(lambda: put_chunks(streamer, chunk, count))
    read = sum(1 for _ in streamer.get_stream(0))
    elapsed = time.perf_counter() - start
    generator.join()
    assert read == count
    return count / elapsed


def async_rate(chunk, count):
    async def main():
        streamer = AsyncAudioStreamer(1)
        start = time.perf_counter()
        generator = in_thread(lambda: put_chunks(streamer, chunk, count))
        read = 0
        async for _ in streamer.get_stream(0):
            read += 1
        elapsed = time.perf_counter() - start
        generator.join()
        assert read == count
        return count / elapsed

    return asyncio.run(main())


def put_paced(streamer, put_at):
    pause = threading.Event()
    with streamer.generating():
        for _ in range(LATENCY_CHUNKS):
            pause.wait(PAUSE_S)
            put_at.append(time.perf_counter())
            streamer.put(CHUNK, FIRST)


def latency(put_at, read_at):
    waits = sorted((read - put) * 1e3 for put, read in zip(put_at, read_at, strict=True))
    late = waits[len(waits) * 99 // 100]
    return f"{statistics.median(waits):.3f} ms at the median, {late:.3f} at the 99th percentile"


def sync_latency(of_batch):
    streamer = AudioStreamer(1)
    put_at = []
    generator = in_thread(lambda: put_paced(streamer, put_at))
    read_at = [time.perf_counter() for _ in (streamer if of_batch else streamer.get_stream(0))]
    generator.join()
    return latency(put_at, read_at)


def async_latency(of_batch):
    async def main():
        streamer = AsyncAudioStreamer(1)
        put_at = []
        generator = in_thread(lambda: put_paced(streamer, put_at))
        source = streamer if of_batch else streamer.get_stream(0)
        read_at = [time.perf_counter() async for _ in source]
        generator.join()
        return latency(put_at, read_at)

    return asyncio.run(main())


def put_batches(streamer, streams, chunks, together):
    """Put numbered chunks for every stream: all streams in one `put`, or one stream in each."""
    everyone = np.arange(streams)
    with streamer.generating():
        for number in range(chunks):
            if together:
                streamer.put(np.full((streams, 16), number, np.float32), everyone)
            else:
                for sample in range(streams):
                    streamer.put([[number]], sample)


def in_order(read, streams, chunks):
    assert [[int(chunk[0]) for chunk in stream] for stream in read] == [list(range(chunks))] * streams


def sync_batch(streams, chunks, together):
    streamer = AudioStreamer(streams)
    read = [[] for _ in range(streams)]
    start = time.perf_counter()
    generator = in_thread(lambda: put_batches(streamer, streams, chunks, together))
    for batch in streamer:
        for sample, chunk in batch.items():
            read[sample].append(chunk)
    elapsed = time.perf_counter() - start
    generator.join()
    in_order(read, streams, chunks)
    return streams * chunks / elapsed


def async_batch(streams, chunks, together):
    async def main():
        streamer = AsyncAudioStreamer(streams)
        read = [[] for _ in range(streams)]
        start = time.perf_counter()
        generator = in_thread(lambda: put_batches(streamer, streams, chunks, together))
        async for batch in streamer:
            for sample, chunk in batch.items():
                read[sample].append(chunk)
        elapsed = time.perf_counter() - start
        generator.join()
        in_order(read, streams, chunks)
        return streams * chunks / elapsed

    return asyncio.run(main())


def idle_cpu(idle_s=2.0):
    streamer = AudioStreamer(1)
    reader = in_thread(lambda: list(streamer))
    before = time.process_time()
    time.sleep(idle_s)
    spent = time.process_time() - before
    streamer.end()
    reader.join()
    return f"{spent * 1e3:.2f} ms of CPU in {idle_s} s of waiting"


def main():
    small = np.zeros((1, 16), np.float32)
    print("one stream, thread to thread    ", best_rate(sync_rate, CHUNK, CHUNKS))
    print("  with chunks of 16 samples     ", best_rate(sync_rate, small, CHUNKS))
    print("  with max_chunks=256           ", best_rate(sync_rate, CHUNK, CHUNKS, 256))
    print("one stream, thread to loop      ", best_rate(async_rate, CHUNK, CHUNKS))
    print("1,000 streams x 100, sync       ", best_rate(sync_batch, 1000, 100, True))
    print("  one stream in each put        ", best_rate(sync_batch, 1000, 100, False))
    print("1,000 streams x 100, async      ", best_rate(async_batch, 1000, 100, True))
    print("  one stream in each put        ", best_rate(async_batch, 1000, 100, False))
    print("latency, one stream, sync       ", sync_latency(of_batch=False))
    print("latency, batch, sync            ", sync_latency(of_batch=True))
    print("latency, one stream, async      ", async_latency(of_batch=False))
    print("latency, batch, async           ", async_latency(of_batch=True))
    print("a reader that waits             ", idle_cpu())


if __name__ == "__main__":
    main()
