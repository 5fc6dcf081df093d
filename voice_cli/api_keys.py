"""API keys: where they come from, and to which servers $OPENAI_API_KEY is sent."""

import os
from collections.abc import Mapping

from voice_cli.config import COMMAND_LINE, KEY_ENV, URL_ENV, Settings
from voice_cli.errors import ConfigError, server_name
from voice_cli.printable import one_line


def api_key(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the API key for the profile's server; None: there is none. Many servers need none.

    `withheld_key` documents where $OPENAI_API_KEY is sent.

    Raises:
        ConfigError: the variable is not set, or the command fails. Its output is not shown.

    """
    profile = settings.profile
    if profile.api_key_command:
        return _run_key_command(profile.api_key_command)
    if profile.api_key_env:
        key = environment.get(profile.api_key_env)
        if not key:
            raise ConfigError(f"${profile.api_key_env}, the api_key_env of profile {settings.profile_name}, is not set")
        return key
    key = environment.get(KEY_ENV) or None
    return key if key and _is_allowed(settings, environment) else None


def withheld_key(settings: Settings, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return a note if $OPENAI_API_KEY is set but not sent to an address from outside the profile.

    It is sent to api.openai.com over TLS, to the host of $OPENAI_BASE_URL (over TLS if that uses TLS), to loopback
    addresses, and over TLS to an address from the command line. A profile's address gets only the profile's key.
    """
    profile = settings.profile
    is_named = bool(profile.api_key_env or profile.api_key_command)
    if is_named or not environment.get(KEY_ENV) or _is_profiles_address(settings):
        return None
    if _is_allowed(settings, environment):
        return None
    return (
        f"{KEY_ENV} is not sent to {one_line(server_name(str(profile.base_url))) or 'this address'} "
        "(to send a key there, add a profile with base_url and api_key_env)"
    )


def _is_profiles_address(settings: Settings) -> bool:
    return settings.origins.get("base_url", "").startswith("profile ")


def _is_allowed(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Return whether $OPENAI_API_KEY may go to the settings' address."""
    url = settings.profile.base_url
    if url is None or settings.origins.get("base_url") == f"${URL_ENV}":
        return True
    if _is_profiles_address(settings):
        return False
    host, is_secure = _host_of(url)
    own_host, own_is_secure = _host_of(environment.get(URL_ENV, ""))
    if not host:
        return False
    if _is_loopback(host) or (host == own_host and (is_secure or not own_is_secure)):
        return True
    return is_secure and (host == "api.openai.com" or settings.origins.get("base_url") == COMMAND_LINE)


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


def _run_key_command(command: str) -> str:
    import subprocess

    hint = "run the command in a shell to see why"
    try:
        done = subprocess.run(  # noqa: S602  the command comes from the user's own config
            command,
            shell=True,
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
