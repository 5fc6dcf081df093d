"""Environments without the settings of the machine that runs the tests."""

import itertools
import os
import tempfile
from collections.abc import Mapping

PREFIXES = ("VOICE_", "OPENAI_", "AZURE_", "XDG_", "PULSE_", "SSL_", "CURL_")

_FOLDER = tempfile.TemporaryDirectory(prefix="voice-run-")
_numbers = itertools.count()

NAMES = ("NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")


def alone() -> dict[str, str]:
    """Return variables without which runs share learned values, the cache, the queue of speeches, and the agent."""
    folder = os.path.join(_FOLDER.name, f"{next(_numbers)}")
    os.mkdir(folder, 0o700)
    return {"XDG_STATE_HOME": os.devnull, "XDG_CACHE_HOME": os.devnull, "XDG_RUNTIME_DIR": folder, "VOICE_AGENT": "off"}


def is_setting(name: str) -> bool:
    return name.startswith(PREFIXES) or name.lower().endswith("_proxy") or name in NAMES


def clean(**more: str) -> dict[str, str]:
    """Return a copy of the environment without settings that affect `voice`, plus `more`.

    Runs do not share state: learned values and speech cannot be saved, no agent is used, and each has its own queue.
    """
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**kept, **alone(), **more}


def cleaned(monkeypatch, **more: str) -> Mapping[str, str]:
    """Clean this process's environment for the duration of a test."""
    for name in [name for name in os.environ if is_setting(name)]:
        monkeypatch.delenv(name)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    return os.environ
