"""Chatterbox on vLLM: a stand-in with the real package's signatures."""

import json
import os
import sys

import numpy as np
import pytest

from support.chatterbox import TOKEN_FRAMES, VllmModel, vllm_package
from support.streams import collect
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local.chatterbox import HUB_NAME, ChatterboxBackend
from voice_cli.errors import EngineError, Interrupted, TruncatedAudio, UsageError


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Return the set of installed packages, which a test may change."""
    names = {"chatterbox_vllm", "chatterbox", "torch"}
    for name, module in vllm_package().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda name: True if name in names else None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("CHATTERBOX_CFG_SCALE", "VLLM_LOGGING_LEVEL", "VLLM_ENABLE_V1_MULTIPROCESSING"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.setattr(VllmModel, "loaded", None)
    return names


@pytest.fixture
def folder(tmp_path):
    for name in ("tokenizer.json", "conds.pt", "t3_cfg.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "bob.wav").write_text("0.4")
    return tmp_path


@pytest.fixture
def speak(installed, folder):
    opened = []

    def make(model=None, **options):
        opened.append(ChatterboxBackend(model or str(folder), voices=str(folder), **options))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


def said(backend, text="Hello.", **request):
    return np.frombuffer(b"".join(backend.synthesize(SpeechRequest(text, **request))), "<i2") / 32768


def test_a_request_is_spoken_at_once(speak, capsys):
    backend = speak()
    stream = backend.synthesize(SpeechRequest("Hello there."))
    assert len(b"".join(stream)) == 2 * 60 * TOKEN_FRAMES
    assert stream.announced == Encoding("pcm", AudioFormat(24000, 1))
    assert any("not streaming" in note for note in stream.notes)
    assert backend._vllm.model.calls == [("Hello there.", 0.5, 0.5, 5)]
    assert capsys.readouterr().out == ""


def test_the_language_models_folder_is_made(speak, folder):
    said(speak())
    loaded = VllmModel.loaded
    assert (loaded["ckpt_dir"], loaded["target_device"], loaded["max_batch_size"]) == (str(folder), "cuda", 1)
    with open(os.path.join(loaded["model"], "config.json"), encoding="utf-8") as file:
        assert json.load(file)["architectures"] == ["ChatterboxT3"]
    assert os.path.samefile(os.path.join(loaded["model"], "model.safetensors"), folder / "t3_cfg.safetensors")
    said(speak())  # it exists


def test_the_hubs_model_is_that_of_the_packages_revision(speak):
    said(speak(HUB_NAME))
    assert VllmModel.loaded["ckpt_dir"] == "/hub/ResembleAI/chatterbox/1b475dffa71fb191cb6d5901215eb6f55635a9b6"


class TestWhichPackage:
    @pytest.mark.parametrize(
        ("compute", "package", "expected"),
        [
            (None, None, "chatterbox_vllm"),
            ("auto", None, "chatterbox_vllm"),
            ("cuda:1", None, "chatterbox_vllm"),
            ("cpu", None, "chatterbox"),
            (None, "chatterbox", "chatterbox"),
            ("cuda", "chatterbox_vllm", "chatterbox_vllm"),
        ],
    )
    def test_if_both_are_installed(self, speak, compute, package, expected):
        assert speak(compute=compute, package=package).package == expected

    def test_if_one_is_installed(self, speak, installed):
        installed.discard("chatterbox_vllm")
        assert speak().package == "chatterbox"
        with pytest.raises(EngineError, match="needs the package chatterbox_vllm") as caught:
            speak(package="chatterbox_vllm")
        assert caught.value.hint == "pip install chatterbox-vllm"

    def test_an_unknown_one_is_refused(self, speak):
        with pytest.raises(UsageError, match="no package 'kokoro'"):
            speak(package="kokoro")

    def test_it_needs_cuda(self, speak):
        with pytest.raises(UsageError, match="cannot compute on 'cpu'"):
            said(speak(compute="cpu", package="chatterbox_vllm"))


class TestPresets:
    def test_values_reach_the_model(self, speak):
        backend = speak(preset="expressive")
        said(backend)
        assert backend._vllm.model.calls == [("Hello.", 0.7, 0.55, 7)]
        assert os.environ["CHATTERBOX_CFG_SCALE"] == "0.3"

    def test_another_guidance_than_that_of_the_start_is_noted(self, speak):
        backend = speak(preset="expressive")
        for preset, is_noted in (("expressive", False), ("realtime", True)):
            stream = backend.synthesize(SpeechRequest("Hello.", options={"preset": preset}))
            b"".join(stream)
            assert any("cfg_weight" in note for note in stream.notes) == is_noted


class TestVoices:
    def test_a_recording(self, speak):
        assert np.abs(said(speak(), voice="bob")).max() == pytest.approx(0.4, abs=0.01)

    def test_conditionals_are_computed_once_until_the_recording_changes(self, speak, folder):
        backend = speak()
        for _ in range(2):
            said(backend, voice="bob")
        model = backend._vllm.model
        assert len(model.prepared) == 1
        (folder / "bob.wav").write_text("0.25")
        assert np.abs(said(backend, voice="bob")).max() == pytest.approx(0.25, abs=0.01)
        assert len(model.prepared) == 2


def test_audio_at_the_maximum_length_is_kept_and_raises_truncated_audio(speak, monkeypatch):
    monkeypatch.setattr(VllmModel, "length", 5000)
    sound, error = collect(speak().synthesize(SpeechRequest("A long text.")))
    assert isinstance(error, TruncatedAudio)
    assert len(sound) == 2 * 1000 * TOKEN_FRAMES


def test_a_cancelled_request_is_not_vocoded(speak):
    backend = speak()
    backend.warm_up()
    model = backend._vllm.model
    stream = backend.synthesize(SpeechRequest("Hello."))
    tokens_of = model.t3.generate
    model.t3.generate = lambda *args, **more: stream.cancel() or tokens_of(*args, **more)
    before = model.vocoded
    with pytest.raises(Interrupted):
        list(stream)
    backend.join(20)
    assert model.vocoded == before


def test_closing_shuts_the_model_down(speak):
    backend = speak()
    said(backend)
    model = backend._vllm.model
    backend.close()
    backend.join(20)
    assert model.is_shut_down
