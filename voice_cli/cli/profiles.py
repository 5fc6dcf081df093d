"""`voice profiles`: the profiles of the config file, and those that are built in."""

import os
from typing import Any

from voice_cli.backends.remote.address import without_credentials
from voice_cli.cli.config_edit import quoted
from voice_cli.cli.console import write_stdout
from voice_cli.cli.listings import print_rows
from voice_cli.config import Config, Profile, load, named_profile
from voice_cli.errors import server_name
from voice_cli.presets import PRESETS


def list_profiles(*, as_json: bool) -> None:
    """Print each profile with its backend, server, voice, format, and whether its key is set."""
    config = load()
    default = os.environ.get("VOICE_PROFILE") or config.profile
    rows = [_row(config, name, is_default=name == default) for name in {**config.profiles, **PRESETS}]
    if not as_json:
        rows = [
            {
                "profile": f"{row['profile']}{' *' if row['default'] else ''}",
                "backend": row["backend"],
                "server": _place(row["base_url"] or ""),
                "voice": row["voice"],
                "format": row["format"],
                "key": {"set": "yes", "missing": "no"}.get(row["key"] or ""),
                "own": "yes" if row["own"] else None,
            }
            for row in rows
        ]
        rows = [{key: "" if value is None else value for key, value in row.items()} for row in rows]
    print_rows(rows, as_json=as_json)


def _place(url: str) -> str:
    """Return an address's host and port."""
    return "not set" if url.startswith("$") else server_name(url)


def _row(config: Config, name: str, *, is_default: bool) -> dict[str, Any]:
    profile, _ = named_profile(config, name)
    source = "api_key_command" if profile.api_key_command else profile.api_key_env and f"${profile.api_key_env}"
    is_set = bool(profile.api_key_command or (profile.api_key_env and os.environ.get(profile.api_key_env)))
    return {
        "profile": name,
        "backend": profile.backend or ("http" if profile.base_url else None),
        "base_url": profile.base_url and without_credentials(profile.base_url),
        "model": profile.model,
        "voice": profile.voice,
        "format": profile.format,
        "default": is_default,
        "key": "set" if is_set else "missing" if source else None,
        "key_from": source,
        "own": name in config.profiles,
        "built_in": name in PRESETS,
    }


def show(*, name: str) -> None:
    """Print a profile as TOML, with the keys that it has from the preset of its name.

    Raises:
        ConfigError: there is no profile of that name.

    """
    profile, origins = named_profile(load(), name)
    is_bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    keys = [f"{key} = {_toml(getattr(profile, key))}" for key in Profile._fields if key in origins]
    write_stdout("\n".join([f"[profiles.{name if is_bare else quoted(name)}]", *keys]))


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {quoted(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(quoted, value))}]"
    return f"{value}"
