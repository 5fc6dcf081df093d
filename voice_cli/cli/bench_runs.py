"""How `voice bench` makes one run: in a process of its own, or in this one with everything kept warm."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import voice_cli
from voice_cli.backends import REMOTE
from voice_cli.cli.options import SayOptions, options
from voice_cli.cli.report import as_json
from voice_cli.cli.say import make_backend
from voice_cli.cli.trace import TRACE_ENV, Trace, read
from voice_cli.config import KEY_ENV, Profile, Settings
from voice_cli.errors import Interrupted, VoiceError
from voice_cli.protocol.openai import DEFAULT_BASE_URL

if TYPE_CHECKING:
    from voice_cli.backends.base import Backend
    from voice_cli.playback.player import PlaybackResult
    from voice_cli.speech.narration import Narration

PROGRAM = f"""\
import sys
sys.path.append({os.path.dirname(os.path.dirname(voice_cli.__file__))!r})
from voice_cli.__main__ import main
sys.exit(main())
"""
"""What the `voice` command does. `python -m` would look the module up first, which takes longer; and no folder that
happens to be the current one may have a say in what is imported (`-P`)."""

LET_GO_SECONDS = 3.0
"""How long a run that is broken off may take to close its file and its device."""

SECRETS = re.compile(
    r"(?<=://)[^/\s@]+(?=@)"  # credentials in an address
    r"|(?<=bearer )\S+"
    r"|\b(?:sk|pk|rk|key|token)[-_][\w*-]{6,}"
    r"|(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{24,}",  # a long mixture of letters and digits
    re.IGNORECASE,
)


class Target(NamedTuple):
    """One thing that is measured: a profile or a backend, and a format."""

    name: str
    flags: Mapping[str, Any]
    """What `voice say` is given, by the names of `SayOptions`."""
    settings: Settings
    fault: Exception | None = None
    """Why there is nothing to measure, where its settings cannot be."""

    @property
    def format(self) -> str:
        """The codec that is asked for."""
        return self.settings.profile.format or "pcm"

    @property
    def where(self) -> str:
        """The server's name, without credentials or path; empty for an engine in the process."""
        profile = self.settings.profile
        url = profile.base_url or (DEFAULT_BASE_URL if profile.backend in REMOTE else "")
        return url.partition("://")[2].partition("/")[0].rpartition("@")[2]


class Run(NamedTuple):
    """How one run went."""

    report: Mapping[str, Any]
    """The object that `voice say --json` prints, free of secrets."""
    trace: Trace | None
    """None where playback did not begin."""

    @property
    def exit_code(self) -> int:
        """That of its `voice say`."""
        error = self.report["error"]
        return int(error["exit_code"]) if error else 0


def cold_run(target: Target, text: str, secrets: Iterable[str] = ()) -> Run:
    """Let a new process say it, and wait for its end. A KeyboardInterrupt ends the process too."""
    with tempfile.TemporaryDirectory(prefix="voice-bench-") as folder:
        path = os.path.join(folder, "trace.json")
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-P", "-c", PROGRAM, *command_line(target, text)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, TRACE_ENV: path},
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            out, err = process.communicate()
        except BaseException:
            _end(process)
            raise
        if process.returncode == Interrupted.exit_code:
            raise KeyboardInterrupt
        return Run(clean(_object(out) or _crash(process.returncode, err), secrets), read(path))


def command_line(target: Target, text: str) -> list[str]:
    """Write the arguments of the `voice say` that is measured, in a form that its quick reader takes."""
    arguments = ["say", "--json"]
    for name, value in target.flags.items():
        if value is None or value is False:
            continue
        flag = next(flag for flag in options()[name].flags if flag.startswith("--"))
        arguments.append(flag if value is True else f"{flag}={value}")
    return [*arguments, "--", text]


def _object(out: str) -> dict[str, Any] | None:
    try:
        found = json.loads(out)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "error" in found else None


def _crash(code: int, err: str) -> dict[str, Any]:
    lines = err.strip().splitlines()
    message = lines[-1].removeprefix("voice: ") if lines else f"the process ended with {code}, without a word"
    report: dict[str, Any] = json.loads(as_json(None, None, VoiceError(message), None))
    return report


def _end(process: "subprocess.Popen[str]") -> None:
    """End a run that nobody waits for any more: Ctrl-C has reached it on a terminal, but not from elsewhere."""
    process.terminate()
    try:
        process.communicate(timeout=LET_GO_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.communicate()


class WarmRunner:
    """Runs in this process: a target's backend, with its connection, and the sound library stay. Close it."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._backend: Backend | None = None

    def run(self, text: str, secrets: Iterable[str] = ()) -> Run:
        """Say it as `voice say` does. The time to the first sound counts from here, not from a process's start."""
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
        return Run(clean(json.loads(as_json(settings, result, error, None)), secrets), trace)

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()


def known_secrets(profiles: Iterable[Profile], environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Give the keys and addresses that must not be shown, as far as they are known without running a command."""
    names = {KEY_ENV, "AZURE_OPENAI_API_KEY", *(profile.api_key_env for profile in profiles if profile.api_key_env)}
    found = {environment[name] for name in names if environment.get(name)}
    return tuple(sorted(found, key=len, reverse=True))


def failed_run(error: Exception, secrets: Iterable[str] = ()) -> Run:
    """Give a run that did not come about."""
    return Run(clean(json.loads(as_json(None, None, error, None)), secrets), None)


def clean(report: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """Take out of an error's words what may be a key: servers are known to repeat them."""
    error = report["error"]
    if not error:
        return dict(report)

    def cleaned(words: str | None) -> str | None:
        if words is None:
            return None
        for secret in secrets:
            words = words.replace(secret, "…")
        return SECRETS.sub("…", words)

    return {**report, "error": {**error, "message": cleaned(error["message"]), "hint": cleaned(error["hint"])}}
