"""The cost of a callback on the audio thread, as a share of the callback period.

    python tests/bench/callback.py [--pulls 10000] [--latency 40]

The period is the one that PortAudio requests on a null sink (without one, set it with --period). A thread pulls 10,000
blocks at fixed intervals, while a pump thread decodes MP3 and refills the ring:

- *ring* is the copy alone and *pull* is `SinkSource.pull`, both in a tight loop without other threads;
- *pull beside a pump* is the same while another thread competes for the GIL;
- *wake to filled* counts from the due time: wake-up, wait for the GIL, pull. *wake alone* is the same thread without
  a pull or a pump: the scheduling latency of the system.

*over* counts the calls that took more than a tenth of the period; the worst *pull beside a pump* must be below that.
All times are wall times: on a busy machine, the latency in *wake alone* is in the other rows, too.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import material
from support.sound import AudioServer, missing
from voice_cli import codecs
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.playback.player import SWITCH_INTERVAL
from voice_cli.playback.ring_buffer import RingBuffer
from voice_cli.playback.sink_source import SinkSource

MONO = AudioFormat(24000, 1)
ALLOWED = 0.1
"""Share of a period."""

PERIOD_PROGRAM = """
import sys, time
from voice_cli.audio import AudioFormat
from voice_cli.playback.sinks.device import DeviceSink
sizes = []
sink = DeviceSink(latency=float(sys.argv[1]) or None)
sink.open(AudioFormat(24000, 1))
sink.start(lambda out, at, underflow: (sizes.append(len(out) // 2), out.__setitem__(slice(None), bytes(len(out)))))
time.sleep(1.5)
sink.close()
print(*sizes)
"""


def device_period(latency: float) -> int | None:
    """Return the frames per PortAudio callback on a 24 kHz null sink, or None without PulseAudio."""
    if missing():
        return None
    with tempfile.TemporaryDirectory() as folder:
        audio = AudioServer(Path(folder))
        try:
            with audio.record():
                done = subprocess.run(
                    [sys.executable, "-c", PERIOD_PROGRAM, str(latency)],
                    env=audio.environment(),
                    capture_output=True,
                    text=True,
                    check=True,
                )
        finally:
            audio.close()
    sizes = Counter(map(int, done.stdout.split()))
    return sizes.most_common(1)[0][0] if sizes else None


class Pump(threading.Thread):
    """Decodes MP3 and writes it as fast as the ring has room, until stopped."""

    def __init__(self, source: SinkSource) -> None:
        super().__init__(daemon=True)
        self._source = source
        self._data = material.encoded("mp3", MONO, 20.0, seekable=False)
        self.stop = False

    def run(self) -> None:
        while not self.stop:
            found = codecs.open_decoder(None, Encoding("mp3"), self._data[:4096], final=False)
            assert found is not None
            decoder = found[1]
            for at in range(0, len(self._data), 4096):
                for chunk in decoder.decode(self._data[at : at + 4096]):
                    view = memoryview(chunk.data)
                    while view and not self.stop:
                        view = view[self._source.write(view) :]
                        self._source.open_gate()
                        if view:
                            time.sleep(0.0005)
                if self.stop:
                    return


def timed(action: Callable[[], object], count: int) -> list[float]:
    """Call `action` `count` times and return the microseconds of each call."""
    clock = time.perf_counter_ns
    times = []
    for _ in range(count):
        began = clock()
        action()
        times.append((clock() - began) / 1000)
    return times


def paced(action: Callable[[], object], count: int, interval: float) -> tuple[list[float], list[float]]:
    """Call `action` every `interval` seconds; return the microseconds from start to end and from due time to end."""
    clock = time.perf_counter
    calls, whole = [], []
    due = clock()
    for _ in range(count):
        due = max(due + interval, clock())
        while (left := due - clock()) > 0:
            time.sleep(left)
        began = clock()
        action()
        ended = clock()
        calls.append(1e6 * (ended - began))
        whole.append(1e6 * (ended - due))
    return calls, whole


def print_row(name: str, times: list[float], period: float) -> None:
    """Print a row. `times`: microseconds; `period`: seconds."""
    middle, worst = statistics.median(times), max(times)
    rare = sorted(times)[int(len(times) * 0.999)]
    over = sum(one > 1e6 * period * ALLOWED for one in times)
    share = worst / period / 1e4
    print(f"| {name} | {middle:.1f} | {rare:.1f} | {worst:.1f} | {share:.1f} % | {over} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pulls", type=int, default=10_000)
    parser.add_argument("--latency", type=float, default=0.0, help="of the device, ms; 0: the player's own")
    parser.add_argument("--period", type=int, help="frames a callback")
    options = parser.parse_args()
    found = options.period or device_period(options.latency / 1000)
    frames = found or 240
    period = frames / MONO.rate
    sys.setswitchinterval(SWITCH_INTERVAL)
    block = memoryview(bytearray(frames * MONO.frame_bytes))
    where = "the device's" if found else "assumed"
    print(f"{options.pulls} calls of {frames} frames: a period of {1000 * period:.1f} ms ({where})\n")
    print("| | median, µs | 99.9 %, µs | worst, µs | worst of the period | over 10 % |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")

    ring = RingBuffer(30 * 2 * MONO.rate)
    filler = bytes(len(block))
    ring.write(bytes(1000))

    def turn_ring() -> None:
        ring.write(filler)
        ring.read_into(block)

    print_row("ring: write and read", timed(turn_ring, options.pulls), period)

    source = SinkSource(MONO, 30.0)
    whole = bytes(MONO.rate * 2 * 29)
    times: list[float] = []
    source.open_gate()
    while len(times) < options.pulls:
        source.write(whole)
        source.open_gate()
        some = min(options.pulls - len(times), len(whole) // len(block) - 2)
        times += timed(lambda: source.pull(block, time.monotonic()), some)
    print_row("pull", times, period)

    _, alone = paced(lambda: None, options.pulls, min(period, 0.002))
    source = SinkSource(MONO, 2.0)
    pump = Pump(source)
    codecs.preload("mp3")
    pump.start()
    while not source.is_open:
        time.sleep(0.001)
    calls, woken = paced(lambda: source.pull(block, time.monotonic()), options.pulls, min(period, 0.002))
    pump.stop = True
    pump.join()
    print_row("pull beside a pump", calls, period)
    print_row("wake alone", alone, period)
    print_row("wake to filled", woken, period)
    print(
        f"\nUnderruns of the pump meanwhile: {source.underrun_count}; blocks every {1000 * min(period, 0.002):.1f} ms."
    )


if __name__ == "__main__":
    main()
