"""One run of `voice bench`: its target, its report, and a process of its own for a cold one."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import voice_cli
from voice_cli.backends import REMOTE
from voice_cli.bench.trace import TRACE_ENV, Trace, read
from voice_cli.config import AZURE_KEY_ENV, KEY_ENV, Profile, Settings
from voice_cli.errors import Interrupted, VoiceError, server_name
from voice_cli.protocol.openai import DEFAULT_BASE_URL

PROGRAM = f"""\
import sys
sys.path.append({os.path.dirname(os.path.dirname(voice_cli.__file__))!r})
from voice_cli.__main__ import main
sys.exit(main())
"""
"""The `voice` command. `python -m` takes longer, since it looks the module up first; `-P` keeps the current folder out
of the import path."""

INTERRUPTED = (Interrupted.exit_code, -signal.SIGINT, -signal.SIGTERM)
"""How a run ends that was interrupted: with a code, or by a signal."""

CLOSE_SECONDS = 3.0
"""Time for a run that is broken off to close its file and its device."""

SECRETS = re.compile(
    r"(?<=://)[^/\s@]+(?=@)"  # credentials in a URL
    r"|(?<=bearer )\S+"
    r"|\b(?:sk|pk|rk|key|token)[-_][\w*-]{6,}"
    r"|(?=[\w+=-]*\d)(?=[\w+=-]*[A-Za-z])[\w+=-]{24,}",  # a long mixture of letters and digits
    re.IGNORECASE,
)


class Target(NamedTuple):
    """A profile or a backend, and a format."""

    name: str
    flags: Mapping[str, Any]
    """The options of `voice say`, by name."""
    settings: Settings
    fault: Exception | None = None
    """The error in its settings, if they have one; it is not run then."""

    @property
    def label(self) -> str:
        """The name and the format, as in `kokoro · mp3`."""
        return f"{self.name} · {self.format}"

    @property
    def format(self) -> str:
        """The codec to request."""
        return self.settings.profile.format or "pcm"

    @property
    def where(self) -> str:
        """The server's host and port; empty for an engine in the process."""
        profile = self.settings.profile
        return server_name(profile.base_url or (DEFAULT_BASE_URL if profile.backend in REMOTE else ""))


class Run(NamedTuple):
    """The outcome of one run."""

    report: Mapping[str, Any]
    """The object that `voice say --json` prints, without secrets."""
    trace: Trace = Trace()

    @property
    def timestamps_ms(self) -> dict[str, float]:
        return {name: 1000 * at for name, at in self.trace.timestamps.items()}

    @property
    def exit_code(self) -> int:
        """The exit code of its `voice say`."""
        error = self.report["error"]
        return int(error["exit_code"]) if error else 0


def cold_run(arguments: Sequence[str]) -> tuple[dict[str, Any], Trace]:
    """Run `voice` in a new process, and return the object that it prints and its trace.

    A KeyboardInterrupt ends the process too.

    Raises:
        VoiceError: the process ended without printing the object.

    """
    with tempfile.TemporaryDirectory(prefix="voice-bench-") as folder:
        path = os.path.join(folder, "trace.json")
        process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-P", "-c", PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, TRACE_ENV: path, "VOICE_HISTORY": "off"},
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        try:
            out, err = process.communicate()
        except BaseException:
            _end(process)
            raise
        if process.returncode in INTERRUPTED:
            raise KeyboardInterrupt
        try:
            return json.loads(out), read(path)
        except ValueError:
            lines = err.strip().splitlines() or [f"the process ended with exit code {process.returncode}"]
            raise VoiceError(lines[-1].removeprefix("voice: ")) from None


def _end(process: "subprocess.Popen[str]") -> None:
    """End a run that is broken off. Ctrl-C reaches it from a terminal, but not a signal to this process alone."""
    process.terminate()
    try:
        process.communicate(timeout=CLOSE_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.kill()
        process.communicate()


def known_secrets(profiles: Iterable[Profile], environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the API keys in the environment, the longest first."""
    names = {KEY_ENV, AZURE_KEY_ENV, *(profile.api_key_env for profile in profiles if profile.api_key_env)}
    found = {environment[name] for name in names if environment.get(name)}
    return tuple(sorted(found, key=len, reverse=True))


def clean(report: Mapping[str, Any], secrets: Iterable[str]) -> dict[str, Any]:
    """Return the report with what may be a key removed from its error: some servers repeat the key."""
    error = report["error"]
    if not error:
        return dict(report)
    cleaned = {name: error[name] and without_secrets(error[name], secrets) for name in ("message", "hint")}
    return {**report, "error": {**error, **cleaned}}


def without_secrets(words: str, secrets: Iterable[str]) -> str:
    """Return a line without these keys, and without what may be a key."""
    for secret in secrets:
        words = words.replace(secret, "…")
    return SECRETS.sub("…", words)
