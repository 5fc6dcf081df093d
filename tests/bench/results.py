"""Run all benchmarks in turn and write RESULTS.md in this folder (`make bench`).

    python tests/bench/results.py [--quick] [--only imports,callback]

It takes about twenty minutes on an otherwise idle machine. `--quick` runs a few rounds of each, as a smoke test; with
it, or with `--only`, the results are printed and not written.
"""

import argparse
import datetime as dt
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from players import machine

from voice_cli.playback.sinks.device import LATENCY

HERE = Path(__file__).resolve().parent

AT = ("--latencies", f"{1000 * LATENCY:g}")
"""The latency that the player requests from a device."""


class Part(NamedTuple):
    """One run of one benchmark."""

    name: str
    title: str
    arguments: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    """Arguments for a short run."""
    note: str = ""
    python: str = ""
    """Another interpreter than this one, if it exists: its path in the checkout."""


PARTS = (
    Part(
        "players",
        "From Enter to sound, side by side",
        ("--rounds", "7"),
        ("--rounds", "1"),
        "*added* is the time from the start of the process to the first audible sample at the sink's monitor, without "
        "the server's 150 ms and the silence at the head of the stream; *voice's / its* is under 1 where `voice say` "
        "is the sooner one.",
    ),
    Part("device", "The device, with nothing else to do", (*AT, "--busy", "0"), (*AT, "--busy", "0", "--runs", "1")),
    Part("device", "The device, with one core kept busy", (*AT, "--busy", "1"), (*AT, "--busy", "1", "--runs", "1")),
    Part(
        "callback",
        "The callback",
        (),
        ("--pulls", "1000"),
        "*pull* is what runs on the audio thread; *wake to filled* counts from the moment at which it was due, and "
        "*wake alone* is what the system does to a thread that does nothing.",
    ),
    Part("imports", "Before the request leaves", (), ("--rounds", "3")),
    Part("decoders", "Decoders", (), ("--rounds", "1", "--seconds", "5")),
    Part("encoders", "Encoders", (), ("--rounds", "1", "--seconds", "5")),
    Part(
        "neural",
        "Neural voices",
        ("--runs", "5"),
        ("--runs", "1"),
        "Of this checkout's `.venv-voices`, if it exists (`make test-voices`).",
        python=".venv-voices/bin/python",
    ),
    Part("server", "The server", ("first-byte", "streams", "leavers"), ("first-byte", "--rounds", "5")),
)


def run(part: Part, *, quick: bool) -> str:
    """Run a benchmark and return its output as a section."""
    arguments = part.quick if quick else part.arguments
    environment = {**os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    other = HERE.parents[1] / part.python
    python = str(other) if part.python and other.exists() else sys.executable
    command = [python, str(HERE / f"{part.name}.py"), *arguments]
    print(f"{part.title} …", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{part.name}.py failed ({done.returncode})")
    line = " ".join(["python", f"tests/bench/{part.name}.py", *arguments])
    note = f"{part.note}\n\n" if part.note else ""
    return f"## {part.title}\n\n`{line}`\n\n{note}{done.stdout.strip()}\n"


def versions() -> str:
    """Return the versions of packages and programs."""
    packages = ("av", "numpy", "pycurl", "sounddevice", "typer")
    found = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    for program in ("curl", "mpv", "ffplay", "aplay", "espeak-ng", "pulseaudio"):
        if shutil.which(program):
            flag = "-version" if program == "ffplay" else "--version"
            done = subprocess.run([program, flag], capture_output=True, text=True, check=False)
            words = (done.stdout or done.stderr).splitlines()[0].split()
            number = next((word for word in words if word.lstrip("v")[:1].isdigit()), "?")
            found.append(f"{program} {number}")
    return ", ".join(found)


def commit() -> str:
    """Return the commit, if any."""
    done = subprocess.run(
        ["git", "-C", str(HERE), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "no commit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="names, separated by commas")
    options = parser.parse_args()
    chosen = [part for part in PARTS if not options.only or part.name in options.only.split(",")]
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"this machine has other work (load {busy:.1f}): the results will show it", file=sys.stderr)
    head = (
        "# Results\n\n"
        "Written by `make bench`; what each figure means stands at the top of the program that is named.\n\n"
        f"- {dt.datetime.now(dt.UTC):%Y-%m-%d}, commit {commit()}, load {busy:.1f} at the start\n"
        f"- {machine()}\n- {versions()}\n"
    )
    text = "\n".join([head, *(run(part, quick=options.quick) for part in chosen)])
    if options.quick or options.only:
        print(text)
    else:
        (HERE / "RESULTS.md").write_text(text, encoding="utf-8")
        print(f"written: {HERE / 'RESULTS.md'}", file=sys.stderr)


if __name__ == "__main__":
    main()
