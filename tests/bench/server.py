"""Latency, capacity and memory of `voice serve`: `python tests/bench/server.py [part …]` from the repository root.

first-byte  request sent → first byte of the body, in turns with a bare Starlette route with the same engine
streams     100 concurrent real-time listeners: late chunks, and the latency of `/health`
leavers     1,000 clients that disconnect at random times: how long their streams continue, and memory
flat        memory during ten minutes of short-lived listeners

Server and clients are separate processes on the same machine, which RESULTS.md describes.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager

SENTENCE = "The quick brown fox jumps over the lazy dog, and the dog does not mind. "
RATE = 24000
BODY = {"response_format": "pcm"}


def bare(port):
    """Serve espeak's chunks with plain Starlette."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    from voice_cli.backends.base import SpeechRequest
    from voice_cli.backends.local.espeak import EspeakBackend

    backend = EspeakBackend()

    async def speech(request):
        text = (await request.json())["input"]
        return StreamingResponse(iter(backend.synthesize(SpeechRequest(text))), media_type="audio/pcm")

    app = Starlette(routes=[Route("/v1/audio/speech", speech, methods=["POST"])])
    uvicorn.run(app, port=port, access_log=False, log_config=None)


@contextmanager
def serving(*command):
    """Run a server on a free port; yield the port and the process."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, *command, str(port)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield port, process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def voice(*more):
    return serving("-m", "voice_cli", "serve", "--quiet", *more, "--port")


def post(connection, text, **more):
    """Request speech; return the seconds to the first byte of the body, and the body's size."""
    body = json.dumps({"input": text, "model": "tts-1", **BODY, **more})
    began = time.perf_counter()
    connection.request("POST", "/v1/audio/speech", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    size = len(answer.read(1))
    first = time.perf_counter() - began
    return first, size + len(answer.read())


def first_byte(rounds):
    text = SENTENCE.strip()
    ways = {"bare Starlette": {}, "voice serve, the engine's rate": {"sample_rate": 22050}, "voice serve, 24 kHz": {}}
    ways |= {f"voice serve, {codec}": {"response_format": codec} for codec in ("wav", "mp3", "opus", "aac", "flac")}
    with serving(__file__, "--bare") as (bare_port, _), voice() as (port, _):
        connections = {
            way: http.client.HTTPConnection("127.0.0.1", bare_port if way.startswith("bare") else port) for way in ways
        }
        taken = {way: [] for way in ways}
        for turn in range(rounds + 5):
            for way, more in ways.items():
                seconds, size = post(connections[way], text, **more)
                assert size > 1000
                if turn >= 5:
                    taken[way].append(seconds)
    floor = statistics.median(taken["bare Starlette"])
    print("| | median, ms | p95, ms | over the bare route, ms |\n| --- | --- | --- | --- |")
    for way, times in taken.items():
        median, p95 = statistics.median(times), sorted(times)[int(0.95 * len(times))]
        print(f"| {way} | {1000 * median:.2f} | {1000 * p95:.2f} | {1000 * (median - floor):+.2f} |")


async def listen(port, text, lead, step):
    """Read a stream in real time, `lead` seconds after its first byte; return TTFB, maximum lateness and duration."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    body = json.dumps({"input": text, **BODY}).encode()
    head = "POST /v1/audio/speech HTTP/1.0\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    began = time.perf_counter()
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    status = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in status.partition(b"\r\n")[0] + b" ", status
    size = int(step * RATE) * 2
    late = []
    total = 0
    first = None
    while True:
        try:
            data = await reader.readexactly(size)
        except asyncio.IncompleteReadError as end:
            data = end.partial
        now = time.perf_counter()
        if first is None:
            first = now
        late.append(now - (first + lead + total / 2 / RATE))
        total += len(data)
        if len(data) < size:
            break
        await asyncio.sleep(max(0.0, first + total / 2 / RATE - time.perf_counter()))
    writer.close()
    return first - began, max(late), total / 2 / RATE


async def health(port, until, taken):
    while not until.is_set():
        began = time.perf_counter()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.0\r\nhost: localhost\r\n\r\n")
        await reader.read()
        writer.close()
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)


def rss(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def cpu(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _streams(port, pid, count, seconds):
    text = SENTENCE * max(1, round(seconds / 4.2))
    taken, over = [], asyncio.Event()
    probe = asyncio.create_task(health(port, over, taken))
    began, used = time.perf_counter(), cpu(pid)
    listeners = []
    for _ in range(count):
        listeners.append(asyncio.create_task(listen(port, text, 0.1, 0.1)))
        await asyncio.sleep(0.01)
    done = await asyncio.gather(*listeners)
    over.set()
    await probe
    elapsed = time.perf_counter() - began
    late = sum(worst > 0 for _, worst, _ in done)
    firsts = sorted(first for first, _, _ in done)
    taken.sort()
    print(
        f"- {count} listeners at once, {sum(s for _, _, s in done) / count:.1f} s of speech each: "
        f"{late} with a chunk that was late (100 ms after the first byte they play); the least margin "
        f"{-1000 * max(worst for _, worst, _ in done):.0f} ms\n"
        f"- first byte: median {1000 * statistics.median(firsts):.1f} ms, worst {1000 * firsts[-1]:.1f} ms\n"
        f"- `/health` meanwhile, {len(taken)} times: median {1000 * statistics.median(taken):.1f} ms, "
        f"p99 {1000 * taken[int(0.99 * len(taken))]:.1f} ms\n"
        f"- the server: {100 * (cpu(pid) - used) / elapsed:.0f} % of a core, {rss(pid):.0f} MB"
    )


def streams(count, seconds):
    with voice() as (port, process):
        asyncio.run(_streams(port, process.pid, count, seconds))


async def _leave(port, chance):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"input": SENTENCE * 100, "sample_rate": 8000, **BODY}).encode()
    head = "POST /v1/audio/speech HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await asyncio.sleep(chance.random() * 0.1)
    if chance.random() < 0.5:
        await reader.read(chance.randrange(1, 100_000))
    writer.transport.abort()


async def _active(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health HTTP/1.0\r\nhost: localhost\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])["streams"]


async def _leavers(port, pid, count):
    chance = random.Random(6)
    before = None
    waits = []
    for _ in range(count // 50):
        await asyncio.gather(*(_leave(port, chance) for _ in range(50)))
        began = time.perf_counter()
        while await _active(port):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.005)
        waits.append(time.perf_counter() - began)
        before = before or rss(pid)
    print(
        f"- {count} clients, 50 at once, that leave within 0.1 s: all streams over "
        f"{1000 * statistics.median(waits):.0f} ms after the last of 50 left "
        f"(median; worst {1000 * max(waits):.0f} ms)\n"
        f"- memory after the first 50: {before:.0f} MB; after all: {rss(pid):.0f} MB"
    )


def leavers(count):
    with voice() as (port, process):
        asyncio.run(_leavers(port, process.pid, count))


async def _flat(port, pid, minutes):
    end = time.monotonic() + 60 * minutes
    sizes = []

    async def one(chance):
        while time.monotonic() < end:
            await listen(port, SENTENCE * chance.randrange(1, 6), 0.1, 0.1)

    async def watch():
        while time.monotonic() < end:
            sizes.append(rss(pid))
            await asyncio.sleep(1)

    await asyncio.gather(watch(), *(one(random.Random(seed)) for seed in range(30)))
    tenth = max(1, len(sizes) // 10)
    tenths = [max(sizes[at : at + tenth]) for at in range(0, len(sizes), tenth)]
    print(
        f"- 30 listeners without a pause for {minutes:g} minutes: MB at most in each tenth: "
        f"{', '.join(f'{size:.0f}' for size in tenths)}"
    )


def flat(minutes):
    with voice() as (port, process):
        asyncio.run(_flat(port, process.pid, minutes))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", default=["first-byte", "streams", "leavers"])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--leavers", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare(options.bare)
        return
    parts = {
        "first-byte": lambda: first_byte(options.rounds),
        "streams": lambda: streams(options.listeners, options.seconds),
        "leavers": lambda: leavers(options.leavers),
        "flat": lambda: flat(options.minutes),
    }
    for part in options.parts:
        parts[part]()
        print()


if __name__ == "__main__":
    main()
