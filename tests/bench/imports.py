"""Imports before the request is sent, and start-up time relative to a bare interpreter.

    python tests/bench/imports.py [--rounds 21] [--shown 25]

The modules are those that `voice say` has imported when its backend has sent the request, without those of a bare
interpreter. Their cost is from `-X importtime`; *own* excludes nested imports. As its timer makes imports slower,
process starts are timed without it, in turns, as medians and as multiples of `python -c pass`. The targets are in
DESIGN.md (order of work at start).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.environment import clean
from support.server import Answer, SpeechServer
from support.start_order import PROGRAM, imports_before_request

TARGETS = {"voice --version": 3.0, "voice say --help": 12.0}
"""Multiples of a bare interpreter's start."""


def voice() -> list[str]:
    """Return the command of this environment's console script."""
    script = Path(sys.executable).with_name("voice")
    return [str(script)] if script.exists() else [sys.executable, "-m", "voice_cli"]


def print_modules(backend: str, arguments: list[str], environment: dict[str, str], rounds: int, shown: int) -> None:
    """Print the imports before the request with their median cost."""
    runs = [imports_before_request(backend, *arguments, environment=environment) for _ in range(rounds)]
    costs: dict[str, list[tuple[float, float]]] = {}
    for run in runs:
        for one in run:
            costs.setdefault(one.name, []).append((one.own, one.whole))
    rows = [(name, *(statistics.median(column) for column in zip(*each, strict=True))) for name, each in costs.items()]
    total = statistics.median(sum(one.own for one in run) for run in runs)
    print(f"\n**Before the request, {backend}**: {len(rows)} modules, {total / 1000:.1f} ms\n")
    print("| module | own, ms | with what it imports, ms |")
    print("| --- | ---: | ---: |")
    rows.sort(key=lambda row: -row[1])
    for name, own, whole in rows[:shown]:
        print(f"| `{name}` | {own / 1000:.2f} | {whole / 1000:.2f} |")
    if rest := rows[shown:]:
        print(f"| {len(rest)} more | {sum(own for _, own, _ in rest) / 1000:.2f} | |")
        print(f"\nThe others: {', '.join(f'`{name}`' for name in sorted(name for name, _, _ in rest))}.")


def print_starts(environment: dict[str, str], rounds: int, url: str) -> None:
    """Print the time of each process, also as a multiple of a bare interpreter's."""
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "voice --version": [*voice(), "--version"],
        "voice say --help": [*voice(), "say", "--help"],
        "voice say, until the request has left (http)": [sys.executable, "-c", PROGRAM, "1", "http", "--base-url", url],
        "voice say, until the engine is asked (espeak)": [sys.executable, "-c", PROGRAM, "1", "espeak"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(rounds + 1):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)
            if turn:  # the first run writes the bytecode
                taken[name].append(time.perf_counter() - began)
    bare = statistics.median(taken["python -c pass"])
    print("| process | median, ms | × a bare interpreter | over it, ms | target |")
    print("| --- | ---: | ---: | ---: | --- |")
    for name, times in taken.items():
        median = statistics.median(times)
        target = TARGETS.get(name)
        verdict = "" if target is None else f"< {target:g} ×: {'met' if median < target * bare else 'MISSED'}"
        print(f"| `{name}` | {1000 * median:.1f} | {median / bare:.2f} | {1000 * (median - bare):.1f} | {verdict} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--shown", type=int, default=20, help="modules to list separately")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, SpeechServer(Answer(b"\1\2" * 100)) as server:
        environment = clean(HOME=home)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        print_starts(environment, options.rounds, server.url)
        for backend, arguments in (("http", ["--base-url", server.url]), ("espeak", [])):
            print_modules(backend, arguments, environment, options.rounds, options.shown)


if __name__ == "__main__":
    main()
