"""Underflows at several device latencies: runs of 9 s on null sinks, with busy cores.

    python tests/bench/device.py [--runs 20] [--seconds 9] [--busy 1] [--latencies 20,30,40] [--sinks ear,ear48]

`ear` has the stream's rate; on `ear48` PulseAudio resamples. *underflows* are those reported by the device, *broken* is
the number of runs with different samples (on `ear`) or a gap (on `ear48`), *TTFA* is the median reported. A virtual
machine stalls occasionally, and playback with it, so a process on each core sleeps and reports late wake-ups. *stalled*
is the number of runs with an underflow and a stall longer than three quarters of the device's buffer (all but one
period); *longest* is the longest stall of all runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.server import Answer, SpeechServer
from support.sound import AudioServer, holes, speech

ARGUMENTS = ("say", "x", "--json", "--backend", "http", "--base-url")

PROGRAM = """
import sys
from voice_cli.playback.sinks import device
device.LATENCY = float(sys.argv[1])
from voice_cli.cli.start import start
sys.exit(start(sys.argv[2:]))
"""

WATCH = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
while True:
    began = time.monotonic()
    time.sleep(0.002)
    now = time.monotonic()
    if now - began > 0.007:
        print(now, now - began - 0.002, flush=True)
"""


class Watch:
    """Detects stalls: one process per core sleeps and reports late wake-ups."""

    def __enter__(self) -> Self:
        self.stalls: list[tuple[float, float]] = []
        """(End of the stall on `time.monotonic`, its seconds)."""
        self._sleepers = [
            subprocess.Popen([sys.executable, "-c", WATCH, str(core)], stdout=subprocess.PIPE, text=True)
            for core in sorted(os.sched_getaffinity(0))
        ]
        for sleeper in self._sleepers:
            threading.Thread(target=self._read, args=(sleeper,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        for sleeper in self._sleepers:
            sleeper.kill()
            sleeper.wait()

    def _read(self, sleeper: subprocess.Popen[str]) -> None:
        assert sleeper.stdout is not None
        for line in sleeper.stdout:
            at, seconds = map(float, line.split())
            self.stalls.append((at, seconds))

    def longest(self, began: float) -> float:
        """Return the longest stall since then, in seconds."""
        return max((seconds for at, seconds in self.stalls if at > began), default=0.0)


def row(audio: AudioServer, watch: Watch, url: str, sent: np.ndarray, latency: float, sink: str, runs: int) -> str:
    """Play `runs` times at a latency (seconds) on a sink, and return the row of the table."""
    reports, stalls = [], []
    broken = 0
    for _ in range(runs):
        began = time.monotonic()
        with audio.record(sink) as heard:
            done = subprocess.run(
                [sys.executable, "-c", PROGRAM, str(latency), *ARGUMENTS, url],
                env=audio.environment(sink),
                capture_output=True,
                check=True,
            )
        reports.append(json.loads(done.stdout))
        stalls.append(watch.longest(began))
        broken += not (np.array_equal(heard.sound, sent) if sink == "ear" else not holes(heard.sound, 48000))
    flows = [report["device_underflows"] for report in reports]
    stalled = sum(flow > 0 and stall > 0.75 * latency for flow, stall in zip(flows, stalls, strict=True))
    underruns = sum(report["underruns"] for report in reports)
    ttfa = statistics.median(report["ttfa_ms"] for report in reports)
    cells = (sum(flows), sum(map(bool, flows)), stalled, f"{1000 * max(stalls):.0f}", broken, underruns, f"{ttfa:.0f}")
    return f"| {1000 * latency:g} | {sink} | {' | '.join(map(str, cells))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=9.0)
    parser.add_argument("--busy", type=int, default=1, help="cores to keep busy")
    parser.add_argument("--latencies", default="30")
    parser.add_argument("--sinks", default="ear,ear48")
    options = parser.parse_args()
    sent = speech(options.seconds)
    answer = Answer(sent.tobytes(), first_byte=0.15, chunk=960, byte_rate=2 * 48000)
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    print(f"{options.runs} runs of {options.seconds:g} s, {options.busy} of {os.cpu_count()} cores kept busy\n")
    print("| latency, ms | sink | underflows | runs with one | stalled | longest, ms | broken | underruns | TTFA, ms |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder, SpeechServer(answer) as server:
        audio = AudioServer(Path(folder))
        try:
            with Watch() as watch:
                for latency in map(float, options.latencies.split(",")):
                    for sink in options.sinks.split(","):
                        print(row(audio, watch, server.url, sent, latency / 1000, sink, options.runs), flush=True)
        finally:
            audio.close()
            for process in load:
                process.kill()


if __name__ == "__main__":
    main()
