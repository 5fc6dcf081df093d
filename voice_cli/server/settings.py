"""The server's settings: defaults < `[server]` of the config file < environment < flags.

The fields below are the only definition of the keys, as in `config`.
"""

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from voice_cli.backends import BACKENDS, LOCAL, is_remote, options_of
from voice_cli.config import Config, Defaults, checked_table, lay_over, settle
from voice_cli.config_keys import Key, between, one_of, variable_name, whole
from voice_cli.errors import ConfigError, Hint

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
    """Address, engine and limits of the server. Times are seconds."""

    engine: Annotated[str, Key(str, _engine, env="VOICE_SERVER_ENGINE")] = "espeak"
    """The engine."""
    profile: Annotated[str | None, Key(str, env="VOICE_SERVER_PROFILE")] = None
    """The profile with the engine and its options."""
    host: Annotated[str, Key(str, env="VOICE_SERVER_HOST")] = "127.0.0.1"
    port: Annotated[int, Key(int, whole(0, 65535), env="VOICE_SERVER_PORT")] = 8880
    """0: any free port."""
    api_key_env: Annotated[str | None, Key(str, variable_name, env="VOICE_SERVER_API_KEY_ENV", shown=False)] = None
    """The environment variable with the API keys, separated by white space."""
    cors: Annotated[str | None, Key(str, _origins, env="VOICE_SERVER_CORS")] = None
    """Allowed origins, separated by commas; None: only the server's own."""
    max_streams: Annotated[int, Key(int, whole(1, 10_000), env="VOICE_SERVER_MAX_STREAMS")] = 128
    """Admission limit: concurrent streams; further requests get 429."""
    max_connections: Annotated[int, Key(int, whole(1, 100_000))] = 2048
    """Open connections in all. A further one takes the place of one that waits for a request, or gets 503."""
    max_connections_per_address: Annotated[int, Key(int, whole(1, 100_000))] = 1024
    """Open connections from one address, or from one IPv6 network of 64 bits."""
    max_text: Annotated[int, Key(int, whole(1, 10_000_000), env="VOICE_SERVER_MAX_TEXT")] = 20_000
    """Characters of one request, or queued in one session."""
    voices: Annotated[str | None, Key(str, env="VOICE_SERVER_VOICES")] = None
    """A folder of voices, for engines whose voices are files."""
    voices_url: Annotated[str | None, Key(str, _voices_url, env="VOICE_SERVER_VOICES_URL")] = None
    """Where voices that are not in the folder are fetched from."""
    voices_cache: Annotated[str | None, Key(str)] = None
    """The cache folder for fetched voices; None: in the user's cache folder."""
    voices_cache_mb: Annotated[float, Key(float, between(1, 100_000))] = 512
    """Megabytes of the cache."""
    head_timeout: Annotated[float, Key(float, between(0.1, 3600))] = 10.0
    """Timeout for a request's head, from the connection or from its first byte on a kept connection."""
    idle_timeout: Annotated[float, Key(float, between(1, 3600))] = 30.0
    """Timeout of a kept connection for its next request."""
    queue_timeout: Annotated[float, Key(float, between(0.1, 3600))] = 30.0
    """Timeout for a stream's first sound."""
    stall_timeout: Annotated[float, Key(float, between(0.1, 3600))] = 30.0
    """Timeout for a client that reads nothing, after the audio sent so far has been played."""
    max_seconds: Annotated[float, Key(float, between(1, 86_400))] = 3600.0
    """Time limit of a stream, and idle timeout of a session."""
    drain_timeout: Annotated[float, Key(float, between(0, 3600))] = 30.0
    """Time limit of the drain at shutdown."""
    replicas: Annotated[int | None, Key(int, whole(1, 1000), env="VOICE_SERVER_REPLICAS")] = None
    """Replicas on Ray; None: autoscaling from one."""


class ServerSettings(NamedTuple):
    """All resolved settings."""

    server: Server
    engine_options: Mapping[str, Any] = {}
    """Arguments of the engine's constructor."""
    voice: str | None = None
    """The default voice."""
    pronounce: Mapping[str, str] = {}
    defaults: Defaults = Defaults()
    api_keys: tuple[str, ...] = ()
    insecure: bool = False
    """Serve on any address and Host header without a key."""

    def __repr__(self) -> str:
        return f"ServerSettings({self.server!r}, {len(self.api_keys)} keys)"


def settle_server(
    config: Config, flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ, *, insecure: bool = False
) -> ServerSettings:
    """Merge the layers. `flags` holds the command line's values, already checked; None means unset.

    Raises:
        ConfigError: a value is wrong; the key's variable is not set; or the server would be open to others without a
            key, and `insecure` is not set.

    """
    table = checked_table(config.path, "server.", config.server, Server)
    values = {**Server()._asdict(), **table}
    origins = lay_over(values, Server, flags, environment)
    server = Server(**values)
    is_chosen = server.profile is None or "engine" in table or "engine" in origins
    chosen = {"profile": server.profile, "backend": server.engine if is_chosen else None}
    others = {name: value for name, value in environment.items() if name not in ("VOICE_PROFILE", "VOICE_BACKEND")}
    settings = settle(config._replace(profile=None), chosen, others)
    if settings.names_only_a_voice:
        from voice_cli.voices.named import with_engine

        settings = with_engine(settings, others)
    engine = str(settings.profile.backend)
    wrong = _engine(engine)
    if wrong:
        raise ConfigError(f"the server's engine {wrong}; profile {server.profile} has {engine!r}")
    server = server._replace(engine=engine)
    options = dict(options_of(engine, settings.profile))
    if flags.get("model") is not None:
        options["model"] = flags["model"]
    keys = keys_of_server(server, environment)
    if server.host not in LOOPBACK and not keys and not insecure:
        raise ConfigError(
            f"other machines can reach the server on {server.host}, and it requires no API key",
            hint=Hint("set {api_key_env} to require one, or {insecure} if the server is meant to be open"),
        )
    return ServerSettings(
        server,
        options,
        settings.profile.voice,
        config.pronounce,
        settings.defaults,
        keys,
        insecure,
    )


def keys_of_server(server: Server, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the API keys; empty if the server needs none. Raises ConfigError if there is an error in the variable."""
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
    """Return the allowed origins as browsers write them."""
    return [origin.strip().rstrip("/").lower() for origin in (server.cors or "").split(",") if origin.strip()]
