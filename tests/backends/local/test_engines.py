"""Engine status, and the `voice engines` command that prints it."""

import json
import os
import subprocess
import sys

import pytest

from support.onnx_voices import sherpa_voice
from support.packages import needs
from voice_cli.backends import LOCAL, backend_class, open_backend, options_of
from voice_cli.backends.local.engines import look, measure
from voice_cli.config import Profile


@pytest.fixture
def model(tmp_path):
    needs("sherpa_onnx")
    return sherpa_voice(tmp_path / "hum")


@pytest.fixture
def voice(tmp_path):
    """Run `voice` with a config file."""

    def run(*arguments, config="", **environment):
        path = tmp_path / "config.toml"
        path.write_text(config)
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("VOICE_", "OPENAI_"))}
        return subprocess.run(
            [sys.executable, "-m", "voice_cli", *arguments],
            env={**clean, "VOICE_CONFIG": str(path), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


class TestOptions:
    def test_profile_values_become_engine_options(self):
        profile = Profile(model="m", preset="fast", steps=4.0, voice="v", base_url="http://x")
        assert options_of("chatterbox", profile) == {"model": "m", "preset": "fast"}
        assert options_of("sherpa", profile) == {"model": "m", "steps": 4.0}
        assert options_of("espeak", profile) == {}


class TestLook:
    def test_missing_package_names_its_extra(self, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda _: None)
        for name in LOCAL:
            if extra := backend_class(name).extra:
                state = look(name, Profile())
                assert (state.installed, state.ready) == ("", False)
                assert state.missing == f'pip install "voice-cli[{extra}]"'

    def test_model_folder_is_ready(self, model):
        state = look("sherpa", Profile(model=str(model)))
        assert state.ready
        assert state.device == "cpu"
        assert state.installed.startswith("sherpa-onnx ")
        assert state.missing == ""

    def test_missing_model_is_not_ready(self, model):
        state = look("sherpa", Profile(model="/none"))
        assert not state.ready
        assert "no model folder" in state.missing

    def test_espeak_is_always_ready(self):
        assert look("espeak", Profile()).ready


def test_measure(model):
    backend = open_backend("sherpa", model=str(model))
    figures = measure(backend)
    backend.close()
    assert figures.audio_s > 1
    assert 0 < figures.rtf < 1
    assert figures.load_s >= 0
    assert figures.first_ms >= 0


class TestCommand:
    def test_json(self, voice, model):
        profiles = {"hum": model, "none": "/none"}
        config = "".join(f'[profiles.{name}]\nbackend = "sherpa"\nmodel = "{at}"\n' for name, at in profiles.items())
        done = voice("engines", "--test", "--json", config=config)
        assert done.returncode == 0
        rows = {(row["engine"], row["profile"]): row for row in json.loads(done.stdout)}
        assert rows["sherpa", "hum"]["ready"]
        assert rows["sherpa", "hum"]["rtf"] > 0
        assert not rows["sherpa", "none"]["ready"]
        assert rows["sherpa", "none"]["rtf"] is None
        assert rows["espeak", ""]["rtf"] > 0
        assert {name for name, _ in rows} == set(LOCAL)

    def test_plain_lines(self, voice):
        done = voice("engines")
        assert done.returncode == 0
        assert [line.partition("\t")[0] for line in done.stdout.splitlines()] == list(LOCAL)
        assert "None" not in done.stdout

    def test_profile_from_environment_variables(self, voice, model):
        done = voice("engines", "--json", VOICE_BACKEND="sherpa", VOICE_MODEL=str(model))
        assert [row["ready"] for row in json.loads(done.stdout) if row["engine"] == "sherpa"] == [True]

    def test_invalid_config_exits_with_3(self, voice):
        assert voice("engines", config="nonsense = 1").returncode == 3

    def test_say_without_a_model_reports_the_missing_model(self, voice):
        needs("sherpa_onnx")
        done = voice("say", "x", "--backend", "sherpa", "--no-play", "-o", os.devnull)
        assert done.returncode == 2
        assert "sherpa needs a model" in done.stderr

    def test_voices_lists_the_models_voices(self, voice, model):
        done = voice("voices", "--backend", "sherpa", VOICE_MODEL=str(model))
        assert done.stdout == "0\ten-us\n"
