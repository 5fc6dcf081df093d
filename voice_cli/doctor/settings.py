"""The config file, the variables of the environment, and the API keys."""

import os
import stat
import sys
from collections.abc import Iterator, Mapping

from voice_cli.config import Config, Defaults, Profile, Settings, checked_table, load
from voice_cli.config_keys import keys_of
from voice_cli.doctor.finding import BROKEN, OK, WARNING, Finding
from voice_cli.errors import ConfigError, nearest
from voice_cli.folders import config_path
from voice_cli.server.settings import Server

PREFIX = "VOICE_"
"""Of the variables of settings."""
_VARIABLES = ("VOICE_CONFIG", "VOICE_PROFILE", "VOICE_AGENT_SOCKET", "VOICE_TRACE")
"""The variables of this program besides those of settings."""


def check_config(environment: Mapping[str, str] = os.environ) -> tuple[Config, list[Finding]]:
    """Return the config file and its findings; an empty one if it cannot be read."""
    path = config_path(environment)
    try:
        config = load(environment=environment)
        checked_table(path, "server.", config.server, Server)
    except ConfigError as exc:
        hint = exc.hint or f"correct it in {path}; until then nothing is spoken"
        return Config(path), [Finding("config", BROKEN, exc.message, hint)]
    findings = list(_check_permissions(path)) if config.exists else []
    if not findings:
        count = len(config.profiles)
        found = f"{path}, {count} profile{'' if count == 1 else 's'}" if config.exists else f"there is none at {path}"
        findings = [Finding("config", OK, found, details={"path": path, "profiles": list(config.profiles)})]
    return config, findings


def _check_permissions(path: str) -> Iterator[Finding]:
    """Yield a finding if others may change the file: it names commands that are run."""
    if sys.platform == "win32":
        return
    found = os.stat(path)
    if found.st_uid not in (os.getuid(), 0):
        yield Finding("config", WARNING, f"{path} belongs to another user", f"sudo chown $(id -u) {path}")
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield Finding("config", WARNING, f"other users may change {path}", f"chmod go-w {path}")


def check_variables(keys: frozenset[str], environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Return findings for variables that look like settings, and are none. `keys`: variables that contain keys."""
    kinds = (Profile, Defaults, Server)
    known = {*_VARIABLES, *keys, *(key.env for kind in kinds for key in keys_of(kind).values() if key.env)}
    ends = [name.removeprefix(PREFIX) for name in known if name.startswith(PREFIX)]
    findings = []
    for name in environment:
        near = nearest(name.removeprefix(PREFIX), ends) if name.startswith(PREFIX) and name not in known else ""
        if near:  # else it may be another program's
            meant = near.replace("mean '", f"mean '{PREFIX}")
            findings.append(Finding("environment", WARNING, f"${name} is no setting{meant}", f"unset {name}"))
    return findings


def check_key(name: str, settings: Settings, environment: Mapping[str, str] = os.environ) -> Finding | None:
    """Return whether the API key of a profile is set; None: it names none. A key's command is not run here."""
    profile = settings.profile
    check = f"key {name}"
    if profile.api_key_command:
        return Finding(check, OK, "printed by api_key_command")
    variable = profile.api_key_env
    if variable is None:
        return None
    key = environment.get(variable)
    if not key:
        return Finding(check, BROKEN, f"${variable} is not set", f"set it: export {variable}=…")
    if key != key.strip():
        return Finding(check, BROKEN, f"${variable} has white space around the key", f"set {variable} without it")
    return Finding(check, OK, f"${variable} is set")
