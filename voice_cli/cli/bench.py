"""`voice bench`: backends, formats and devices side by side, measured from the request to the first sound.

The targets take turns, so that other load on the machine and the network affects all of them. A cold run is `voice say`
in a new process; a warm run keeps the process, the connection and the sound library, and the first one is not counted.
Nothing is drawn during a run, since drawing takes processor time.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

from voice_cli.backends import BACKENDS
from voice_cli.bench.figures import Measured, as_object
from voice_cli.bench.runs import Run, Target, clean, cold_run, known_secrets
from voice_cli.bench.terminal import print_table, progress_bar
from voice_cli.bench.trace import TRACE_ENV, read
from voice_cli.cli import interrupts
from voice_cli.cli.console import check_writable, print_message, silence_libraries, write_file, write_json
from voice_cli.cli.options import SayOptions, check_values, long_flag
from voice_cli.cli.report import outcome_object, recovered
from voice_cli.cli.say import make_backend, with_engine
from voice_cli.config import Config, Defaults, Profile, Settings, load, settle
from voice_cli.errors import ConfigError, Interrupted, UsageError, VoiceError
from voice_cli.printable import escaped
from voice_cli.script.text_encoding import decode_text

if TYPE_CHECKING:
    from voice_cli.backends.base import Backend
    from voice_cli.playback.player import PlaybackResult
    from voice_cli.speech.narration import Narration

SENTENCE = "From text to sound, in one line and in no time at all."

PERMANENT = frozenset({2, 3, 4, 5, 9, 11})
"""Exit codes after which a target is not run again: usage, settings, keys, quotas, devices, engines."""


def bench(
    *,
    text: Sequence[str] | None,
    formats: str | None,
    runs: int | None,
    every_profile: bool,
    warm: bool,
    as_json: bool,
    html: str | None,
    **flags: Any,
) -> int:
    """Measure, print, and return the exit code: that of an interrupt, else the highest of all runs.

    `formats`: codecs, separated by commas; None: each target's own. `html`: the path of the page. `flags`: the options
    of `voice say`, by name.
    """
    runs = 5 if runs is None else runs
    if runs < 1:
        raise UsageError(f"invalid --runs {runs}", hint="use 1 or more")
    config = load()
    measured = [
        Measured(each, []) for each in make_targets(config, flags, formats=formats, every_profile=every_profile)
    ]
    spoken = read_text(text or ())
    if html is not None:
        check_writable(html)
    secrets = known_secrets(config.profiles.values())
    interrupted = False
    try:
        measure(measured, spoken, secrets, runs=runs, warm=warm)
    except KeyboardInterrupt:
        interrupted = True
    code = interrupts.exit_code() if interrupted else max(each.exit_code for each in measured)
    if as_json:
        tree = {
            "text": spoken,
            "mode": "warm" if warm else "cold",
            "played": not flags.get("no_play"),
            "exit_code": code,
            "targets": [as_object(each) for each in measured],
        }
        write_json(tree)
    else:
        print_table(measured)
    if html is not None:
        from voice_cli.bench.page import conditions, page

        write_file(html, page(measured, spoken, conditions(warm=warm), interrupted=interrupted))
        print_message(f"wrote {html}")
    return code


def read_text(words: Sequence[str]) -> str:
    """Return the text: the arguments, standard input for `-`, or `SENTENCE`.

    Raises:
        UsageError: the text is blank.
        FileError: standard input is not text.

    """
    if not words:
        return SENTENCE
    is_piped = list(words) == ["-"]
    text = decode_text(sys.stdin.buffer.read(), "standard input") if is_piped else " ".join(words)
    if not text.strip():
        raise UsageError("there is nothing to say: the text is blank")
    return text


def make_targets(config: Config, flags: Mapping[str, Any], *, formats: str | None, every_profile: bool) -> list[Target]:
    """Return a target for each profile and format of the options.

    Raises:
        UsageError: an option is invalid.
        ConfigError: a setting is invalid, or there is no profile.

    """
    codecs: list[str | None] = [None]
    if formats is not None:
        codecs = list(dict.fromkeys(word.strip() for word in formats.split(",")))
        for codec in codecs:
            check_values({"format": codec}, Profile)
    SayOptions(**flags).check()
    profiles: list[str | None] = [flags.get("profile")]
    if every_profile:
        given = [long_flag(name) for name in ("profile", "backend", "base_url") if flags.get(name)]
        if given:
            raise UsageError(f"--all and {given[0]} were given", hint="use one of them")
        if not config.profiles:
            raise ConfigError(
                f"--all needs profiles, and {config.path} has none", hint="write examples with voice config init"
            )
        profiles = list(config.profiles)
    return [
        _target(config, {**flags, "profile": profile, "format": codec}, alone=not every_profile)
        for profile in profiles
        for codec in codecs
    ]


def _target(config: Config, flags: Mapping[str, Any], *, alone: bool) -> Target:
    try:
        settings = with_engine(settle(config, flags, backend_names=BACKENDS))
    except VoiceError as exc:
        name = flags["profile"]
        if alone:
            raise
        return Target(name, flags, Settings(name, config.profiles[name], Defaults(), {}, {}), exc)
    return Target(settings.profile_name or settings.profile.backend or "", flags, settings)


def measure(measured: Sequence[Measured], text: str, secrets: Iterable[str], *, runs: int, warm: bool) -> None:
    """Run the targets in turn, and append each run to its target's runs."""
    from rich.markup import escape

    if warm:
        silence_libraries()
    with ExitStack() as stack:
        runners = [
            stack.enter_context(closing(WarmRunner(target))) if warm and not target.fault else None
            for target, _ in measured
        ]
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("", total=len(measured) * runs)
        for number in range(runs):
            for (target, done), runner in zip(measured, runners, strict=True):
                bar.update(task, description=escape(escaped(target.label)), refresh=True)
                if not (done and done[-1].exit_code in PERMANENT):
                    done.append(_run(target, runner, text, secrets, first=not number))
                bar.update(task, advance=1, refresh=True)


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
    return Run(clean(outcome_object(None, None, error), secrets))


def command_line(target: Target, text: str) -> list[str]:
    """Return the arguments of the `voice say` to measure, in a form that `quick.parse` accepts."""
    arguments = ["say", "--json", "--no-cache"]
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

    def run(self, text: str, secrets: Iterable[str]) -> Run:
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
                narration = narrate(self._backend, options, settings, text)
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
        return Run(clean(outcome_object(settings, result, error) | recovered(narration), secrets), trace)

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()
