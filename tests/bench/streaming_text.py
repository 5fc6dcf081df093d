"""Streamed text: time to first audio, gaps, speed, and memory with endless input.

    python tests/bench/streaming_text.py [--rounds 10] [--words 2000] [--heard 150] [--seconds 60]

The embedded voice plays on a null sink of the same rate. *comma to sound* is the time from writing the token with the
first comma, the ninth of thirty at 40 tokens per second, to the first audible sample at the sink's monitor. The long
text is saved to a file to measure the speed. Its first `--heard` words are played and saved: silences that are not in
the file are gaps. The endless text is that of `yes "and so on,"`; memory is the resident set.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import wave
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.sound import VOICE, AudioServer, holes
from voice_cli.pcm.levels import AUDIBLE

SINK = "ear22"
TOKENS_A_SECOND = 40
SENTENCE = (
    "On the first day of the new year, the old man took his hat and his stick and went slowly down to the harbour"
    " where the boats were lying still."
)
PARAGRAPH = (
    "The harbour was empty, and the wind had gone to sleep. Nobody was there to see him, but for a cat; she did not"
    " care. He sat down on a heap of ropes, lit his pipe, and waited for the moon to come up over the water, as he had"
    " done on every evening of that summer. Would it come? It always did, sooner or later, at 9.30 pm or so.\n\n"
)


def start(audio: AudioServer, *arguments: str, cwd: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*VOICE, "say", "--backend", "espeak", "--json", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=audio.environment(SINK),
        cwd=cwd,
    )


def text_of(words: int) -> str:
    """Return prose of that many words."""
    pieces = re.findall(r"\s*\S+", PARAGRAPH) * (words // len(PARAGRAPH.split()) + 1)
    return "".join(pieces[:words]).strip() + "."


def comma_to_sound(audio: AudioServer, folder: str) -> float:
    """Return the seconds from the comma to the first audible sample."""
    comma_at = 0.0
    with audio.record(SINK) as heard:
        process = start(audio, cwd=folder)
        time.sleep(0.5)  # a model also starts with a delay
        due = time.monotonic()
        for token in re.findall(r"\s*\S+", SENTENCE):
            process.stdin.write(token.encode())
            process.stdin.flush()
            if not comma_at and "," in token:
                comma_at = time.monotonic()
            due += 1 / TOKENS_A_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
        process.communicate(timeout=60)
    samples = heard.samples[:, 0].astype(int)
    return heard.exact_time_of(int(np.flatnonzero(np.abs(samples) >= AUDIBLE)[0])) - comma_at


def made(audio: AudioServer, text: str, folder: str) -> dict[str, float]:
    """Save the text as a file and measure the speed."""
    began = time.monotonic()
    process = start(audio, "--no-play", "-o", "book.wav", cwd=folder)
    out, _ = process.communicate(text.encode(), timeout=600)
    took = time.monotonic() - began
    report = json.loads(out)
    assert report["text_spoken"].split() == text.split()
    with wave.open(os.path.join(folder, "book.wav")) as saved:
        seconds = saved.getnframes() / saved.getframerate()
    return {"seconds": took, "audio": seconds, "utterances": len(report["utterances"])}


def played(audio: AudioServer, text: str, folder: str) -> dict[str, object]:
    """Play and save the text, and compare the recording to the file."""
    with audio.record(SINK) as heard:
        process = start(audio, "-o", "heard.wav", cwd=folder)
        for token in re.findall(r"\s*\S+", text):
            process.stdin.write(token.encode())
            process.stdin.flush()
            time.sleep(1 / TOKENS_A_SECOND)
        out, _ = process.communicate(timeout=1200)
    report = json.loads(out)
    with wave.open(os.path.join(folder, "heard.wav")) as saved:
        reference = np.frombuffer(saved.readframes(10**9), "<i2")
    audible = np.flatnonzero(reference)
    reference = reference[audible[0] : audible[-1] + 1]
    sound = heard.sound[:, 0]
    gaps = len(holes(sound[:, None], heard.rate, 0.003)) - len(holes(reference[:, None], heard.rate, 0.003))
    return {
        "underruns": report["underruns"],
        "device underflows": report["device_underflows"],
        "gaps": gaps,
        "sample for sample": np.array_equal(sound, reference),
        "audio": len(sound) / heard.rate,
        "in order, once": report["text_spoken"].split() == text.split(),
    }


def memory_of(process: subprocess.Popen) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def endless(audio: AudioServer, seconds: float, folder: str) -> list[tuple[float, float, int]]:
    """Return (seconds, megabytes resident, bytes written by the writer) over time."""
    process = start(audio, cwd=folder)
    taken = [0]

    def write() -> None:
        try:
            while True:
                taken[0] += os.write(process.stdin.fileno(), b"and so on,\n" * 90)
        except OSError:
            return

    threading.Thread(target=write, daemon=True).start()
    began = time.monotonic()
    found = []
    while (at := time.monotonic() - began) < seconds:
        time.sleep(min(1.0, seconds - at))
        found.append((time.monotonic() - began, memory_of(process), taken[0]))
    process.send_signal(signal.SIGINT)
    ended = time.monotonic()
    process.stdout.read()
    process.wait(10)
    print(f"Ctrl-C to the end of the process: {1000 * (time.monotonic() - ended):.0f} ms, exit {process.returncode}\n")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--words", type=int, default=2000)
    parser.add_argument("--heard", type=int, default=150, help="words to play")
    parser.add_argument("--seconds", type=float, default=60.0, help="of endless text")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        audio = AudioServer(Path(folder))
        try:
            delays = [1000 * comma_to_sound(audio, folder) for _ in range(options.rounds)]
            if delays:
                print(
                    f"comma to sound: median {statistics.median(delays):.0f} ms, worst {max(delays):.0f} ms of"
                    f" {len(delays)} (wanted: 150 ms)\n"
                )
            if options.words:
                speed = made(audio, text_of(options.words), folder)
                print(
                    f"{options.words} words: {speed['audio']:.0f} s of sound in {speed['utterances']} utterances,"
                    f" made in {speed['seconds']:.1f} s, {speed['audio'] / speed['seconds']:.0f} × real time\n"
                )
            if options.heard:
                for name, value in played(audio, text_of(options.heard), folder).items():
                    print(f"{options.heard} words played: {name}: {value}")
                print()
            if options.seconds:
                print("| s | resident, MB | taken, KB |\n| ---: | ---: | ---: |")
                found = endless(audio, options.seconds, folder)
                step = max(1, len(found) // 12)
                for at, memory, taken in found[::step]:
                    print(f"| {at:.0f} | {memory:.1f} | {taken / 1000:.0f} |")
                print(f"\nmost: {max(memory for _, memory, _ in found):.1f} MB (wanted: flat, under 150)")
        finally:
            audio.close()


if __name__ == "__main__":
    main()
