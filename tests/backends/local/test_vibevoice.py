"""The VibeVoice backend with a fake package. Tests of transformers' own code are in tests/models."""

import json
import sys

import numpy as np
import pytest

from support.streams import collect
from support.vibevoice import CHUNK, WINDOW, Model, package
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.vibevoice import INSTALL_REALTIME, VibeVoiceBackend
from voice_cli.errors import EngineError, Interrupted, TruncatedAudio, UsageError

INVALID_VALUES = [
    {"steps": 0},
    {"steps": -1},
    {"steps": 101},
    {"steps": 2.5},
    {"steps": float("nan")},
    {"cfg_scale": -0.1},
    {"cfg_scale": 10.5},
    {"cfg_scale": float("nan")},
    {"cfg_scale": float("inf")},
]


@pytest.fixture
def speak(tmp_path, monkeypatch):
    opened = []
    prompts = {}

    def load_prompt(_torch, path, _device):
        return prompts.setdefault(path, {"lm": ["prefilled"], "tts_lm": [], "neg_lm": [], "neg_tts_lm": []})

    monkeypatch.setattr("voice_cli.backends.local.vibevoice_realtime.load_prompt", load_prompt)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vibevoice_streaming"}))
    voices = tmp_path / "voices" / "streaming_model"
    voices.mkdir(parents=True)
    for name in ("en-Carter_man", "de-Spk0_man"):
        (voices / f"{name}.pt").touch()

    def make(model=None, *, cuda=False, **options):
        model = model or Model()
        modules = package(model, cuda=cuda)
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda name: name != "flash_attn" or None)
        backend = VibeVoiceBackend(str(tmp_path), **options)
        backend.fake, backend.modules, backend.prompts = model, modules, prompts
        opened.append(backend)
        return backend

    yield make
    for backend in opened:
        backend.close()


def said(backend, text="Hello.", **request):
    return np.frombuffer(b"".join(backend.synthesize(SpeechRequest(text, **request))), "<i2")


def expected(chunks):
    return np.repeat(np.arange(1, chunks + 1) * 32, CHUNK)


class TestSpeaking:
    @pytest.mark.parametrize("chunks", [1, 6, 9, 20])
    def test_all_chunks_up_to_the_end_of_speech_are_returned(self, speak, chunks):
        model = Model(chunks)
        np.testing.assert_array_equal(said(speak(model)), expected(chunks))
        assert model.made % WINDOW == 0  # the model continues to the end of its window

    def test_audio_format(self, speak):
        stream = speak().synthesize(SpeechRequest("Hello."))
        assert stream.expected == Encoding("pcm", AudioFormat(24000, 1))
        assert list(stream)
        assert stream.announced == stream.expected

    def test_cached_prompt_is_not_modified(self, speak):
        backend = speak()
        said(backend)
        said(backend)
        [prompt] = backend.prompts.values()
        assert prompt["lm"] == ["prefilled"]

    def test_text_and_options_reach_the_model(self, speak):
        backend = speak(steps=8, cfg_scale=2.0)
        said(backend, " It’s me. ")
        assert backend.modules["vibevoice"].processor.texts == ["It's me."]
        [call] = backend.fake.calls
        assert call["cfg_scale"] == 2.0
        assert call["max_new_tokens"] is None
        assert call["show_progress_bar"] is False
        assert backend.fake.steps == 8

    def test_defaults(self, speak):
        backend = speak()
        said(backend)
        assert (backend.fake.calls[0]["cfg_scale"], backend.fake.steps) == (1.5, 5)

    def test_request_options_apply_to_that_request_only(self, speak):
        backend = speak(steps=8, cfg_scale=2.0)
        steps = []
        backend.fake.on_chunk = lambda: steps.append(backend.fake.steps)
        said(backend, options={"steps": 3, "cfg_scale": 0.5})
        said(backend)
        assert [call["cfg_scale"] for call in backend.fake.calls] == [0.5, 2.0]
        assert steps == [3] * (len(steps) // 2) + [8] * (len(steps) // 2)

    def test_chatterbox_options_are_ignored(self, speak):
        np.testing.assert_array_equal(said(speak(Model(3)), options={"preset": "unknown"}), expected(3))

    @pytest.mark.parametrize("values", INVALID_VALUES)
    def test_invalid_values_are_refused(self, speak, values):
        backend = speak()
        with pytest.raises(UsageError, match=r"steps|cfg_scale"):
            backend.synthesize(SpeechRequest("Hello.", options=values))
        with pytest.raises(UsageError, match=r"steps|cfg_scale"):
            speak(**values)
        assert backend.fake.made == 0

    def test_nothing_is_printed(self, speak, capsys):
        said(speak())
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("text", ["", " \n"])
    def test_blank_text_is_refused(self, speak, text):
        backend = speak()
        with pytest.raises(UsageError, match="blank"):
            backend.synthesize(SpeechRequest(text))
        assert backend.fake.made == 0

    def test_requests_run_one_at_a_time(self, speak):
        model = Model(3)
        backend = speak(model)
        first, second = (backend.synthesize(SpeechRequest(text)) for text in ("One.", "Two."))
        assert b"".join(second)
        assert b"".join(first)
        assert first.timestamps["last_byte"] <= second.timestamps["engine_ready"]


class TestEnds:
    def test_failure_follows_the_audio(self, speak):
        sound, error = collect(speak(Model(20, fails_at=5)).synthesize(SpeechRequest("Hello.")))
        assert len(sound) == 2 * 5 * CHUNK
        assert isinstance(error, EngineError)
        assert "CUDA out of memory" in error.message
        assert "compute" in error.hint

    def test_audio_at_maximum_length_raises_truncated_audio(self, speak):
        sound, error = collect(speak(Model(12, reaches_most=True)).synthesize(SpeechRequest("Hello.")))
        assert isinstance(error, TruncatedAudio)
        assert len(sound) == 2 * 12 * CHUNK

    def test_cancel_stops_within_one_chunk(self, speak):
        model = Model(10_000)
        backend = speak(model)
        stream = backend.synthesize(SpeechRequest("Hello."))
        model.on_chunk = lambda: stream.cancel() if model.made == 9 else None
        with pytest.raises(Interrupted):
            list(stream)
        backend.join(20)
        assert model.made == 9

    def test_close_frees_the_model(self, speak):
        backend = speak()
        said(backend)
        backend.join(20)
        backend.close()
        assert backend._model is None


class TestVoices:
    def test_voices_are_listed_by_file_name(self, speak):
        assert speak().voices() == [Voice("de-Spk0_man", language="de"), Voice("en-Carter_man", language="en")]

    def test_configured_folders_take_precedence_over_the_models(self, speak, tmp_path):
        for folder, name in (("mine", "fr-Spk1_woman"), ("fetched", "en-Carter_man")):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / f"{name}.pt").touch()
        backend = speak(voices=[str(tmp_path / "mine"), str(tmp_path / "fetched")])
        assert {voice.id for voice in backend.voices()} == {"fr-Spk1_woman", "en-Carter_man", "de-Spk0_man"}
        said(backend, voice="en-Carter_man")
        assert list(backend.prompts) == [str(tmp_path / "fetched" / "en-Carter_man.pt")]

    @pytest.mark.parametrize("voice", ["en-Carter_man", "EN-carter_MAN"])
    def test_voice_by_name_in_any_case(self, speak, voice):
        backend = speak()
        said(backend, voice=voice)
        assert [path.rpartition("/")[2] for path in backend.prompts] == ["en-Carter_man.pt"]

    @pytest.mark.parametrize("voice", ["en-Nobody", "../config", "config.json"])
    def test_unknown_voice_is_refused(self, speak, voice):
        with pytest.raises(UsageError, match="no voice"):
            speak().synthesize(SpeechRequest("Hello.", voice=voice))

    def test_realtime_model_needs_a_voice(self, speak, tmp_path):
        for path in tmp_path.glob("voices/**/*.pt"):
            path.unlink()
        with pytest.raises(UsageError, match="cached voice prompt"):
            speak().synthesize(SpeechRequest("Hello."))


class TestLoading:
    def test_load_on_cpu(self, speak, tmp_path):
        backend = speak()
        said(backend)
        [(path, options)] = backend.modules["vibevoice"].loaded
        assert path == str(tmp_path)
        assert options == {"torch_dtype": "float32", "device_map": "cpu", "attn_implementation": "sdpa"}
        assert backend.compute_device == "cpu"

    def test_load_on_cuda(self, speak):
        backend = speak(cuda=True)
        said(backend)
        [(_, options)] = backend.modules["vibevoice"].loaded
        assert options["torch_dtype"] == "bfloat16"
        assert options["device_map"] == "cuda"

    def test_missing_device_is_refused(self, speak):
        with pytest.raises(UsageError, match="finds no mps"):
            said(speak(compute="mps"))

    @pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "bert"}'])
    def test_unsupported_model_is_refused(self, speak, tmp_path, text):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UsageError):
            speak()

    @pytest.mark.parametrize("model", [None, "", "/none", "./none", "a/b/c"])
    def test_missing_model_is_refused(self, speak, model):
        speak()
        with pytest.raises(UsageError, match="model"):
            VibeVoiceBackend(model)

    def test_hub_names_select_the_kind(self, speak):
        speak()
        assert VibeVoiceBackend("microsoft/VibeVoice-Realtime-0.5B").kind == "vibevoice_streaming"
        assert VibeVoiceBackend("bezzam/VibeVoice-1.5B-hf").kind == "vibevoice"

    def test_missing_package_error_says_what_to_install(self, speak, tmp_path, monkeypatch):
        speak()
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda name: None if name == "vibevoice" else True)
        with pytest.raises(EngineError, match="needs the package vibevoice") as caught:
            VibeVoiceBackend(str(tmp_path))
        assert caught.value.hint == INSTALL_REALTIME
