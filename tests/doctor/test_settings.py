"""The config file, variables and keys."""

import os

import pytest

from voice_cli.config import load, settle
from voice_cli.doctor.finding import BROKEN, OK, WARNING
from voice_cli.doctor.settings import check_config, check_key, check_variables


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "config.toml").write_text(text)
        return {"VOICE_CONFIG": str(tmp_path / "config.toml")}

    return write


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("volume = \n", "line 1"),
        ("volumn = 1", "did you mean 'volume'"),
        ("[server]\nprot = 1", "did you mean 'port'"),
        ("[profiles.p]\napi_key = 'sk-1'", "API key in the config file"),
    ],
)
def test_a_wrong_config_is_broken_and_shows_no_key(file, text, words):
    config, (found,) = check_config(file(text))
    assert not config.exists
    assert found.state == BROKEN
    assert words in found.found
    assert found.remedy
    assert "sk-1" not in str(found)


def test_a_good_config(file, tmp_path):
    config, (found,) = check_config(file("[profiles.a]\n[profiles.b]\n[server]\nport = 1"))
    assert (found.state, found.details["profiles"]) == (OK, ["a", "b"])
    assert config.exists
    _, (found,) = check_config({"XDG_CONFIG_HOME": str(tmp_path)})
    assert found.found.startswith("there is none at")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives a file away")
def test_a_config_of_another_user_is_a_warning(file, tmp_path):
    environment = file("")
    os.chown(tmp_path / "config.toml", 12345, -1)
    _, (found,) = check_config(environment)
    assert found.state == WARNING
    assert "chown" in found.remedy


def test_variables_that_are_like_settings():
    right = ["VOICE_VOICE", "VOICE_SERVER_KEY", "VOICEMODE_X", "VOICE_ZZZZZZZ", "VOLUMN"]
    names = [*right, "VOICE_VOLUMN", "VOICE_SERVR_PORT"]
    found = check_variables(frozenset({"VOICE_SERVER_KEY"}), dict.fromkeys(names, "1"))
    assert [each.remedy for each in found] == ["unset VOICE_VOLUMN", "unset VOICE_SERVR_PORT"]
    assert "did you mean 'VOICE_SERVER_PORT'" in found[1].found


@pytest.mark.parametrize(
    ("key", "state", "words"),
    [
        ("sk-secret", OK, "is set"),
        ("", BROKEN, "is not set"),
        (" sk-secret\n", BROKEN, "white space"),
    ],
)
def test_a_key_is_present_and_not_shown(file, key, state, words):
    config = load(environment=file("[profiles.p]\napi_key_env = 'MY_KEY'\nbase_url = 'http://x'"))
    found = check_key("p", settle(config, {"profile": "p"}, {}), {"MY_KEY": key})
    assert (found.check, found.state) == ("key p", state)
    assert words in found.found
    assert "secret" not in str(found)


def test_a_keys_command_is_not_run(file, tmp_path):
    config = load(environment=file(f"[profiles.p]\napi_key_command = 'touch {tmp_path}/ran'"))
    assert check_key("p", settle(config, {"profile": "p"}, {})).state == OK
    assert not (tmp_path / "ran").exists()
    assert check_key("p", settle(config, {"backend": "espeak"}, {})) is None
