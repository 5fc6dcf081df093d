"""Change the config file's text, so that its comments and its order stay."""

import re
import tomllib
from typing import Any

from voice_cli.errors import ConfigError
from voice_cli.presets import PRESETS

_TABLE = re.compile(r"^\s*\[", re.MULTILINE)
_PROFILE = re.compile(r"""^[ \t]*profile[ \t]*=[ \t]*("[^"\n]*"|'[^'\n]*')""", re.MULTILINE)


def with_default_voice(text: str, voice: str, *, backend: str | None) -> tuple[str, str]:
    """Return a config file's text in which a profile with this voice is the default, and the profile's name.

    `backend`: that of the profile; None: the engine that has the voice. An existing profile with just these settings is
    used, and no other is changed.

    Raises:
        ConfigError: the text is written in a way that cannot be changed safely.

    """
    wanted = {**({"backend": backend} if backend else {}), "voice": voice}
    tree: dict[str, Any] = tomllib.loads(text.removeprefix("\ufeff"))
    profiles = tree.get("profiles", {})
    base = re.sub(r"[^A-Za-z0-9_]+", "-", voice).strip("-") or "voice"
    names = [base, *(f"{base}-{number}" for number in range(2, len(profiles) + 3))]
    names = [each for each in names if each not in PRESETS]  # else it would have the preset's keys, too
    name = next(each for each in names if profiles.get(each, wanted) == wanted)
    changed = text
    if name not in profiles:
        keys = "".join(f"{key} = {quoted(value)}\n" for key, value in wanted.items())
        changed = f"{text.rstrip()}\n\n" if text.strip() else ""
        changed += f"[profiles.{name}]\n{keys}"
    line = f'profile = "{name}"'
    table = _TABLE.search(changed)
    head, rest = (changed[: table.start()], changed[table.start() :]) if table else (changed, "")
    if _PROFILE.search(head):
        head = _PROFILE.sub(line, head, count=1)
    else:
        head = f"{line}\n\n{head}" if head.strip() else f"{line}\n{head or chr(10)}"
    changed = head + rest
    expected = {**tree, "profile": name, "profiles": {**profiles, name: wanted}}
    try:
        is_right = tomllib.loads(changed.removeprefix("\ufeff")) == expected
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise ConfigError(
            "the config file cannot be changed without a risk", hint=f"add a profile with voice = {voice!r} yourself"
        )
    return changed, name


def quoted(value: str) -> str:
    """Return a TOML string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"'
        + "".join(f"\\u{ord(each):04x}" if ord(each) < 0x20 or ord(each) == 0x7F else each for each in escaped)
        + '"'
    )
