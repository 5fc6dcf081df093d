"""Does the device's latency hold? Runs of 9 s on null sinks, with cores kept busy, at several latencies.

    python tests/bench/device.py [--runs 20] [--seconds 9] [--busy 1] [--latencies 20,30,40] [--sinks ear,ear48]

`ear` plays at the stream's rate, on `ear48` PulseAudio resamples. *underflows* is what the device said, *broken* how
many runs were not heard sample for sample (on `ear`) or with a hole (on `ear48`), *TTFA* the median, as reported.
A virtual machine stands still now and then, and nothing can be played meanwhile: so on each core somebody watches who
only sleeps. *stalled* is how many of the runs with an underflow had a core that stood still for longer than the device
holds less a period of it, a quarter; *longest* the longest stand of all the runs.
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
    """One sleeper a core, each of which tells when it woke up late."""

    def __enter__(self) -> Self:
        self.stands: list[tuple[float, float]] = []
        """When a core went on, on `time.monotonic`, and after how many seconds."""
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
            self.stands.append((at, seconds))

    def longest(self, began: float) -> float:
        """Give the longest stand since then, in seconds."""
        return max((seconds for at, seconds in self.stands if at > began), default=0.0)


def row(audio: AudioServer, watch: Watch, url: str, sent: np.ndarray, latency: float, sink: str, runs: int) -> str:
    """Play so often at a latency (seconds) on a sink, and give the table's line."""
    reports, stands = [], []
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
        stands.append(watch.longest(began))
        broken += not (np.array_equal(heard.sound, sent) if sink == "ear" else not holes(heard.sound, 48000))
    flows = [report["device_underflows"] for report in reports]
    stalled = sum(flow > 0 and stand > 0.75 * latency for flow, stand in zip(flows, stands, strict=True))
    underruns = sum(report["underruns"] for report in reports)
    ttfa = statistics.median(report["ttfa_ms"] for report in reports)
    cells = (sum(flows), sum(map(bool, flows)), stalled, f"{1000 * max(stands):.0f}", broken, underruns, f"{ttfa:.0f}")
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
