"""API keys: where they come from, and to which servers they are sent.

The key that a profile names is sent to the profile's address. An address that replaces it, from the command line or the
environment, gets the key only if it has the same host, and TLS if the profile's address has TLS; a loopback address is
a host like any other. If the profile has no address, the key is sent to any address over TLS, and to loopback
addresses.

$OPENAI_API_KEY is sent to api.openai.com over TLS, to the host of $OPENAI_BASE_URL (over TLS if that uses TLS), to
loopback addresses, and over TLS to an address from the command line. A profile's address gets only the profile's key.
"""

import os
from collections.abc import Mapping

from voice_cli.config import COMMAND_LINE, KEY_ENV, URL_ENV, Settings
from voice_cli.errors import ConfigError, server_name
from voice_cli.printable import one_line

_HINT = "to send a key there, add a profile with base_url and api_key_env"


def api_key(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the API key for the settings' server; None: there is none, or it is not sent there.

    Raises:
        ConfigError: the variable is not set, or the command fails. Its output is not shown.

    """
    profile = settings.profile
    if not _has_key(settings, environment):
        return None
    if not _is_allowed(settings, environment):
        if _names_key(settings) and profile.backend == "openai":  # without a key, the SDK uses its own variables
            raise ConfigError(_withheld(settings), hint=_HINT)
        return None
    if profile.api_key_command:
        hidden = {name.upper() for name in settings.key_variables}  # Windows ignores case
        inherited = {name: value for name, value in environment.items() if name.upper() not in hidden}
        return _run_key_command(profile.api_key_command, inherited)
    if profile.api_key_env:
        key = environment.get(profile.api_key_env)
        if not key:
            raise ConfigError(f"${profile.api_key_env}, the api_key_env of profile {settings.profile_name}, is not set")
        return key
    return environment[KEY_ENV]


def key_note(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a note if there is a key that is not sent to the address, or is sent to it without TLS; None: neither."""
    if not _has_key(settings, environment):
        return None
    if not _is_allowed(settings, environment):
        return f"{_withheld(settings)} ({_HINT})"
    url = settings.profile.base_url
    if url is None or url.startswith(("https:", "wss:")):
        return None
    host, is_secure = _host_of(url)
    if not host or is_secure or _is_loopback(host):
        return None
    return f"{_key_name(settings)} goes unencrypted to {_place(settings)} (use https or wss)"


def _has_key(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Return whether there is a key: one that the profile names, or $OPENAI_API_KEY for another address than its."""
    return _names_key(settings) or (bool(environment.get(KEY_ENV)) and not _is_profiles_address(settings))


def _names_key(settings: Settings) -> bool:
    return bool(settings.profile.api_key_env or settings.profile.api_key_command)


def _key_name(settings: Settings) -> str:
    return f"the key of profile {settings.profile_name}" if _names_key(settings) else KEY_ENV


def _place(settings: Settings) -> str:
    return one_line(server_name(settings.profile.base_url or "")) or "this address"


def _withheld(settings: Settings) -> str:
    return f"{_key_name(settings)} is not sent to {_place(settings)}"


def _is_profiles_address(settings: Settings) -> bool:
    return settings.origins.get("base_url", "").startswith(("profile ", "preset "))


def _is_allowed(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Return whether the key, which `_has_key` has found, may be sent to the settings' address."""
    url = settings.profile.base_url
    if url is None:
        return True
    origin = settings.origins.get("base_url")
    if _is_profiles_address(settings) or (origin == f"${URL_ENV}" and not _names_key(settings)):
        return True
    host, is_secure = _host_of(url)
    if not host:
        return False
    if _names_key(settings):
        if settings.own_base_url is not None:
            return _is_at_host_of(url, settings.own_base_url)
        return is_secure or _is_loopback(host)
    if _is_loopback(host) or _is_at_host_of(url, environment.get(URL_ENV, "")):
        return True
    return is_secure and (host == "api.openai.com" or origin == COMMAND_LINE)


def _is_at_host_of(url: str, own_url: str) -> bool:
    """Return whether an address has the host of another one, and TLS if that has TLS."""
    host, is_secure = _host_of(url)
    own_host, own_is_secure = _host_of(own_url)
    return bool(host) and host == own_host and (is_secure or not own_is_secure)


def _host_of(url: str) -> tuple[str, bool]:
    """Return an address's host, in lower case, and whether it uses TLS. An invalid address has an empty host."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "", False
    if "\\" in url or not url.isprintable():  # other parsers read another host from it
        return "", False
    return host, parts.scheme in ("https", "wss")


def _is_loopback(host: str) -> bool:
    numbers = host.split(".")
    is_v4 = len(numbers) == 4 and all(number.isdecimal() and number.isascii() for number in numbers)
    return host in ("localhost", "::1") or (is_v4 and numbers[0] == "127")


def _run_key_command(command: str, environment: Mapping[str, str]) -> str:
    import subprocess

    hint = "run the command in a shell to see why"
    try:
        done = subprocess.run(  # noqa: S602  the command comes from the user's own config
            command,
            shell=True,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise ConfigError("api_key_command did not finish", hint=hint) from None  # the cause would show the command
    lines = done.stdout.splitlines()
    if done.returncode or not lines or not lines[0].strip():
        raise ConfigError(f"api_key_command printed no key (exit code {done.returncode})", hint=hint)
    return lines[0].strip()
