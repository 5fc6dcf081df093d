"""What runs have learned for later ones: a JSON file in the user's state folder, shared by all processes.

It has sections (such as `devices`), which have entries by name. A file that cannot be read counts as empty, and one
that cannot be written is ignored: no run depends on it.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from voice_cli.folders import user_folder, write_atomically


def state_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the file."""
    return os.path.join(user_folder("state", environment), "learned.json")


def read_section(path: str, section: str) -> dict[str, Any]:
    """Return the entries of a section, by name. Their values are whatever the file has: check them."""
    return as_dict(_read(path).get(section))


def update_section(path: str, section: str, change: Callable[[dict[str, Any]], None]) -> None:
    """Call `change` with the entries of a section, and store what it changes in them.

    It is called once without the lock, and if it changes anything, again with it: another process may have stored
    something meanwhile.
    """
    if _changed(_read(path), section, change) is None:
        return
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with locked(f"{path}.lock"):
            known = _changed(_read(path), section, change)
            if known is not None:
                import json

                data = json.dumps({name: part for name, part in known.items() if part})
                write_atomically(path, data.encode(), 0o600)  # the history may have texts


def _changed(known: dict[str, Any], section: str, change: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    """Return the file's content after a change; None if it is the same."""
    before = as_dict(known.get(section))
    entries = dict(before)
    change(entries)
    return None if entries == before else {**known, section: entries}


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value if it is a dictionary, else an empty one."""
    return value if isinstance(value, dict) else {}


def limited(value: Any, lowest: float, highest: float) -> float:
    """Return a number within limits; the lowest for what is no number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(value, lowest), highest) if is_number else lowest


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            import json  # imported before the first sound only if the file exists

            known = json.load(file, parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return {}
    return as_dict(known)


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold a lock of all processes that change a file. Windows has none: there, the last writer wins."""
    with open(path, "ab") as file:  # closing it releases the lock
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
