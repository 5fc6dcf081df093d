"""Does the device's latency hold? Runs of 9 s on null sinks, with cores kept busy, at several latencies.

    python tests/bench/device.py [--runs 20] [--seconds 9] [--busy 1] [--latencies 20,30,40] [--sinks ear,ear48]

`ear` plays at the stream's rate, on `ear48` PulseAudio resamples. *underflows* is what the device said, *broken* how
many runs were not heard sample for sample (on `ear`) or with a hole (on `ear48`), *TTFA* the median, as reported.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

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
    print("| latency, ms | sink | underflows | runs with one | broken | underruns | TTFA, ms |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder, SpeechServer(answer) as server:
        audio = AudioServer(Path(folder))
        try:
            for latency in map(float, options.latencies.split(",")):
                for sink in options.sinks.split(","):
                    reports = []
                    broken = 0
                    for _ in range(options.runs):
                        with audio.record(sink) as heard:
                            done = subprocess.run(
                                [sys.executable, "-c", PROGRAM, str(latency / 1000), *ARGUMENTS, server.url],
                                env=audio.environment(sink),
                                capture_output=True,
                                check=True,
                            )
                        reports.append(json.loads(done.stdout))
                        whole = np.array_equal(heard.sound, sent) if sink == "ear" else not holes(heard.sound, 48000)
                        broken += not whole
                    flows = [report["device_underflows"] for report in reports]
                    runs = sum(report["underruns"] for report in reports)
                    ttfa = statistics.median(report["ttfa_ms"] for report in reports)
                    cells = (f"{latency:g}", sink, sum(flows), sum(map(bool, flows)), broken, runs, f"{ttfa:.0f}")
                    print(f"| {' | '.join(map(str, cells))} |")
        finally:
            audio.close()
            for process in load:
                process.kill()


if __name__ == "__main__":
    main()
