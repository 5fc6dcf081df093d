"""Profiles that are built in, alone and overridden by the config file, the environment and flags."""

from pathlib import Path

import pytest

from voice_cli.api_keys import api_key
from voice_cli.backends import BACKENDS, backend_class
from voice_cli.cli.say import backend_options
from voice_cli.config import Config, Profile, load, named_profile, settle
from voice_cli.config_keys import keys_of
from voice_cli.errors import ConfigError
from voice_cli.presets import PRESETS

ENDPOINT = {"AZURE_OPENAI_ENDPOINT": "https://me.openai.azure.com/"}
NO_FILE = Config("/nowhere/config.toml")


@pytest.fixture
def file(tmp_path):
    def write(text):
        (tmp_path / "config.toml").write_text(text)
        return load(str(tmp_path / "config.toml"), {})

    return write


def settled(config, profile, environment=None, **flags):
    return settle(config, {"profile": profile, **flags}, environment or {}, backend_names=BACKENDS)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_valid_profile_and_opens_its_backend(name):
    for key, value in PRESETS[name].items():
        check = keys_of(Profile)[key].check
        assert check is None or check(value) is None, key
    keys = {"OPENAI_API_KEY": "k", "AZURE_OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}
    settings = settled(NO_FILE, name, {**ENDPOINT, **keys})
    backend, options = backend_options(settings, note=pytest.fail, environment={**ENDPOINT, **keys})
    assert options.get("api_key") == ("k" if "api_key_env" in PRESETS[name] else None)
    backend_class(backend)(**options).close()


def test_the_file_overrides_a_preset_key_by_key(file):
    config = file("profile = 'kokoro'\n[profiles.kokoro]\nvoice = 'am_adam'")
    settings = settled(config, None, {"VOICE_FORMAT": "mp3"}, speed=2.0)
    assert settings.profile == Profile(
        backend="http",
        base_url="http://localhost:8880/v1",
        model="kokoro",
        voice="am_adam",
        format="mp3",
        speed=2.0,
    )
    assert settings.origins["voice"] == "profile kokoro"
    assert settings.origins["base_url"] == "preset kokoro"


def test_a_profile_with_another_backend_is_no_preset(file):
    config = file("[profiles.openai]\nbackend = 'openai'\n[profiles.kokoro]\nbackend = 'kokoro'")
    for name in ("openai", "kokoro"):
        assert named_profile(config, name, {})[0] == Profile(backend=name)


def test_a_presets_name_is_a_default_profile_and_a_fallback(file):
    config = file("profile = 'kokoro'\n[profiles.kokoro]\nfallback = ['embedded']")
    settings = settled(config, None)
    assert [each.profile.backend for each in settings.fallbacks] == ["espeak"]


@pytest.mark.parametrize(
    ("own", "flags", "key"),
    [
        ("", {}, "sk-1"),
        ("base_url = 'https://elsewhere.example/v1'", {}, None),
        ("base_url = 'https://elsewhere.example/v1'\napi_key_env = 'OPENAI_API_KEY'", {}, "sk-1"),
        ("", {"base_url": "https://elsewhere.example/v1"}, None),
        ("", {"base_url": "http://api.openai.com/v1"}, None),
        ("api_key_command = 'echo sk-2'", {}, "sk-2"),
    ],
)
def test_a_presets_key_is_only_for_its_own_address(file, own, flags, key):
    config = file(f"[profiles.openai]\n{own}")
    environment = {"OPENAI_API_KEY": "sk-1", "PATH": "/usr/bin:/bin"}
    assert api_key(settled(config, "openai", environment, **flags), environment) == key


def test_a_presets_variable_is_hidden_from_key_commands():
    assert "GROQ_API_KEY" in settled(NO_FILE, "groq").key_variables


def test_azure_needs_its_endpoint():
    settings = settled(NO_FILE, "azure", ENDPOINT)
    assert settings.profile.base_url == "https://me.openai.azure.com/openai/v1?api-version=preview"
    with pytest.raises(ConfigError) as caught:
        settled(NO_FILE, "azure")
    assert "$AZURE_OPENAI_ENDPOINT" in caught.value.message
    assert settled(NO_FILE, "azure", base_url="https://x.example/v1").profile.base_url == "https://x.example/v1"


def test_an_unknown_profile_suggests_presets(file):
    with pytest.raises(ConfigError) as caught:
        settled(NO_FILE, "Koko-ro")
    assert "did you mean 'kokoro'" in caught.value.message
    assert "speaches" in caught.value.hint
    with pytest.raises(ConfigError, match="did you mean 'vllm-omni'"):
        file("profile = 'vllmomni'")


@pytest.mark.parametrize("name", PRESETS)
def test_the_settings_page_lists_each_preset(name):
    page = (Path(__file__).parent.parent / "docs" / "settings.md").read_text("utf-8")
    table = page.partition("## Built-in profiles")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1]]
    assert len(rows) == 1
    assert PRESETS[name].get("api_key_env", "") in rows[0]
