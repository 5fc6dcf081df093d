"""The result of a check."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from voice_cli.errors import Hint, VoiceError

OK, WARNING, BROKEN = "ok", "warning", "broken"


class Finding(NamedTuple):
    """What one check found."""

    check: str
    """Its name, such as `PortAudio` or `server kokoro`."""
    state: str
    """`OK`; `WARNING`: it works, but not as well as it could; or `BROKEN`."""
    found: str
    """One line. It has no key."""
    remedy: str | Hint | None = None
    """What to do about it: the hint of the error that a speech would end with, if there is one."""
    details: Mapping[str, Any] = {}
    """Figures, for JSON."""


def failure(check: str, error: VoiceError, otherwise: str | Hint, *, state: str = BROKEN) -> Finding:
    """Return the finding for an error. `otherwise`: the remedy if the error has no hint."""
    return Finding(check, state, error.message, error.hint or otherwise)
