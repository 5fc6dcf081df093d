"""The sessions of assistants: which are muted, and which have a voice of their own.

They are in one file of the user, which several hooks may change at the same time. A damaged file is like an empty one.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from voice_cli.errors import FileError, UsageError
from voice_cli.folders import user_folder, write_atomically
from voice_cli.state_file import locked

MOST = 100
"""The sessions that are kept: those with the latest events."""
MAX_BYTES = 1 << 20
"""The most bytes of the file that are read."""

Result = TypeVar("Result")


@dataclass
class Session:
    """What is known of a session."""

    program: str = ""
    folder: str = ""
    seen: int = 0
    """The time of its last event, in seconds since 1970."""
    prompted: float = 0.0
    """The time of the user's last prompt, likewise."""
    muted: bool = False
    voice: str = ""
    """Empty: the voice of the settings."""


@dataclass
class State:
    """The content of the file."""

    muted: bool = False
    """Whether new sessions are muted."""
    sessions: dict[str, Session] = field(default_factory=dict)

    def named(self, start: str) -> str:
        """Return the id that begins so.

        Raises:
            UsageError: no id does, or several do.

        """
        found = [session for session in self.sessions if session.startswith(start)]
        if start in found:
            return start
        if len(found) != 1:
            raise UsageError(f"{len(found) or 'no'} sessions have an id that begins with {start!r}")
        return found[0]


def state_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the file."""
    return os.path.join(user_folder("state", environment), "assistants.json")


def read(path: str) -> State:
    """Return the state."""
    try:
        with open(path, "rb") as file:
            tree = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return State()
    tree = tree if isinstance(tree, dict) else {}
    sessions = tree.get("sessions")
    known = {name: _session(values) for name, values in (sessions if isinstance(sessions, dict) else {}).items()}
    return State(tree.get("muted") is True, known)


def _session(values: Any) -> Session:
    """Return a session with those values that are valid."""
    session = Session()
    for name, default in asdict(session).items():
        value = values.get(name) if isinstance(values, dict) else None
        if type(value) is type(default):
            setattr(session, name, value)
    session.seen = min(max(session.seen, 0), 1 << 33)  # a year that time.localtime knows
    return session


def change(path: str, edit: Callable[[State], Result]) -> Result:
    """Call `edit` with the state, write what it changed, and return its result.

    Raises:
        FileError: the file cannot be written.

    """
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with locked(f"{path}.lock"):
            state = read(path)
            result = edit(state)
            latest = sorted(state.sessions.items(), key=lambda item: item[1].seen)[-MOST:]
            write_atomically(path, json.dumps(asdict(State(state.muted, dict(latest)))).encode(), 0o600)
            return result
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc
