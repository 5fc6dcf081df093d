"""`voice doctor`: run the checks, and print a table of what they found."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

from voice_cli import __version__
from voice_cli.backends import BACKENDS, is_remote
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
    config, about_config = check_config()
    settled, wrong = _settle(config, only)
    keys = [found for name, settings in settled.items() if (found := check_key(name, settings)) is not None]
    without_key = {finding.check.removeprefix("key ") for finding in keys if finding.state == BROKEN}
    variables = frozenset[str]().union(*(settings.key_variables for settings in settled.values()))
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
        findings = [
            *about_config,
            *check_variables(variables),
            *wrong,
            *check_sound(device, tone=tone),
            *check_libraries(),
            *(check_engine(name, settings) for name, settings in local),
            *check_voices(),
            check_agent(),
            check_clock(),
            *check_disks(),
            *keys,
        ]
        for answer in answers:
            findings += answer.result()
    finally:  # at Ctrl-C, without waiting for servers
        pool.shutdown(wait=False, cancel_futures=True)
    return findings


def _settle(config: Config, only: str | None) -> tuple[dict[str, Settings], list[Finding]]:
    """Return the settings of each profile by name, those in effect first, and findings for those that are wrong."""
    settled: dict[str, Settings] = {}
    wrong = []
    for name in dict.fromkeys([only] if only else [None, *config.profiles]):
        # The environment's settings are for the speech that names no profile.
        environment = os.environ if name in (None, only) else _without_settings()
        try:
            settings = settle(config, {"profile": name}, environment, backend_names=BACKENDS)
            settings = with_engine(settings, environment)
        except VoiceError as exc:
            if only:
                raise
            wrong.append(failure(f"profile {name}" if name else "settings", exc, "correct that setting"))
            continue
        shown = name or settings.profile_name or str(settings.profile.backend)
        settled.setdefault(shown, settings)
        for fallback in settings.fallbacks:
            settled.setdefault(str(fallback.profile_name), fallback)
    return settled, wrong


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
