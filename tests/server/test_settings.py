"""The server's settings: precedence of layers, invalid values, and safe defaults."""

import pytest

from voice_cli.backends import LOCAL, REMOTE
from voice_cli.cli.options import check_values, line_of
from voice_cli.config import Config, Defaults, load
from voice_cli.config_keys import keys_of
from voice_cli.errors import ConfigError, UsageError
from voice_cli.server.settings import LOOPBACK, Server, ServerSettings, allowed_origins, settle_server

NO_FILE = Config("/nowhere/config.toml")


@pytest.fixture
def file(tmp_path):
    """Write a config file and load it."""

    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return load(str(path), {})

    return write


def settled(config=NO_FILE, flags=None, environment=None, **options):
    return settle_server(config, flags or {}, environment or {}, **options)


# Layers.

VALUES = {
    # key: (file, environment, parsed environment, flag)
    "engine": ("sherpa", "piper", "piper", "vibevoice"),
    "host": ("::1", "localhost", "localhost", "127.0.0.1"),
    "port": (1, "2", 2, 3),
    "api_key_env": ("FILE_KEY", "ENV_KEY", "ENV_KEY", "FLAG_KEY"),
    "cors": ("http://file", "http://env", "http://env", "*"),
    "max_streams": (1, "2", 2, 3),
    "max_text": (1, "2", 2, 3),
    "replicas": (1, "2", 2, 3),
    "voices": ("file", "env", "env", "flag"),
    "voices_url": ("http://file/{voice}", "http://env/{voice}", "http://env/{voice}", "http://flag/{voice}"),
}
KEYS = dict.fromkeys(("FILE_KEY", "ENV_KEY", "FLAG_KEY"), "sk-1")


def test_every_environment_variable_is_tested():
    in_environment = {name for name, key in keys_of(Server).items() if key.env}
    assert in_environment == {*VALUES, "profile"}


@pytest.mark.parametrize("key", VALUES)
def test_flags_override_the_environment_the_file_and_the_defaults(file, key):
    in_file, variable, in_environment, flag = VALUES[key]
    config = file(f"[server]\n{key} = {in_file!r}\n")
    environment = {**KEYS, f"VOICE_SERVER_{key.upper()}": variable}
    assert getattr(settled().server, key) == getattr(Server(), key)
    assert getattr(settled(config, {}, KEYS).server, key) == in_file
    assert getattr(settled(config, {}, environment).server, key) == in_environment
    assert getattr(settled(config, {key: flag}, environment).server, key) == flag


@pytest.mark.parametrize("key", [name for name, key in keys_of(Server).items() if not key.env])
def test_some_keys_are_set_only_in_the_file(file, key):
    value = {"voices_cache": '"~/here"'}.get(key, "7")
    setting = getattr(settled(file(f"[server]\n{key} = {value}\n")).server, key)
    assert setting == ("~/here" if key == "voices_cache" else 7)


def test_settings_for_all_speech_apply(file):
    config = file('pause = 0.5\nmarkdown = "off"\nflush_after = 2\nlookahead = 3\n[pronounce]\nnginx = "engine x"\n')
    settings = settled(config)
    assert settings.defaults == Defaults(pause=0.5, markdown="off", flush_after=2.0, lookahead=3)
    assert settings.pronounce == {"nginx": "engine x"}


# The engine.

PROFILES = """
profile = "cloud"
[profiles.cloud]
backend = "http"
base_url = "https://example.org/v1"
[profiles.amy]
backend = "sherpa"
model = "~/amy"
voice = "3"
[server]
profile = "amy"
"""


def test_a_profile_sets_the_engine_its_options_and_the_voice(file):
    settings = settled(file(PROFILES))
    assert (settings.server.engine, settings.engine_options, settings.voice) == ("sherpa", {"model": "~/amy"}, "3")


def test_the_profile_of_voice_say_is_not_used(file):
    config = file(PROFILES.replace("[server]\nprofile", "[server]\n# profile"))
    environment = {"VOICE_PROFILE": "cloud", "VOICE_BACKEND": "openai", "OPENAI_API_KEY": "sk-1"}
    assert settled(config, {}, environment).server.engine == "espeak"


def test_flags_override_engine_and_model(file):
    settings = settled(file(PROFILES), {"engine": "piper", "model": "bob.onnx"})
    assert (settings.server.engine, settings.engine_options["model"]) == ("piper", "bob.onnx")


@pytest.mark.parametrize("name", sorted(REMOTE))
def test_a_remote_engine_is_refused(file, name):
    with pytest.raises(UsageError, match=r"invalid --engine '.*': it must be one of"):
        check_values({"engine": name}, Server)
    with pytest.raises(ConfigError, match="must be one of"):
        settled(file(f'[server]\nengine = "{name}"\n'))
    with pytest.raises(ConfigError, match="profile cloud has"):
        settled(file(PROFILES), {"profile": "cloud"})
    assert name not in LOCAL


def test_an_unknown_profile_is_an_error(file):
    with pytest.raises(ConfigError, match="did you mean 'amy'"):
        settled(file(PROFILES), {"profile": "any"})


# Invalid values.


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("port = 65536", "server.port must be a whole number from 0 to 65535"),
        ('port = "8880"', "server.port must be a whole number"),
        ("max_streams = 0", "server.max_streams must be"),
        ("max_text = 1.5", "server.max_text must be a whole number"),
        ('cors = "example.org"', "server.cors must be"),
        ('voices_url = "ftp://x/{voice}"', "server.voices_url must be"),
        ('voices_url = "https://x/voice.wav"', "server.voices_url must have {voice}"),
        ("stall_timeout = 0", "server.stall_timeout must be"),
        ("prot = 1", "did you mean 'port'"),
        ('api_key = "sk-1"', "is an API key in the config file"),
        ('api_key_env = "sk-topsecret"', "must be the name of an environment variable"),
    ],
)
def test_an_error_in_the_file_names_the_key(file, line, words):
    with pytest.raises(ConfigError) as caught:
        settled(file(f"[server]\n{line}\n"))
    assert words in caught.value.message
    assert "topsecret" not in caught.value.message


def test_a_server_key_that_is_not_a_table_is_an_error(file):
    with pytest.raises(ConfigError, match="server must be a table"):
        file("server = 1\n")


@pytest.mark.parametrize(
    ("flag", "value"),
    [("port", 70_000), ("port", -1), ("max_streams", 0), ("max_text", 0), ("cors", "evil"), ("api_key_env", "sk-top")],
)
def test_an_invalid_flag_is_a_usage_error(flag, value):
    with pytest.raises(UsageError) as caught:
        check_values({flag: value}, Server)
    assert caught.value.message.startswith(f"invalid --{flag.replace('_', '-')}")
    assert "it must be" in caught.value.message
    assert "sk-top" not in caught.value.message


@pytest.mark.parametrize(("variable", "value"), [("PORT", "many"), ("PORT", "70000"), ("MAX_STREAMS", "0")])
def test_an_invalid_variable_is_named(variable, value):
    with pytest.raises(ConfigError, match=f"VOICE_SERVER_{variable}"):
        settled(NO_FILE, {}, {f"VOICE_SERVER_{variable}": value})


# API keys and origins.


def test_keys_are_read_from_a_variable():
    settings = settled(NO_FILE, {"api_key_env": "KEYS"}, {"KEYS": " sk-1\tsk-2\nsk-3 "})
    assert settings.api_keys == ("sk-1", "sk-2", "sk-3")
    assert "sk-1" not in repr(settings)
    assert settled().api_keys == ()


@pytest.mark.parametrize("value", [None, "", "  \n", "schlüssel", "sk\x00", "sk\udcff"])
def test_a_missing_or_invalid_key_is_refused(value):
    environment = {} if value is None else {"KEYS": value}
    with pytest.raises(ConfigError) as caught:
        settled(NO_FILE, {"api_key_env": "KEYS"}, environment)
    assert "$KEYS" in caught.value.message
    assert not value or not value.strip() or value not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "voice.example.org", "127.0.0.2", ""])
def test_a_public_address_needs_a_key_or_insecure(host):
    with pytest.raises(ConfigError) as caught:
        settled(NO_FILE, {"host": host})
    assert "--insecure" in line_of(caught.value)
    assert settled(NO_FILE, {"host": host}, insecure=True).server.host == host
    assert settled(NO_FILE, {"host": host, "api_key_env": "KEY"}, {"KEY": "sk-1"}).api_keys == ("sk-1",)


@pytest.mark.parametrize("host", sorted(LOOPBACK))
def test_a_loopback_address_needs_no_key(host):
    assert settled(NO_FILE, {"host": host}).server.host == host


def test_origins_are_normalized():
    assert list(allowed_origins(Server())) == []
    assert list(allowed_origins(Server(cors=" https://A.example/ ,,http://b:1"))) == ["https://a.example", "http://b:1"]


def test_the_default_address_is_loopback():
    settings = settled()
    assert settings == ServerSettings(Server())
    assert (settings.server.host, settings.server.port, settings.server.engine) == ("127.0.0.1", 8880, "espeak")
    assert settings.server.cors is None
