"""`voice bench`: backends, formats and devices side by side, measured as a listener meets them.

The targets take turns, so that whatever else the machine and the network are doing meets all of them. A cold run is
`voice say` itself in a new process; a warm one keeps the process, the connection and the sound library, and begins
with a run that does not count. Nothing is drawn while a run is under way: a spinner would take its processor.
"""

import json
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from voice_cli.audio import CODECS
from voice_cli.backends import BACKENDS
from voice_cli.cli.bench_figures import FIGURES, Measured, as_object, shown, summary, tsv
from voice_cli.cli.bench_runs import Run, Target, WarmRunner, cold_run, failed_run, known_secrets
from voice_cli.cli.console import report_error, say_to_person, silence_libraries
from voice_cli.cli.options import SayOptions
from voice_cli.config import Config, load, settle
from voice_cli.errors import ConfigError, FileError, Interrupted, UsageError, VoiceError

SENTENCE = "From text to sound, in one line and in no time at all."

HOPELESS = frozenset({2, 3, 4, 5, 9, 11})
"""Exit codes of what asking again does not mend, or makes worse: usage, settings, keys, quotas, devices, engines."""


WIDE = 100
"""Columns of a terminal on which median and percentile stand side by side."""


class BenchOptions(NamedTuple):
    """What the command line says."""

    text: tuple[str, ...] = ()
    flags: Mapping[str, Any] = {}
    """What goes to `voice say`, by the names of `SayOptions`."""
    formats: str | None = None
    """Names of codecs, with commas between; None: what the settings say."""
    runs: int = 5
    """Of each target."""
    every_profile: bool = False
    warm: bool = False
    json: bool = False
    html: str | None = None
    """Where the page goes."""
    debug: bool = False


def bench(options: BenchOptions) -> int:
    """Measure, print, and give the exit code: 130 if it was broken off, else the highest of all the runs."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    try:
        config = load()
        targets = make_targets(options, config)
        text = read_text(options.text)
        if options.html is not None:
            check_writable(options.html)
    except Exception as exc:
        return report_error(exc, debug=options.debug)
    secrets = known_secrets([*config.profiles.values(), *(target.settings.profile for target in targets)])
    runs: list[list[Run]] = [[] for _ in targets]
    interrupted = False
    try:
        measure(targets, text, options, secrets, runs)
    except KeyboardInterrupt:
        interrupted = True
    measured = [Measured(*each) for each in zip(targets, runs, strict=True)]
    code = Interrupted.exit_code if interrupted else max(each.exit_code for each in measured)
    if options.json:
        print(json.dumps(_object(measured, text, options, code), ensure_ascii=False))  # noqa: T201
    else:
        print_table(measured)
    if options.html is not None:
        from voice_cli.cli.bench_page import About, page

        try:
            write(options.html, page(measured, About.of_now(text, warm=options.warm, interrupted=interrupted)))
        except Exception as exc:
            return report_error(exc, debug=options.debug)
        say_to_person(f"the page is in {options.html}")
    return code


def read_text(words: Sequence[str]) -> str:
    """Find the text: the arguments, standard input for `-`, or a sentence of our own.

    Raises:
        UsageError: it is blank.

    """
    text = sys.stdin.buffer.read().decode("utf-8-sig", "replace") if words == ("-",) else " ".join(words)
    if words and not text.strip():
        raise UsageError("there is nothing to say: the text is blank")
    return text if words else SENTENCE


def make_targets(options: BenchOptions, config: Config) -> list[Target]:
    """Work out what is to be measured: each profile that is asked for, in each format.

    Raises:
        UsageError, ConfigError: it cannot be.

    """
    flags = dict(options.flags)
    formats: list[str | None] = [None]
    if options.formats is not None:
        formats = list(dict.fromkeys(word.strip() for word in options.formats.split(",")))
        for name in formats:
            if name not in CODECS:
                raise UsageError(f"--format takes {', '.join(CODECS)}, with commas between; {name!r} is none")
    SayOptions(**flags).check()
    profiles: list[str | None] = [flags.get("profile")]
    if options.every_profile:
        given = [f"--{name.replace('_', '-')}" for name in ("profile", "backend", "base_url") if flags.get(name)]
        if given:
            raise UsageError(f"--all and {given[0]} do not go together: a profile says who speaks")
        if not config.profiles:
            raise ConfigError(f"--all: there is no profile in {config.path}", hint="voice config init writes examples")
        profiles = list(config.profiles)
    return [
        _target(config, {**flags, "profile": profile, "format": codec}, alone=not options.every_profile)
        for profile in profiles
        for codec in formats
    ]


def _target(config: Config, flags: Mapping[str, Any], *, alone: bool) -> Target:
    try:
        settings = settle(config, flags, backend_names=BACKENDS)
    except VoiceError as exc:
        name = flags["profile"]
        if alone:
            raise
        defaults = settle(Config(config.path), {"backend": next(iter(BACKENDS))}, {})
        return Target(name, flags, defaults._replace(profile_name=name, profile=config.profiles[name]), exc)
    return Target(settings.profile_name or settings.profile.backend or "", flags, settings)


def measure(
    targets: Sequence[Target], text: str, options: BenchOptions, secrets: Iterable[str], runs: Sequence[list[Run]]
) -> None:
    """Run the targets in turn, and put each run in its target's list as it is done."""
    if options.warm:
        silence_libraries()
    warm = [WarmRunner(target) if options.warm and not target.fault else None for target in targets]
    try:
        with Progress(len(targets) * options.runs) as progress:
            for number in range(options.runs):
                for target, runner, done in zip(targets, warm, runs, strict=True):
                    progress.show(target)
                    if not (done and done[-1].exit_code in HOPELESS):
                        done.append(_run(target, runner, text, secrets, first=not number))
                    progress.advance()
    finally:
        for runner in warm:
            if runner is not None:
                runner.close()


def _run(target: Target, warm: WarmRunner | None, text: str, secrets: Iterable[str], *, first: bool) -> Run:
    if target.fault is not None:
        return failed_run(target.fault, secrets)
    if warm is None:
        return cold_run(target, text, secrets)
    if first:
        run = warm.run(text, secrets)
        if run.exit_code in HOPELESS:
            return run
    return warm.run(text, secrets)


def _interrupt(_number: int, _frame: object) -> None:
    """Make a signal that asks us to end what Ctrl-C is."""
    raise KeyboardInterrupt


class Progress:
    """A bar on standard error, if that is a terminal; drawn between the runs, never during one."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(file=sys.stderr), auto_refresh=False, transient=True)
            self._task = self._bar.add_task("", total=self._total)
            self._bar.start()
        return self

    def show(self, target: Target) -> None:
        """Say what is being measured."""
        if self._bar is not None:
            from rich.markup import escape

            self._bar.update(self._task, description=escape(f"{target.name} · {target.format}"), refresh=True)

    def advance(self) -> None:
        """Count a run as done."""
        if self._bar is not None:
            self._bar.update(self._task, advance=1, refresh=True)

    def __exit__(self, *_exc: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def print_table(measured: Sequence[Measured]) -> None:
    """Print medians with 95th percentiles: for a person on a terminal, tabs and names for a program in a pipe."""
    if not sys.stdout.isatty():
        for line in tsv(measured):
            print(line)  # noqa: T201
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    is_wide = console.width >= WIDE
    between = " · " if is_wide else "\n"
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("target", overflow="fold")
    table.add_column("format")
    table.add_column("runs", justify="right")
    for column in FIGURES:
        title = f"{column.title}{f', {column.unit}' if column.unit else ''}"
        table.add_column(title if is_wide else title.replace("under", "under-\n"), justify="right", no_wrap=True)
    for each in measured:
        cells = [Text(each.target.name), Text(each.target.format), Text(f"{len(each.complete)}/{len(each.runs)}")]
        for column, found in zip(FIGURES, summary(each).values(), strict=True):
            if found is None:
                cells.append(Text("–", style="dim"))
            else:
                cells.append(Text(shown(found.median, column.unit)))
                cells[-1].append(f"{between}{shown(found.p95, column.unit)}", style="dim")
        table.add_row(*cells)
    console.print(table)
    for each in measured:
        if each.error:
            console.print(Text(f"{each.target.name} · {each.target.format}: {each.error}", style="red"))
    console.print(Text("median · 95th percentile of the complete runs", style="dim"))


def _object(measured: Sequence[Measured], text: str, options: BenchOptions, code: int) -> dict[str, Any]:
    return {
        "text": text,
        "mode": "warm" if options.warm else "cold",
        "played": not options.flags.get("no_play"),
        "exit_code": code,
        "targets": [as_object(each) for each in measured],
    }


def check_writable(path: str) -> None:
    """See before the first run that the page can be written after the last one.

    Raises:
        FileError: it cannot.

    """
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        raise FileError(f"cannot write {path}: it is a folder")
    if not os.path.isdir(folder):
        raise FileError(f"cannot write {path}: there is no folder {folder}")
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise FileError(f"cannot write {path}: permission denied")


def write(path: str, text: str) -> None:
    """Write the page.

    Raises:
        FileError: it cannot be written.

    """
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc
