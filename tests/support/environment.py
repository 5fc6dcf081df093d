"""An environment that has nothing of this machine's settings in it."""

import os
from collections.abc import Mapping

PREFIXES = ("VOICE_", "OPENAI_", "AZURE_", "XDG_", "PULSE_", "SSL_", "CURL_")

NAMES = ("NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")


def is_setting(name: str) -> bool:
    return name.startswith(PREFIXES) or name.lower().endswith("_proxy") or name in NAMES


def clean(**more: str) -> dict[str, str]:
    """Give a copy of the environment without what changes how `voice` behaves, and with `more`.

    Nor does one run learn from another: what `auto` would remember has no place to be.
    """
    kept = {name: value for name, value in os.environ.items() if not is_setting(name)}
    return {**kept, "XDG_STATE_HOME": os.devnull, **more}


def cleaned(monkeypatch, **more: str) -> Mapping[str, str]:
    """Make this process's environment so, for the length of a test."""
    for name in [name for name in os.environ if is_setting(name)]:
        monkeypatch.delenv(name)
    for name, value in more.items():
        monkeypatch.setenv(name, value)
    return os.environ
