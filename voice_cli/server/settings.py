"""What the server is told: defaults < `[server]` of the config file < environment < flags.

The fields below are the only definition of the keys, as in `config`. They stand here since nothing that speaks in a
terminal has to know them.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from voice_cli.backends import BACKENDS, LOCAL, is_remote, options_of
from voice_cli.config import (
    Config,
    Key,
    between,
    checked_table,
    keys_of,
    lay_over,
    one_of,
    settle,
    variable_name,
    whole,
)
from voice_cli.errors import ConfigError, UsageError

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _engine(value: str) -> str | None:
    is_local = value in LOCAL or (value in BACKENDS and not is_remote(value))
    return None if is_local else one_of(LOCAL)(value)


def _origins(value: str) -> str | None:
    for origin in value.split(","):
        if origin.strip() != "*" and not origin.strip().startswith(("http://", "https://")):
            return "must be '*', or origins as in https://example.org, separated by commas"
    return None


def _voices_url(value: str) -> str | None:
    if not value.startswith(("http://", "https://")):
        return "must be an http:// or https:// address"
    return None if "{voice}" in value else "must have {voice} where the voice's id goes"


class Server(NamedTuple):
    """Where the server listens, and what it lets happen. Seconds and bytes, if nothing is said."""

    engine: Annotated[str, Key(str, _engine, env="VOICE_SERVER_ENGINE")] = "espeak"
    """Who speaks."""
    profile: Annotated[str | None, Key(str, env="VOICE_SERVER_PROFILE")] = None
    """The profile that has the engine and its options."""
    host: Annotated[str, Key(str, env="VOICE_SERVER_HOST")] = "127.0.0.1"
    port: Annotated[int, Key(int, whole(0, 65535), env="VOICE_SERVER_PORT")] = 8880
    """0: any that is free."""
    api_key_env: Annotated[str | None, Key(str, variable_name, env="VOICE_SERVER_API_KEY_ENV", shown=False)] = None
    """The environment variable that has the key, or several, separated by white space."""
    cors: Annotated[str | None, Key(str, _origins, env="VOICE_SERVER_CORS")] = None
    """The origins whose pages may ask, separated by commas; None: only the server's own."""
    max_streams: Annotated[int, Key(int, whole(1, 10_000), env="VOICE_SERVER_MAX_STREAMS")] = 128
    """Streams at once; who comes then is told to come again."""
    max_text: Annotated[int, Key(int, whole(1, 10_000_000), env="VOICE_SERVER_MAX_TEXT")] = 20_000
    """Characters of one request, or waiting in one session."""
    voices: Annotated[str | None, Key(str, env="VOICE_SERVER_VOICES")] = None
    """A folder of voices, for engines whose voices are files."""
    voices_url: Annotated[str | None, Key(str, _voices_url, env="VOICE_SERVER_VOICES_URL")] = None
    """Where a voice that is in no folder is fetched from."""
    voices_cache: Annotated[str | None, Key(str)] = None
    """The folder that keeps the fetched ones; None: in this system's folder for such files."""
    voices_cache_mb: Annotated[float, Key(float, between(1, 100_000))] = 512
    """Megabytes of fetched voices that are kept."""
    queue_timeout: Annotated[float, Key(float, between(0.1, 3600))] = 30.0
    """How long a stream may wait for its first sound."""
    stall_timeout: Annotated[float, Key(float, between(0.1, 3600))] = 30.0
    """How long a client may take nothing, once it has heard what was made."""
    max_seconds: Annotated[float, Key(float, between(1, 86_400))] = 3600.0
    """How long one stream, or one session without a word, may last."""
    drain_timeout: Annotated[float, Key(float, between(0, 3600))] = 30.0
    """How long streams may go on when the server is to stop."""
    replicas: Annotated[int | None, Key(int, whole(1, 1000), env="VOICE_SERVER_REPLICAS")] = None
    """How many engines there are on Ray; None: one, and more as they are needed."""


class ServerSettings(NamedTuple):
    """All that is settled before the server opens."""

    server: Server
    engine_options: Mapping[str, Any] = {}
    """What the engine's constructor takes."""
    voice: str | None = None
    """The voice of a request that names none."""
    pronounce: Mapping[str, str] = {}
    markdown: str = "auto"
    pause: float = 0.3
    """Seconds between two sentences."""
    flush_after: float = 0.6
    lookahead: int = 1
    api_keys: tuple[str, ...] = ()
    insecure: bool = False
    """Open to whoever reaches it, by whatever name: it was said so."""

    def __repr__(self) -> str:
        return f"ServerSettings({self.server!r}, {len(self.api_keys)} keys)"


def settle_server(
    config: Config, flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ, *, insecure: bool = False
) -> ServerSettings:
    """Lay the layers over each other. `flags` has what the command line says; None there is not said.

    Raises:
        UsageError: a flag's value cannot be.
        ConfigError: a value cannot be; the key's variable is not set; or the server would be open to others with no
            key, and `insecure` does not say so.

    """
    for name, key in keys_of(Server).items():
        value = flags.get(name)
        wrong = key.check(value) if value is not None and key.check else None
        if wrong:
            shown = f"; it is {value!r}" if key.shown else ""
            raise UsageError(f"--{name.replace('_', '-')} {wrong}{shown}")
    table = checked_table(config.path, "server.", config.server, Server)
    values = {**Server()._asdict(), **table}
    origins = lay_over(values, Server, flags, environment)
    server = Server(**values)
    said = server.profile is None or "engine" in table or "engine" in origins
    chosen = {"profile": server.profile, "backend": server.engine if said else None}
    others = {name: value for name, value in environment.items() if name not in ("VOICE_PROFILE", "VOICE_BACKEND")}
    settings = settle(config._replace(profile=None), chosen, others)
    engine = str(settings.profile.backend)
    wrong = _engine(engine)
    if wrong:
        raise ConfigError(f"the server's engine {wrong}; profile {server.profile} has {engine!r}")
    server = server._replace(engine=engine)
    options = dict(options_of(engine, settings.profile))
    if flags.get("model") is not None:
        options["model"] = flags["model"]
    machine = settings.defaults
    keys = keys_of_server(server, environment)
    if server.host not in LOOPBACK and not keys and not insecure:
        raise ConfigError(
            f"on {server.host} others can reach the server, and it asks for no key",
            hint="--api-key-env NAME asks for one; --insecure if it is meant to be open",
        )
    return ServerSettings(
        server,
        options,
        settings.profile.voice,
        config.pronounce,
        machine.markdown,
        machine.pause,
        machine.flush_after,
        machine.lookahead,
        keys,
        insecure,
    )


def keys_of_server(server: Server, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Find the keys that the server asks for; none: it asks for none.

    Raises:
        ConfigError: the variable is not set, or has what can be no key.

    """
    variable = server.api_key_env
    if variable is None:
        return ()
    keys = tuple(environment.get(variable, "").split())
    if not keys:
        raise ConfigError(f"${variable}, which has the server's key, is not set")
    if not all(key.isascii() and key.isprintable() for key in keys):
        raise ConfigError(f"${variable} has a key that no header can carry", hint="letters, digits and signs of ASCII")
    return keys


def allowed_origins(server: Server) -> Iterable[str]:
    """Give the origins whose pages may ask, as browsers write them."""
    return [origin.strip().rstrip("/").lower() for origin in (server.cors or "").split(",") if origin.strip()]
