"""`voice profiles`, and `voice say --profile` with a preset."""

import json
import tomllib

import pytest

from support.command import on_terminal, screen_of
from support.server import Answer
from voice_cli.presets import PRESETS

SOUND = bytes([1, 1]) * 2400


@pytest.fixture
def config(tmp_path):
    def write(text):
        (tmp_path / "config.toml").write_text(text)
        return {"VOICE_CONFIG": str(tmp_path / "config.toml")}

    return write


def test_all_profiles_are_listed_and_no_key_is_shown(voice, config):
    environment = config(
        "profile = 'mine'\n[profiles.mine]\nbase_url = 'http://user:secret@host:1/v1'\napi_key_env = 'MY_KEY'\n"
        "[profiles.kokoro]\nvoice = 'am_adam'\n[profiles.spoken]\napi_key_command = 'pass secret'\n"
    )
    done = voice("profiles", "--json", environment={**environment, "OPENAI_API_KEY": "sk-secret"})
    assert (done.code, done.err) == (0, "")
    assert b"secret" not in done.out
    rows = {row["profile"]: row for row in done.json}
    assert list(rows)[:3] == ["mine", "kokoro", "spoken"]
    assert rows.keys() == {"mine", "spoken", *PRESETS}
    assert [name for name, row in rows.items() if row["default"]] == ["mine"]
    assert (rows["mine"]["key"], rows["mine"]["key_from"]) == ("missing", "$MY_KEY")
    assert (rows["openai"]["key"], rows["spoken"]["key"], rows["serve"]["key"]) == ("set", "set", None)
    assert rows["kokoro"]["voice"] == "am_adam"
    assert rows["kokoro"]["base_url"] == "http://localhost:8880/v1"
    assert (rows["kokoro"]["own"], rows["kokoro"]["built_in"]) == (True, True)
    assert (rows["mine"]["own"], rows["mine"]["built_in"]) == (True, False)


def test_the_table_fits_into_80_columns(tmp_path):
    code, drawn, _ = on_terminal("profiles", folder=tmp_path, environment={"COLUMNS": "80"}, also=("stdout",))
    lines = screen_of(drawn)
    assert code == 0
    assert len(lines) == 1 + len(PRESETS)
    assert all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize("name", PRESETS)
def test_a_profile_is_shown_as_toml_for_the_config_file(voice, config, name):
    done = voice("profiles", "show", name)
    tree = tomllib.loads(done.out.decode())
    assert tree == {"profiles": {name: PRESETS[name]}}
    environment = config(done.out.decode())
    assert voice("profiles", "show", name, environment=environment).out == done.out


def test_every_kind_of_value_is_shown_as_toml(voice, config):
    text = "[profiles.'a b']\nspeed = 1.5\nfallback = ['embedded']\nspeakers = { 'A \"x\"' = 'b' }\n"
    shown = voice("profiles", "show", "a b", environment=config(text)).out.decode()
    assert tomllib.loads(shown) == tomllib.loads(text)


def test_an_unknown_profile_is_an_error_with_a_suggestion(voice):
    done = voice("profiles", "show", "kokro")
    assert done.code == 3
    assert "did you mean 'kokoro'" in done.line


def test_a_preset_speaks_with_another_address(voice, serve):
    server = serve(Answer(SOUND))
    done = voice("say", "Hi", "-p", "kokoro", "--base-url", server.url, "-v", "am_adam", "--no-play", "-o", "a.wav")
    assert (done.code, done.err) == (0, "")
    (request,) = server.requests
    assert json.loads(request.body)["model"] == "kokoro"
    assert request.json["voice"] == "am_adam"


def test_azure_gets_its_key_and_its_version_as_it_wants_them(voice, serve):
    server = serve(Answer(SOUND))
    endpoint = server.url.removesuffix("/v1")
    environment = {"AZURE_OPENAI_ENDPOINT": f"{endpoint}/", "AZURE_OPENAI_API_KEY": "key-1"}
    done = voice("say", "Hi", "-p", "azure", "-m", "mine", "--no-play", "-o", "a.wav", environment=environment)
    assert (done.code, done.err) == (0, "")
    (request,) = server.requests
    assert request.path == "/openai/v1/audio/speech?api-version=preview"
    assert request.headers["api-key"] == "key-1"
    assert "authorization" not in request.headers
    assert request.json["model"] == "mine"


def test_azure_without_its_endpoint_is_an_error(voice):
    done = voice("say", "Hi", "-p", "azure", "--no-play", environment={"AZURE_OPENAI_API_KEY": "key-1"})
    assert done.code == 3
    assert "$AZURE_OPENAI_ENDPOINT" in done.line
    assert "--base-url" in done.line
