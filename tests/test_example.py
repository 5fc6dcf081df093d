"""config.example.toml: every key is there, commented out, and uncommented it is a valid config file."""

import re
import tomllib
from pathlib import Path

import pytest

from voice_cli.backends import BACKENDS, LOCAL
from voice_cli.config import Config, Defaults, Profile, load, settle
from voice_cli.config_keys import keys_of
from voice_cli.server.settings import Server, settle_server

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"
SETTING = re.compile(r"# (\[[\w.]+\]|[\w\"]+ = .*)")


def uncommented(*, without=""):
    lines = EXAMPLE.read_text("utf-8").splitlines()
    settings = [match[1] for line in lines if (match := SETTING.fullmatch(line))]
    return "\n".join(line for line in settings if not without or not line.startswith(without))


def test_the_example_sets_nothing(tmp_path):
    assert load(str(EXAMPLE), {}) == Config(str(EXAMPLE), exists=True)
    assert all(not line or line.startswith("#") for line in EXAMPLE.read_text("utf-8").splitlines())


@pytest.mark.parametrize("key", [*keys_of(Profile), *keys_of(Defaults), *keys_of(Server), "profile"])
def test_every_key_is_in_the_example_commented_out(key):
    assert re.search(rf"^# {key} = ", EXAMPLE.read_text("utf-8"), re.MULTILINE)


def test_example_has_no_unknown_key():
    tree = tomllib.loads(uncommented())
    assert set(tree) >= {"profile", "profiles"}
    for profile in tree["profiles"].values():
        assert set(profile) <= set(keys_of(Profile))
    assert set(tree["server"]) == set(keys_of(Server))
    assert {key for key, value in tree.items() if not isinstance(value, dict)} <= {*keys_of(Defaults), "profile"}


@pytest.mark.parametrize("alternative", ["api_key_env", "api_key_command"])
def test_example_is_valid_when_uncommented(tmp_path, alternative):
    path = tmp_path / "config.toml"
    path.write_text(uncommented(without=alternative))
    config = load(str(path), {})
    assert set(config.defaults) == set(keys_of(Defaults))
    assert config.profile in config.profiles
    for name in config.profiles:
        settings = settle(config, {"profile": name}, {}, backend_names=BACKENDS)
        assert settings.profile.backend in BACKENDS
    environment = {"VOICE_SERVER_KEY": "sk-1"}
    assert settle_server(config, {}, environment).server.engine in LOCAL
    assert settle_server(config, {"engine": "chatterbox"}, environment).engine_options["preset"] == "adaptive"


def test_example_shows_the_defaults():
    shown = tomllib.loads(uncommented())
    for name, value in Defaults()._asdict().items():
        if value is not None:
            assert shown[name] == value, name
    for name, value in Server()._asdict().items():
        if value is not None:
            assert shown["server"][name] == value, name
