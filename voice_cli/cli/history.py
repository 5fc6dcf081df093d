"""The history: a file in the user's state folder with the last speeches.

It has no texts, unless the setting `history` says so, but the keys of the utterances that are cached.
"""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voice_cli.cli.options import SayOptions
from voice_cli.config import Settings
from voice_cli.folders import user_folder
from voice_cli.speech.narration import Narration
from voice_cli.state_file import as_dict, read_section, update_section

if TYPE_CHECKING:
    from voice_cli.cli.report import Account

SECTION = "speeches"
KEPT = 100
"""How many speeches are listed; the oldest is dropped."""

NOT_REPEATED = frozenset(
    {
        *("text", "file", "save", "subtitles", "show", "events", "json", "debug", "detach"),
        *("interrupt", "if_idle", "queue", "priority"),
    }
)
"""The options that a speech does not have when it is spoken again."""


def history_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the file."""
    return os.path.join(user_folder("state", environment), "history.json")


def repeated(options: SayOptions) -> dict[str, Any]:
    """Return the options with which a speech is spoken again."""
    return {name: value for name, value in options._asdict().items() if name not in NOT_REPEATED}


def remember(
    settings: Settings,
    options: SayOptions,
    narration: Narration,
    account: "Account",
    environment: Mapping[str, str] = os.environ,
) -> str | None:
    """Add a speech that was played to the history, and return its id; None: the settings say no."""
    if settings.defaults.history == "off":
        return None
    told = account["json"]
    entry: dict[str, Any] = {
        "time": round(time.time(), 3),
        "profile": settings.profile_name,
        "backend": told["backend"],
        "voice": settings.profile.voice,
        "outcome": told["outcome"],
        "exit_code": told["error"]["exit_code"] if told["error"] else 0,
        "audio_ms": told["audio_ms"],
        "heard_ms": told["heard_ms"],
    }
    utterances = [(each.stream.cache_key, each.line.pause) for each in narration.utterances]
    if told["outcome"] == "complete" and all(key for key, _ in utterances):
        entry["utterances"] = utterances
    if settings.defaults.history == "texts":
        entry |= {"text": narration.text(), "options": {k: v for k, v in repeated(options).items() if v}}
    # A letter first: a number is a place in the list.
    number = f"s{os.urandom(3).hex()}"

    def change(entries: dict[str, Any]) -> None:
        entries[number] = entry
        while len(entries) > KEPT:
            del entries[next(iter(entries))]

    update_section(history_path(environment), SECTION, change)
    return number


def entries_of(path: str) -> dict[str, dict[str, Any]]:
    """Return the speeches by id, the last one first."""
    found = reversed(read_section(path, SECTION).items())
    return {number: as_dict(entry) for number, entry in found}
