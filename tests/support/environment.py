"""Environments without the settings of the machine that runs the tests."""

import os
from collections.abc import Mapping

PREFIXES = ("VOICE_", "OPENAI_", "AZURE_", "XDG_", "PULSE_", "SSL_", "CURL_")

ALONE = {"XDG_STATE_HOME": os.devnull, "XDG_RUNTIME_DIR": os.devnull, "VOICE_AGENT": "off"}
"""Variables without which runs share learned values, the queue of speeches, and the agent."""

NAMES = ("NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")


def is_setting(name: str) -> bool:
    return name.startswith(PREFIXES) or name.lower().endswith("_proxy") or name in NAMES


def clean(**more: str) -> dict[str, str]:
    """Return a copy of the environment without settings that affect `voice`, plus `more`.

    Runs do not share state: learned values cannot be saved, no agent is used, and there is no queue of speeches.
    """
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**kept, **ALONE, **more}


def cleaned(monkeypatch, **more: str) -> Mapping[str, str]:
    """Clean this process's environment for the duration of a test."""
    for name in [name for name in os.environ if is_setting(name)]:
        monkeypatch.delenv(name)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    return os.environ
