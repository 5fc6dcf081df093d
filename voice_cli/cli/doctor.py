"""`voice doctor`: run the checks, and print a table of what they found."""

import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from voice_cli import __version__
from voice_cli.backends import BACKENDS, is_remote
from voice_cli.bench.runs import known_secrets, without_secrets
from voice_cli.cli.console import is_watched, silence_libraries, write_json, write_stdout
from voice_cli.cli.options import check_values, words
from voice_cli.cli.playing import device_of
from voice_cli.cli.say import make_backend, with_engine
from voice_cli.config import Config, Defaults, Settings, settle
from voice_cli.doctor.agent import check_agent
from voice_cli.doctor.engines import check_engine, check_voices
from voice_cli.doctor.finding import BROKEN, OK, WARNING, Finding, failure
from voice_cli.doctor.libraries import check_libraries
from voice_cli.doctor.machine import check_clock, check_disks, check_terminal
from voice_cli.doctor.servers import check_server
from voice_cli.doctor.settings import check_config, check_key, check_variables
from voice_cli.doctor.sound import check_sound
from voice_cli.errors import VoiceError
from voice_cli.printable import escaped

Check = Callable[[], Iterable[Finding]]

TIMEOUT = 5.0
"""Seconds without data from a server."""
STYLES = {OK: "green", WARNING: "yellow", BROKEN: "bold red"}


def doctor(*, profile: str | None, tone: bool, speak: bool, timeout: float | None, as_json: bool, debug: bool) -> int:
    """Check everything, and return 1 if something is broken, else 0."""
    check_values({"timeout": timeout}, Defaults)
    if not debug:
        silence_libraries()
    terminal = sys.stdout  # the progress replaces it
    with _progress() if is_watched() and not as_json else nullcontext():
        findings = _findings(profile, tone=tone, speak=speak, timeout=timeout or TIMEOUT)
    findings.append(check_terminal(terminal))
    is_broken = any(finding.state == BROKEN for finding in findings)
    if as_json:
        system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
        write_json({"ok": not is_broken, "version": __version__, "system": system, "checks": _objects(findings)})
    else:
        _print(findings)
    return int(is_broken)


def _findings(only: str | None, *, tone: bool, speak: bool, timeout: float) -> list[Finding]:
    config, findings = check_config()
    settled, wrong = _settle(config, only)
    if all(finding.state != BROKEN for finding in findings):  # else the profiles are not known
        if wrong and only:
            raise wrong[0][1]
        findings += [failure(check, error, "correct that setting") for check, error in wrong]
    keys = [found for name, settings in settled.items() if (found := check_key(name, settings)) is not None]
    without_key = {finding.check.removeprefix("key ") for finding in keys if finding.state == BROKEN}
    variables = frozenset[str]().union(*(settings.key_variables for settings in settled.values()))
    secrets = known_secrets(settings.profile for settings in settled.values())
    device = next(map(device_of, settled.values()), None)
    pool = ThreadPoolExecutor(max_workers=max(1, len(settled)))
    try:
        answers: list[Future[list[Finding]]] = []
        local = []
        for name, settings in settled.items():
            if not is_remote(str(settings.profile.backend)):
                local.append((name, settings))
            elif name not in without_key:
                patient = settings._replace(defaults=settings.defaults._replace(timeout=timeout))
                answers.append(pool.submit(check_server, name, patient, _open_backend, speak=speak))
        checks: list[tuple[str, Check]] = [
            ("environment", lambda: check_variables(variables)),
            ("sound", lambda: check_sound(device, tone=tone)),
            ("libraries", check_libraries),
            ("engines", lambda: [check_engine(name, settings) for name, settings in local]),
            ("voices", check_voices),
            ("agent", lambda: [check_agent()]),
            ("clock", lambda: [check_clock()]),
            ("disk", check_disks),
            ("keys", lambda: keys),
            *(("server", partial(_cleaned, answer, secrets)) for answer in answers),
        ]
        for name, check in checks:
            findings += _guarded(name, check)
    finally:  # at Ctrl-C, without waiting for servers
        pool.shutdown(wait=False, cancel_futures=True)
    return findings


def _settle(config: Config, only: str | None) -> tuple[dict[str, Settings], list[tuple[str, VoiceError]]]:
    """Return the settings of each profile by name, those in effect first, and what is wrong with the others."""
    settled: dict[str, Settings] = {}
    wrong = []
    for name in dict.fromkeys([only] if only else [None, *config.profiles]):
        # The environment's settings are for the speech that names no profile.
        environment = os.environ if name in (None, only) else _without_settings()
        try:
            settings = settle(config, {"profile": name}, environment, backend_names=BACKENDS)
            settings = with_engine(settings, environment)
        except VoiceError as exc:
            wrong.append((f"profile {name}" if name else "settings", exc))
            continue
        shown = name or settings.profile_name or str(settings.profile.backend)
        settled.setdefault(shown, settings)
        for fallback in settings.fallbacks:
            settled.setdefault(str(fallback.profile_name), fallback)
    return settled, wrong


def _guarded(name: str, check: Check) -> list[Finding]:
    """Return the findings of a check; an error in it must not hide those of the others."""
    try:
        return list(check())
    except Exception as exc:
        found = f"the check failed: {type(exc).__name__}: {exc}"
        return [Finding(name, BROKEN, found, "report this as an error of this program")]


def _cleaned(answer: "Future[list[Finding]]", secrets: tuple[str, ...]) -> list[Finding]:
    """Return a server's findings without keys, which some servers repeat in an error."""

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return without_secrets(value, secrets)
        return {key: clean(each) for key, each in value.items()} if isinstance(value, Mapping) else value

    return [each._replace(found=clean(each.found), details=clean(each.details)) for each in answer.result()]


def _without_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("VOICE_")}


def _open_backend(settings: Settings) -> Any:
    return make_backend(settings, note=lambda _line: None)


@contextmanager
def _progress() -> Iterator[None]:
    """Show on standard error that the checks run."""
    from rich.console import Console

    with Console(file=sys.stderr).status("checking"):
        yield


def _objects(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    return [
        {
            "check": finding.check,
            "state": finding.state,
            "found": finding.found,
            "remedy": words(finding.remedy) if finding.remedy else None,
            **finding.details,
        }
        for finding in findings
    ]


def _print(findings: Sequence[Finding]) -> None:
    """Print a table on a terminal, and lines with tabs in a pipe."""
    rows = [{key: escaped(str(row[key] or "")) for key in row} for row in _objects(findings)]
    if sys.stdout is None or not sys.stdout.isatty():
        write_stdout("\n".join("\t".join(row[key] for key in ("state", "check", "found", "remedy")) for row in rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for row in rows:
        found = Text(row["found"])
        if row["remedy"]:
            found.append(f"\n  {row['remedy']}", style="dim" if row["state"] == OK else "cyan")
        table.add_row(Text(row["state"], style=STYLES[row["state"]]), Text(row["check"]), found)
    console = Console(highlight=False)
    console.print(table)
    console.print(_summary(findings), style="dim")


def _summary(findings: Sequence[Finding]) -> str:
    counts: Mapping[str, int] = {state: sum(each.state == state for each in findings) for state in STYLES}
    if not counts[BROKEN] + counts[WARNING]:
        return "nothing is wrong"
    plural = "" if counts[WARNING] == 1 else "s"
    return f"{counts[BROKEN]} broken, {counts[WARNING]} warning{plural}, {counts[OK]} ok"
