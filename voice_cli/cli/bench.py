"""`voice bench`: backends, formats and devices side by side, measured from the request to the first sound.

The targets take turns, so that other load on the machine and the network affects all of them. A cold run is `voice say`
in a new process; a warm run keeps the process, the connection and the sound library, and the first one is not counted.
Nothing is drawn during a run, since drawing takes processor time.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from voice_cli.backends import BACKENDS
from voice_cli.bench.figures import Measured, as_object
from voice_cli.bench.runs import Run, Target, clean, cold_run, known_secrets
from voice_cli.bench.terminal import print_table, progress_bar
from voice_cli.bench.trace import TRACE_ENV, read
from voice_cli.cli.console import check_writable, print_message, report_error, silence_libraries, write_file
from voice_cli.cli.options import SayOptions, check_values, long_flag
from voice_cli.cli.report import outcome_object
from voice_cli.cli.say import make_backend
from voice_cli.config import Config, Profile, load, settle
from voice_cli.errors import ConfigError, Interrupted, UsageError, VoiceError

if TYPE_CHECKING:
    from voice_cli.backends.base import Backend
    from voice_cli.playback.player import PlaybackResult
    from voice_cli.speech.narration import Narration

SENTENCE = "From text to sound, in one line and in no time at all."

PERMANENT = frozenset({2, 3, 4, 5, 9, 11})
"""Exit codes after which a target is not run again: usage, settings, keys, quotas, devices, engines."""


class BenchOptions(NamedTuple):
    """The command line of `voice bench`."""

    text: Sequence[str] = ()
    flags: Mapping[str, Any] = {}
    """The options of `voice say`, by name."""
    formats: str | None = None
    """Codecs, separated by commas; None: each target's own."""
    runs: int = 5
    """Of each target."""
    every_profile: bool = False
    warm: bool = False
    as_json: bool = False
    html: str | None = None
    """The path of the page."""
    debug: bool = False


def bench(**values: Any) -> int:
    """Measure, print, and return the exit code: 130 after an interrupt, else the highest of all runs.

    `values` holds the fields of `BenchOptions`, and the options of `voice say`.
    """
    own = {name: values.pop(name) for name in BenchOptions._fields if name in values}
    options = BenchOptions(flags=values, **{name: value for name, value in own.items() if value is not None})
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
    if options.as_json:
        print(json.dumps(_object(measured, text, options, code), ensure_ascii=False))  # noqa: T201
    else:
        print_table(measured)
    if options.html is not None:
        from voice_cli.bench.page import conditions, page

        about = conditions(warm=options.warm)
        try:
            write_file(options.html, page(measured, text, about, interrupted=interrupted))
        except Exception as exc:
            return report_error(exc, debug=options.debug)
        print_message(f"wrote {options.html}")
    return code


def read_text(words: Sequence[str]) -> str:
    """Return the text: the arguments, standard input for `-`, or `SENTENCE`.

    Raises:
        UsageError: the text is blank.

    """
    text = sys.stdin.buffer.read().decode("utf-8-sig", "replace") if list(words) == ["-"] else " ".join(words)
    if words and not text.strip():
        raise UsageError("there is nothing to say: the text is blank")
    return text if words else SENTENCE


def make_targets(options: BenchOptions, config: Config) -> list[Target]:
    """Return a target for each profile and format of the options.

    Raises:
        UsageError: an option is invalid.
        ConfigError: a setting is invalid, or there is no profile.

    """
    if options.runs < 1:
        raise UsageError(f"invalid --runs {options.runs}", hint="use 1 or more")
    flags = dict(options.flags)
    formats: list[str | None] = [None]
    if options.formats is not None:
        formats = list(dict.fromkeys(word.strip() for word in options.formats.split(",")))
        for name in formats:
            check_values({"format": name}, Profile)
    SayOptions(**flags).check()
    profiles: list[str | None] = [flags.get("profile")]
    if options.every_profile:
        given = [long_flag(name) for name in ("profile", "backend", "base_url") if flags.get(name)]
        if given:
            raise UsageError(f"--all and {given[0]} were given", hint="use one of them")
        if not config.profiles:
            raise ConfigError(
                f"--all needs profiles, and {config.path} has none", hint="write examples with voice config init"
            )
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
    """Run the targets in turn, and append each run to its target's list."""
    from rich.markup import escape

    if options.warm:
        silence_libraries()
    warm = [WarmRunner(target) if options.warm and not target.fault else None for target in targets]
    try:
        with progress_bar() as bar:
            task = bar.add_task("", total=len(targets) * options.runs)
            for number in range(options.runs):
                for target, runner, done in zip(targets, warm, runs, strict=True):
                    bar.update(task, description=escape(target.label), refresh=True)
                    if not (done and done[-1].exit_code in PERMANENT):
                        done.append(_run(target, runner, text, secrets, first=not number))
                    bar.update(task, advance=1, refresh=True)
    finally:
        for runner in warm:
            if runner is not None:
                runner.close()


def _run(target: Target, warm: "WarmRunner | None", text: str, secrets: Iterable[str], *, first: bool) -> Run:
    if target.fault is not None:
        return _failed(target.fault, secrets)
    if warm is None:
        try:
            report, trace = cold_run(command_line(target, text))
        except VoiceError as exc:
            return _failed(exc, secrets)
        return Run(clean(report, secrets), trace)
    if first:
        run = warm.run(text, secrets)
        if run.exit_code in PERMANENT:
            return run
    return warm.run(text, secrets)


def _failed(error: Exception, secrets: Iterable[str]) -> Run:
    return Run(clean(outcome_object(None, None, error, None), secrets))


def command_line(target: Target, text: str) -> list[str]:
    """Return the arguments of the `voice say` to measure, in a form that `quick.parse` accepts."""
    arguments = ["say", "--json"]
    for name, value in target.flags.items():
        if value is None or value is False:
            continue
        flag = long_flag(name)
        arguments.append(flag if value is True else f"{flag}={value}")
    return [*arguments, "--", text]


class WarmRunner:
    """Runs a target in this process, and keeps its backend and connection. Close it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._backend: Backend | None = None

    def run(self, text: str, secrets: Iterable[str] = ()) -> Run:
        """Run as `voice say` does. Times count from this call, not from the start of the process."""
        from voice_cli.cli.narrating import narrate
        from voice_cli.cli.playing import play

        settings = self._target.settings
        options = SayOptions(text=(text,), quiet=True, **self._target.flags)
        narration: Narration | None = None
        result: PlaybackResult | None = None
        error: BaseException | None = None
        with tempfile.TemporaryDirectory(prefix="voice-bench-") as folder:
            os.environ[TRACE_ENV] = os.path.join(folder, "trace.json")
            try:
                self._backend = self._backend or make_backend(settings)
                started = time.monotonic()
                narration = narrate(self._backend, options, settings)
                result = play(narration, self._backend, settings, options, None, started)
                error = result.error
            except Exception as exc:
                error = exc
            finally:
                if narration is not None:
                    narration.cancel()
            trace = read(os.environ.pop(TRACE_ENV))
        if isinstance(error, Interrupted):
            raise KeyboardInterrupt
        return Run(clean(outcome_object(settings, result, error, None), secrets), trace)

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()


def _object(measured: Sequence[Measured], text: str, options: BenchOptions, code: int) -> dict[str, Any]:
    return {
        "text": text,
        "mode": "warm" if options.warm else "cold",
        "played": not options.flags.get("no_play"),
        "exit_code": code,
        "targets": [as_object(each) for each in measured],
    }
