"""Settings: defaults < config file < environment < command line.

The file is TOML. Its top-level keys are the settings for all voices (`Defaults`) and `profile`, the name of the profile
to use; each table `[profiles.NAME]` describes one voice (`Profile`). The fields below are the only definition of the
keys: the file's checks, the environment's names, the listing of settings and the example's test use them.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from voice_cli.config_keys import (
    SMOOTH,
    Key,
    between,
    check_prebuffer,
    header_name,
    keys_of,
    known_codec,
    one_of,
    variable_name,
    whole,
)
from voice_cli.errors import ConfigError, Hint, nearest
from voice_cli.folders import config_path

KEY_ENV = "OPENAI_API_KEY"
URL_ENV = "OPENAI_BASE_URL"
AZURE_KEY_ENV = "AZURE_OPENAI_API_KEY"
AZURE_URL_ENV = "AZURE_OPENAI_ENDPOINT"
COMMAND_LINE = "command line"
"""The origin of a setting from the command line."""


class Profile(NamedTuple):
    """How to reach one voice. None: the backend's default."""

    backend: Annotated[str | None, Key(str, env="VOICE_BACKEND")] = None
    base_url: Annotated[str | None, Key(str, env="VOICE_BASE_URL")] = None
    model: Annotated[str | None, Key(str, env="VOICE_MODEL")] = None
    voice: Annotated[str | None, Key(str, env="VOICE_VOICE")] = None
    format: Annotated[str | None, Key(str, known_codec, env="VOICE_FORMAT")] = None
    speed: Annotated[float | None, Key(float, between(0.25, 4), env="VOICE_SPEED")] = None
    """A factor."""
    instructions: Annotated[str | None, Key(str, env="VOICE_INSTRUCTIONS")] = None
    compute: Annotated[str | None, Key(str, env="VOICE_COMPUTE")] = None
    """The processor of an engine in this process: `auto`, `cpu`, `cuda`, `mps`."""
    voices: Annotated[str | None, Key(str)] = None
    """A folder of voices, for engines whose voices are files."""
    preset: Annotated[str | None, Key(str, env="VOICE_PRESET")] = None
    """A Chatterbox preset."""
    package: Annotated[str | None, Key(str)] = None
    """The Python package that runs the engine, if several can."""
    steps: Annotated[float | None, Key(float, whole(1, 100))] = None
    """Steps, for engines that refine their speech in steps."""
    cfg_scale: Annotated[float | None, Key(float, between(0, 10))] = None
    """VibeVoice's guidance."""
    api_key_env: Annotated[str | None, Key(str, variable_name, shown=False)] = None
    """The environment variable that contains the key."""
    api_key_command: Annotated[str | None, Key(str, shown=False)] = None
    """A command line whose first line of output is the key."""
    api_key_header: Annotated[str | None, Key(str, header_name)] = None
    """The HTTP header that carries the key; None: `Authorization`, as a bearer token."""
    speakers: Annotated[Mapping[str, str] | None, Key(dict)] = None
    """Names to voices, for a dialogue."""
    fallback: Annotated[Sequence[str] | None, Key(list, env="VOICE_FALLBACK")] = None
    """Names of the profiles that speak if this one fails, in order."""
    cache: Annotated[bool | None, Key(bool)] = None
    """False: its speech is neither kept nor taken from the cache."""

    def __repr__(self) -> str:
        shown = self._replace(api_key_command=None if self.api_key_command is None else "…")
        return f"Profile{tuple(shown)}"


class Defaults(NamedTuple):
    """The settings for all voices."""

    device: Annotated[str | None, Key(str, env="VOICE_DEVICE", numbers=(int,))] = None
    """Part of a name, or an index."""
    volume: Annotated[float, Key(float, between(0, 4), env="VOICE_VOLUME")] = 1.0
    """A factor."""
    prebuffer: Annotated[str, Key(str, check_prebuffer, env="VOICE_PREBUFFER", numbers=(int, float))] = "auto"
    """Milliseconds, or `auto`."""
    normalize: Annotated[bool, Key(bool, env="VOICE_NORMALIZE")] = False
    """Whether each voice gets the gain that makes it as loud as the others."""
    smooth: Annotated[str, Key(str, one_of(SMOOTH), env="VOICE_SMOOTH")] = "auto"
    """Where a speech waits that arrives more slowly than it is played."""
    timeout: Annotated[float, Key(float, between(0.1, 3600), env="VOICE_TIMEOUT")] = 60.0
    """Seconds without data from the server before a request fails."""
    markdown: Annotated[str, Key(str, one_of(("auto", "on", "off")), env="VOICE_MARKDOWN")] = "auto"
    """Whether the text is read as Markdown."""
    pause: Annotated[float, Key(float, between(0, 10), env="VOICE_PAUSE")] = 0.3
    """Seconds of silence between two sentences."""
    flush_after: Annotated[float, Key(float, between(0.05, 60), env="VOICE_FLUSH_AFTER")] = 0.6
    """Idle seconds before buffered text is spoken."""
    wake: Annotated[float, Key(float, between(0, 5000), env="VOICE_WAKE")] = 0.0
    """Milliseconds of silence before a speech, unless another one has just ended."""
    agent: Annotated[str, Key(str, one_of(("auto", "on", "off")), env="VOICE_AGENT")] = "auto"
    """Whether the agent speaks: `auto` uses it if it runs, and starts it for the next speech."""
    agent_idle: Annotated[float, Key(float, between(1, 1e6), env="VOICE_AGENT_IDLE")] = 900.0
    """Seconds without a speech after which the agent ends."""
    lookahead: Annotated[int, Key(int, between(1, 16), env="VOICE_LOOKAHEAD")] = 1
    """Utterances to request ahead of the current one."""
    resume: Annotated[bool, Key(bool, env="VOICE_RESUME")] = True
    """Whether an utterance whose stream is cut is requested again."""
    first_byte_timeout: Annotated[float | None, Key(float, between(0.05, 3600), env="VOICE_FIRST_BYTE_TIMEOUT")] = None
    """Seconds without audio after which a request is sent again, or to the next fallback; None: `timeout`."""
    hedge: Annotated[float, Key(float, between(0, 60_000), env="VOICE_HEDGE")] = 0.0
    """Milliseconds without audio after which a second request is sent; 0: none."""
    cache_size: Annotated[float, Key(float, between(0, 1e6), env="VOICE_CACHE_SIZE")] = 256.0
    """Megabytes of speech that are kept; 0: the cache is not used."""
    history: Annotated[str, Key(str, one_of(("off", "ids", "texts")), env="VOICE_HISTORY")] = "ids"
    """What the history has of a speech."""


class Config(NamedTuple):
    """A checked config file, and its path."""

    path: str
    exists: bool = False
    profile: str | None = None
    profiles: Mapping[str, Profile] = {}
    defaults: Mapping[str, Any] = {}
    """The keys of `Defaults` that the file sets."""
    pronounce: Mapping[str, str] = {}
    """Words or regular expressions to their replacements."""
    server: Mapping[str, Any] = {}
    """The table [server], unchecked: `server.settings` checks it."""


class Settings(NamedTuple):
    """The settings in effect, with the origin of each."""

    profile_name: str | None
    profile: Profile
    defaults: Defaults
    pronounce: Mapping[str, str]
    origins: Mapping[str, str]
    """Settings to their origins, without those that have their default."""
    own_base_url: str | None = None
    """The profile's address in the file, which another layer may replace."""
    key_variables: frozenset[str] = frozenset()
    """The variables that contain keys: those of OpenAI and Azure, and each `api_key_env` in the file."""
    fallbacks: tuple["Settings", ...] = ()
    """Those of the profile's fallbacks, in order."""

    @property
    def names_only_a_voice(self) -> bool:
        """Whether a voice is set, and neither backend nor model nor address: it may be one of an engine's."""
        named = {"backend", "model", "base_url"} & self.origins.keys()
        return self.profile.voice is not None and not named


def load(path: str | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check the config file. A missing file is no error, unless $VOICE_CONFIG names it.

    Raises:
        ConfigError: it cannot be read, or a key or a value is wrong.

    """
    path = path or config_path(environment)
    try:
        with open(path, "rb") as file:
            data: bytes | None = file.read()
    except (FileNotFoundError, NotADirectoryError):
        data = None
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from exc
    return parse(path, data, environment)


def parse(path: str, data: bytes | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Check the content of the config file at `path`; None: there is no file. Raises as `load`."""
    if data is None:
        if environment.get("VOICE_CONFIG"):
            raise ConfigError(f"{path}: no such file", hint="VOICE_CONFIG names it")
        return Config(path)
    try:
        import tomllib

        tree = tomllib.loads(data.removeprefix(b"\xef\xbb\xbf").decode())  # a byte order mark
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path} is not UTF-8") from exc
    except RecursionError as exc:
        raise ConfigError(f"{path} is nested too deeply") from exc
    except ValueError as exc:  # TOMLDecodeError
        raise ConfigError(f"{path}: {exc}") from exc
    return _checked(path, tree)


def _checked(path: str, tree: dict[str, Any]) -> Config:
    known = {"profile", "profiles", "pronounce", "server", *Defaults._fields}
    for key in tree:
        if key not in known:
            _refuse_secret(f"{path}: {key}", key)
            if key in Profile._fields:
                raise ConfigError(f"{path}: {key} belongs in a profile", hint="under [profiles.NAME]")
            raise ConfigError(f"{path}: unknown key {key!r}{nearest(key, known)}")
    profiles = {}
    for name, value in _table(path, "profiles", tree.get("profiles", {})).items():
        table = _table(path, f"profiles.{name}", value)
        values = checked_table(path, f"profiles.{name}.", table, Profile)
        if values.get("api_key_env") and values.get("api_key_command"):
            raise ConfigError(f"{path}: profiles.{name} has both api_key_env and api_key_command", hint="keep one")
        profiles[name] = Profile(**values)
    chosen = None
    if "profile" in tree:
        chosen = _checked_value(f"{path}: profile", tree["profile"], Key(str))
        if chosen not in profiles:
            from voice_cli.presets import check_name

            check_name(path, chosen, profiles)
    server = _table(path, "server", tree.get("server", {}))
    defaults = {key: tree[key] for key in tree if key in Defaults._fields}
    pronounce = _checked_value(f"{path}: pronounce", tree.get("pronounce", {}), Key(dict))
    return Config(path, True, chosen, profiles, checked_table(path, "", defaults, Defaults), pronounce, server)


def _table(path: str, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: {name} must be a table, [{name}]")
    return value


def checked_table(path: str, prefix: str, table: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Check a table of the file against a class of settings, and return its values.

    Raises:
        ConfigError: a key or a value is wrong.

    """
    known = keys_of(kind)
    values = {}
    for key, value in table.items():
        where = f"{path}: {prefix}{key}"
        _refuse_secret(where, key)
        if key not in known:
            raise ConfigError(f"{path}: unknown key {prefix}{key}{nearest(key, known)}")
        values[key] = _checked_value(where, value, known[key])
    return values


def _refuse_secret(where: str, key: str) -> None:
    if key in ("api_key", "key", "token"):
        raise ConfigError(
            f"{where} is an API key in the config file, which may be copied, synced and shown",
            hint="use api_key_env (a variable's name) or api_key_command (as: pass show openai)",
        )


def _checked_value(where: str, value: Any, key: Key) -> Any:
    kind = key.kind
    is_bool = isinstance(value, bool)
    if kind is float and isinstance(value, int) and not is_bool:
        value = float(value)
    if isinstance(value, key.numbers) and not is_bool:
        value = str(value)
    wrong_kind = not isinstance(value, kind) or (kind is int and is_bool)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if wrong_kind or not all(isinstance(text, str) for text in parts):
        names = {str: "a string", float: "a number", int: "a whole number", bool: "true or false"}
        name = {**names, list: "a list of strings", dict: "a table of strings"}[kind]
        raise ConfigError(f"{where} must be {name}" + (f"; it is {value!r}" if key.shown else ""))
    wrong = key.check(value) if key.check else None
    if wrong:
        raise ConfigError(f"{where} {wrong}" + (f"; it is {value!r}" if key.shown else ""))
    return value


def settle(
    config: Config,
    flags: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    *,
    backend_names: Collection[str] = (),
) -> Settings:
    """Merge the layers. `flags` holds the command line's values; None means unset.

    Without a backend in any layer, it is `http` if an address is set or the environment has a key, and else `espeak`.

    Raises:
        ConfigError: the profile or the backend is unknown, or a value in the environment is wrong.

    """
    name = flags.get("profile") or environment.get("VOICE_PROFILE") or config.profile
    named, origins = Profile(), dict[str, str]()
    if name is not None:
        named, origins = named_profile(config, name, environment)
    profile = named._asdict()
    defaults = {**Defaults()._asdict(), **config.defaults}
    origins |= dict.fromkeys(config.defaults, config.path)
    origins |= lay_over(profile, Profile, flags, environment)
    origins |= lay_over(defaults, Defaults, flags, environment)
    if profile["backend"] is None:
        asks_server = profile["base_url"] or environment.get(KEY_ENV) or environment.get(URL_ENV)
        profile["backend"] = "http" if asks_server else "espeak"
    if backend_names and profile["backend"] not in backend_names:
        origin = origins.get("backend", "")
        raise ConfigError(
            f"there is no backend {profile['backend']!r} ({origin}){nearest(profile['backend'], backend_names)}",
            hint=f"the backends: {', '.join(backend_names)}",
        )
    uses_sdk = profile["backend"] == "openai" and not environment.get(AZURE_URL_ENV)
    if profile["base_url"] is None and (name is None or uses_sdk) and environment.get(URL_ENV):
        profile["base_url"] = environment[URL_ENV]
        origins["base_url"] = f"${URL_ENV}"
    if origins.get("base_url") == f"preset {name}" and profile["base_url"].startswith("$"):
        variable = profile["base_url"][1:].partition("/")[0]
        raise ConfigError(f"the profile {name} needs ${variable}, which is not set", hint=Hint("set it, or {base_url}"))
    variables = [KEY_ENV, AZURE_KEY_ENV, config.server.get("api_key_env"), named.api_key_env]
    variables += [of_file.api_key_env for of_file in config.profiles.values()]
    settings = Settings(
        name,
        Profile(**profile),
        Defaults(**defaults),
        config.pronounce,
        origins,
        own_base_url=named.base_url,
        key_variables=frozenset(name for name in variables if isinstance(name, str)),
    )
    if not settings.profile.fallback:
        return settings
    return settings._replace(fallbacks=tuple(_fallbacks(config, settings, environment, backend_names)))


def named_profile(
    config: Config, name: str, environment: Mapping[str, str] = os.environ
) -> tuple[Profile, dict[str, str]]:
    """Return the profile of the file or the preset of that name, or both merged, and the origins of its values.

    Raises:
        ConfigError: there is neither.

    """
    from voice_cli.presets import check_name, of_preset

    check_name(config.path, name, config.profiles)
    own = {key: value for key, value in config.profiles.get(name, Profile())._asdict().items() if value is not None}
    more = of_preset(name, own, environment)
    origins = {**dict.fromkeys(more, f"preset {name}"), **dict.fromkeys(own, f"profile {name}")}
    return Profile(**more, **own), origins


def _fallbacks(
    config: Config, settings: Settings, environment: Mapping[str, str], backend_names: Collection[str]
) -> Iterator[Settings]:
    """Yield the settings of the fallback profiles, without the environment's values for the first one.

    Raises:
        ConfigError: as `settle`.

    """
    own = {"VOICE_PROFILE", *(key.env for key in keys_of(Profile).values())}
    rest = {variable: value for variable, value in environment.items() if variable not in own}
    alone = config._replace(profiles={name: each._replace(fallback=None) for name, each in config.profiles.items()})
    for name in settings.profile.fallback or ():
        settled = settle(alone, {"profile": name}, rest, backend_names=backend_names)
        yield settled._replace(defaults=settings.defaults)


def lay_over(
    layer: dict[str, Any], kind: type, flags: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, str]:
    """Set the values of the environment and the flags in a layer, and return their origins.

    Raises:
        ConfigError: a value in the environment is wrong.

    """
    origins = {}
    for setting, key in keys_of(kind).items():
        if key.env and environment.get(key.env):
            layer[setting] = _from_environment(key.env, environment[key.env], key)
            origins[setting] = f"${key.env}"
        if flags.get(setting) is not None:
            layer[setting] = flags[setting]
            origins[setting] = COMMAND_LINE
    return origins


def _from_environment(variable: str, text: str, key: Key) -> Any:
    value: Any = text
    if key.kind is list:
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif key.kind is bool:
        value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    elif key.kind in (float, int):
        try:
            value = key.kind(text)
        except ValueError:
            raise ConfigError(f"${variable} must be a number; it is {text!r}") from None
    return _checked_value(f"${variable}", value, key)
