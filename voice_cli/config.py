"""Settings: defaults < config file < environment < command line.

The file is TOML. At its top stand the settings of this machine (`Defaults`) and `profile`, the name of the profile to
use; each table `[profiles.NAME]` says how to reach one voice (`Profile`). The fields below are the only definition of
the keys: the file's checks, the environment's names, `voice config show` and the example file's test follow from them.
"""

import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Annotated, Any, NamedTuple

from voice_cli.audio import CODECS, codec_names
from voice_cli.errors import ConfigError

KEY_ENV = "OPENAI_API_KEY"
URL_ENV = "OPENAI_BASE_URL"
COMMAND_LINE = "command line"
"""The origin of a setting that the command line has."""


class Key(NamedTuple):
    """What is to be known of a key besides its type and default."""

    kind: type
    """str, float, int, or dict for a table of texts."""
    check: Callable[[Any], str | None] | None = None
    """Says what is wrong with a value, or None."""
    env: str | None = None
    """The environment variable that sets it too."""
    shown: bool = True
    """False: its value may be, or hold, a secret, so no message has it."""


def keys_of(settings: type) -> dict[str, Key]:
    """Return the keys of a class of settings by name, in their order."""
    return {name: annotation.__metadata__[0] for name, annotation in settings.__annotations__.items()}


def between(low: float, high: float) -> Callable[[float], str | None]:
    return lambda value: None if low <= value <= high else f"must be from {low:g} to {high:g}"


def whole(low: int, high: int) -> Callable[[float], str | None]:
    return lambda value: None if value in range(low, high + 1) else f"must be a whole number from {low} to {high}"


def one_of(choices: Iterable[str]) -> Callable[[str], str | None]:
    names = tuple(choices)
    return lambda value: None if value in names else f"must be one of {', '.join(names)}{_nearest(value, names)}"


def known_codec(value: str) -> str | None:
    return None if value in CODECS else one_of(codec_names())(value)


def variable_name(value: str) -> str | None:
    return None if value.isidentifier() else "must be the name of an environment variable, not the key itself"


def check_prebuffer(value: str) -> str | None:
    """Return what is wrong with a prebuffer's text, if anything is: `auto`, or milliseconds."""
    try:
        return None if value == "auto" or 0 <= float(value) <= 10_000 else "must be from 0 to 10000 ms"
    except ValueError:
        return "must be 'auto' or a number of milliseconds"


class Profile(NamedTuple):
    """How to reach one voice. None: not said, so the backend's own default holds."""

    backend: Annotated[str | None, Key(str, env="VOICE_BACKEND")] = None
    base_url: Annotated[str | None, Key(str, env="VOICE_BASE_URL")] = None
    model: Annotated[str | None, Key(str, env="VOICE_MODEL")] = None
    voice: Annotated[str | None, Key(str, env="VOICE_VOICE")] = None
    format: Annotated[str | None, Key(str, known_codec, env="VOICE_FORMAT")] = None
    speed: Annotated[float | None, Key(float, between(0.25, 4), env="VOICE_SPEED")] = None
    """A factor."""
    instructions: Annotated[str | None, Key(str, env="VOICE_INSTRUCTIONS")] = None
    compute: Annotated[str | None, Key(str, env="VOICE_COMPUTE")] = None
    """Where an engine in this process runs: `auto`, `cpu`, `cuda`, `mps`."""
    voices: Annotated[str | None, Key(str)] = None
    """A folder of voices, for engines whose voices are files."""
    preset: Annotated[str | None, Key(str, env="VOICE_PRESET")] = None
    """One of Chatterbox's."""
    steps: Annotated[float | None, Key(float, whole(1, 100))] = None
    """Of engines that refine their speech in steps: how many."""
    cfg_scale: Annotated[float | None, Key(float, between(0, 10))] = None
    """VibeVoice's guidance."""
    api_key_env: Annotated[str | None, Key(str, variable_name, shown=False)] = None
    """The environment variable that has the key."""
    api_key_command: Annotated[str | None, Key(str, shown=False)] = None
    """A command line whose first line of output is the key."""
    speakers: Annotated[Mapping[str, str] | None, Key(dict)] = None
    """Whose voice is whose in a dialogue."""

    def __repr__(self) -> str:
        shown = self._replace(api_key_command=None if self.api_key_command is None else "…")
        return f"Profile{tuple(shown)}"


class Defaults(NamedTuple):
    """What is the same whatever the voice."""

    device: Annotated[str | None, Key(str, env="VOICE_DEVICE")] = None
    """Part of a name, or an index."""
    volume: Annotated[float, Key(float, between(0, 4), env="VOICE_VOLUME")] = 1.0
    """A factor."""
    prebuffer: Annotated[str, Key(str, check_prebuffer, env="VOICE_PREBUFFER")] = "auto"
    """Milliseconds, or `auto`."""
    timeout: Annotated[float, Key(float, between(0.1, 3600), env="VOICE_TIMEOUT")] = 60.0
    """Seconds of silence after which a server is given up."""
    markdown: Annotated[str, Key(str, one_of(("auto", "on", "off")), env="VOICE_MARKDOWN")] = "auto"
    """Whether the text is read as Markdown."""
    pause: Annotated[float, Key(float, between(0, 10), env="VOICE_PAUSE")] = 0.3
    """Seconds between two sentences that were spoken one by one."""
    flush_after: Annotated[float, Key(float, between(0.05, 60), env="VOICE_FLUSH_AFTER")] = 0.6
    """Seconds in which no text came after which what there is is spoken."""
    lookahead: Annotated[int, Key(int, between(1, 16), env="VOICE_LOOKAHEAD")] = 1
    """Utterances that are asked for ahead of the one that arrives."""


class Config(NamedTuple):
    """A checked config file, and where it is."""

    path: str
    exists: bool = False
    profile: str | None = None
    profiles: Mapping[str, Profile] = {}
    defaults: Mapping[str, Any] = {}
    """The keys of `Defaults` that the file sets."""
    pronounce: Mapping[str, str] = {}
    """How words are said."""
    server: Mapping[str, Any] = {}
    """The table [server], as it stands: `server.settings` checks it."""


class Settings(NamedTuple):
    """All that is settled before speech begins, with each setting's origin."""

    profile_name: str | None
    profile: Profile
    defaults: Defaults
    pronounce: Mapping[str, str]
    """How words are said."""
    origins: Mapping[str, str]
    """Setting to where it came from, for those that are not defaults."""


_FOLDERS = {
    "config": ("XDG_CONFIG_HOME", ".config", "Application Support", "APPDATA", "Roaming"),
    "state": ("XDG_STATE_HOME", ".local/state", "Application Support", "LOCALAPPDATA", "Local"),
    "cache": ("XDG_CACHE_HOME", ".cache", "Caches", "LOCALAPPDATA", "Local"),
}
"""Where systems keep what a program has of a kind: the XDG variable, and the folder at home without it; macOS's folder
in ~/Library; Windows' variable, and the folder in ~/AppData without it."""


def user_folder(kind: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return this user's folder for what `voice` has of that kind: `config`, `state` or `cache`."""
    xdg, at_home, library, variable, app_data = _FOLDERS[kind]
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        folder = environment.get(variable) or os.path.join(home, "AppData", app_data)
    elif environment.get(xdg):
        folder = environment[xdg]
    elif sys.platform == "darwin":
        folder = os.path.join(home, "Library", library)
    else:
        folder = os.path.join(home, at_home)
    return os.path.join(folder, "voice")


def config_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return where the config file is looked for: $VOICE_CONFIG, else this system's folder for such files."""
    named = environment.get("VOICE_CONFIG")
    return os.path.expanduser(named) if named else os.path.join(user_folder("config", environment), "config.toml")


def load(path: str | None = None, environment: Mapping[str, str] = os.environ) -> Config:
    """Read and check the config file. None there is no error, unless $VOICE_CONFIG names it.

    Raises:
        ConfigError: it cannot be read, or something in it is wrong: names the file, the key, and the nearest right one.

    """
    path = path or config_path(environment)
    try:
        with open(path, "rb") as file:
            import tomllib

            tree = tomllib.load(file)
    except FileNotFoundError:
        if environment.get("VOICE_CONFIG"):
            raise ConfigError(f"{path}: there is no such file", hint="VOICE_CONFIG names it") from None
        return Config(path)
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from exc
    except ValueError as exc:  # TOMLDecodeError, UnicodeDecodeError
        raise ConfigError(f"{path}: {exc}") from exc
    return _checked(path, tree)


def _checked(path: str, tree: dict[str, Any]) -> Config:
    known = {"profile", "profiles", "pronounce", "server", *Defaults._fields}
    for key in tree:
        if key not in known:
            _refuse_secret(f"{path}: {key}", key)
            if key in Profile._fields:
                raise ConfigError(f"{path}: {key} belongs in a profile", hint="under [profiles.NAME]")
            raise ConfigError(f"{path}: unknown key {key!r}{_nearest(key, known)}")
    tables = tree.get("profiles", {})
    if not isinstance(tables, dict):
        raise ConfigError(f"{path}: profiles must be tables, [profiles.NAME]")
    profiles = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: profiles.{name} must be a table, [profiles.{name}]")
        values = checked_table(path, f"profiles.{name}.", table, Profile)
        if values.get("api_key_env") and values.get("api_key_command"):
            raise ConfigError(f"{path}: profiles.{name} has both api_key_env and api_key_command", hint="keep one")
        profiles[name] = Profile(**values)
    chosen = tree.get("profile")
    if chosen is not None and not isinstance(chosen, str):
        raise ConfigError(f"{path}: profile must be the name of a profile, as a string")
    if chosen is not None and chosen not in profiles:
        raise ConfigError(f"{path}: profile names {chosen!r}, which is not there{_nearest(chosen, profiles)}")
    server = tree.get("server", {})
    if not isinstance(server, dict):
        raise ConfigError(f"{path}: server must be a table, [server]")
    defaults = {key: tree[key] for key in tree if key in Defaults._fields}
    pronounce = _checked_value(f"{path}: pronounce", tree.get("pronounce", {}), Key(dict))
    return Config(path, True, chosen, profiles, checked_table(path, "", defaults, Defaults), pronounce, server)


def checked_table(path: str, prefix: str, table: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Check a table of the file against a class of settings.

    Raises:
        ConfigError: names the key, what is wrong with it, and the nearest right one.

    """
    known = keys_of(kind)
    values = {}
    for key, value in table.items():
        where = f"{path}: {prefix}{key}"
        _refuse_secret(where, key)
        if key not in known:
            raise ConfigError(f"{path}: unknown key {prefix}{key}{_nearest(key, known)}")
        values[key] = _checked_value(where, value, known[key])
    return values


def _refuse_secret(where: str, key: str) -> None:
    if key in ("api_key", "key", "token"):
        raise ConfigError(
            f"{where} would keep a secret in a file that gets copied, synced and shown",
            hint="use api_key_env (a variable's name) or api_key_command (as: pass show openai)",
        )


def _checked_value(where: str, value: Any, key: Key) -> Any:
    kind = key.kind
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind is str and key.check is check_prebuffer and isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:g}"
    if kind is str and where.endswith(": device") and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    wrong_kind = not isinstance(value, kind) or (kind is int and isinstance(value, bool))
    if wrong_kind or (kind is dict and not all(isinstance(text, str) for text in value.values())):
        name = {str: "a string", float: "a number", int: "a whole number", dict: "a table of strings"}[kind]
        raise ConfigError(f"{where} must be {name}" + (f", and is {value!r}" if key.shown else ""))
    wrong = key.check(value) if key.check else None
    if wrong:
        raise ConfigError(f"{where} {wrong}" + (f"; it is {value!r}" if key.shown else ""))
    return value


def _nearest(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def settle(
    config: Config,
    flags: Mapping[str, Any],
    environment: Mapping[str, str] = os.environ,
    *,
    backend_names: Collection[str] = (),
) -> Settings:
    """Lay the layers over each other. `flags` has what the command line says; None there is not said.

    With no profile and no backend named anywhere: `http` if there is a key or an address for it in the environment,
    else `espeak`, which needs neither.

    Raises:
        ConfigError: the profile is unknown, or the environment has a value that cannot be.

    """
    name = flags.get("profile") or environment.get("VOICE_PROFILE") or config.profile
    if name is not None and name not in config.profiles:
        raise ConfigError(
            f"there is no profile {name!r} in {config.path}{_nearest(name, config.profiles)}",
            hint=f"it has: {', '.join(config.profiles) or 'none'}",
        )
    base = config.profiles[name] if name is not None else Profile()
    origins: dict[str, str] = {}
    profile = base._asdict()
    origins.update({key: f"profile {name}" for key, value in profile.items() if value is not None})
    defaults = {**Defaults()._asdict(), **config.defaults}
    origins.update(dict.fromkeys(config.defaults, config.path))
    origins.update(lay_over(profile, Profile, flags, environment))
    origins.update(lay_over(defaults, Defaults, flags, environment))
    if profile["backend"] is None:
        asks_server = profile["base_url"] or environment.get(KEY_ENV) or environment.get(URL_ENV)
        profile["backend"] = "http" if asks_server else "espeak"
    if backend_names and profile["backend"] not in backend_names:
        origin = origins.get("backend", "")
        raise ConfigError(
            f"there is no backend {profile['backend']!r} ({origin}){_nearest(profile['backend'], backend_names)}",
            hint=f"the backends: {', '.join(backend_names)}",
        )
    if profile["base_url"] is None and name is None and environment.get(URL_ENV):
        profile["base_url"] = environment[URL_ENV]
        origins["base_url"] = f"${URL_ENV}"
    return Settings(name, Profile(**profile), Defaults(**defaults), config.pronounce, origins)


def lay_over(
    layer: dict[str, Any], kind: type, flags: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, str]:
    """Lay what the environment and the flags say over the values of a class of settings; give what came from where.

    Raises:
        ConfigError: the environment has a value that cannot be.

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
    if key.kind in (float, int):
        try:
            value = key.kind(text)
        except ValueError:
            raise ConfigError(f"${variable} must be a number, and is {text!r}") from None
    return _checked_value(f"${variable}", value, key)
