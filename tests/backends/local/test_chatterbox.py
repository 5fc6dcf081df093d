"""The Chatterbox backend with fake packages that reproduce the real ones' faults."""

import sys
from typing import ClassVar

import numpy as np
import pytest

from support.chatterbox import TOKEN_FRAMES, ForkModel, StockModel, package
from support.streams import collect
from support.threads import in_thread
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.chatterbox import HUB_NAME, ChatterboxBackend
from voice_cli.backends.local.chatterbox_presets import PRESETS
from voice_cli.errors import EngineError, Interrupted, TruncatedAudio, UsageError


@pytest.fixture
def voices(tmp_path):
    """Create a folder of recordings; the content of each file is the loudness of its voice."""
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "Alice.wav").write_text("0.2")
    (folder / "bob.wav").write_text("0.4")
    (folder / "broken.wav").write_text("no sound")
    return folder


@pytest.fixture
def speak(tmp_path, voices, monkeypatch):
    opened = []

    def make(model=None, **options):
        model = model or ForkModel()
        modules = package(model)
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda name: "vllm" not in name or None)
        (tmp_path / "tokenizer.json").touch()
        (tmp_path / "conds.pt").touch()
        backend = ChatterboxBackend(str(tmp_path), **{"voices": str(voices), **options})
        backend.fake = model
        backend.modules = modules
        opened.append(backend)
        return backend

    yield make
    for backend in opened:
        backend.close()


def said(backend, text="Hello.", **request):
    return np.frombuffer(b"".join(backend.synthesize(SpeechRequest(text, **request))), "<i2")


def loudness(samples):
    return np.abs(samples[4800:-4800].astype(float)).max() / 32768


class TestStreaming:
    def test_all_frames_of_all_tokens_are_returned(self, speak):
        backend = speak()
        stream = backend.synthesize(SpeechRequest("Hello."))
        sound = b"".join(stream)
        assert len(sound) == 2 * 60 * TOKEN_FRAMES
        assert stream.announced == Encoding("pcm", AudioFormat(24000, 1))
        assert stream.notes == []
        assert hasattr(backend._speaker, "generate_stream")

    def test_nothing_is_printed(self, speak, capsys):
        said(speak())
        assert capsys.readouterr().out == ""

    def test_chunks_are_readable_during_generation(self, speak):
        model = ForkModel(tokens=500)
        stream = speak(model, preset="realtime").synthesize(SpeechRequest("Hello."))
        assert len(next(iter(stream))) > 0
        assert model.made < 500 or model.s3gen.runs > 1

    def test_blank_text_is_refused(self, speak):
        with pytest.raises(UsageError, match="blank"):
            speak().synthesize(SpeechRequest("  "))

    def test_speed_is_refused(self, speak):
        with pytest.raises(UsageError, match="no speed setting"):
            speak().synthesize(SpeechRequest("Hello.", speed=1.5))


class TestPresets:
    """The model receives every value of every preset in the Chatterbox server's document."""

    VALUES: ClassVar = {
        "balanced": (0.5, 0.5, 24, 5, 0.5),
        "expressive": (0.7, 0.3, 25, 7, 0.55),
        "fast": (0.4, 0.5, 18, 5, 0.4),
        "clone_fidelity": (0.3, 0.65, 30, 7, 0.4),
        "realtime": (0.4, 0.4, 10, 4, 0.45),
        "adaptive": (0.5, 0.5, 24, 5, 0.5),
    }

    def test_preset_names(self):
        assert list(PRESETS) == list(self.VALUES)
        assert PRESETS["adaptive"].sizes == (12, 24)

    @pytest.mark.parametrize("name", VALUES)
    def test_preset_values_reach_the_model(self, speak, name, monkeypatch):
        exaggeration, cfg_weight, chunk_size, steps, temperature = self.VALUES[name]
        model = ForkModel(tokens=100)
        sizes = self.sizes_of_chunks(model, monkeypatch)
        said(speak(model, preset=name))
        [call] = model.calls
        assert (call["exaggeration"], call["cfg_weight"], call["temperature"]) == (
            exaggeration,
            cfg_weight,
            temperature,
        )
        assert set(model.s3gen.flow.steps) == {steps}
        first = 12 if name == "adaptive" else chunk_size
        assert sizes[0] == first
        assert set(sizes[1:-1]) == {chunk_size}
        assert call["print_metrics"] is False

    def sizes_of_chunks(self, model, monkeypatch):
        sizes, inference = [], model.s3gen.inference
        seen = set()

        def watched(speech_tokens, ref_dict):
            sizes.append(len(set(speech_tokens.tolist()) - seen))
            seen.update(speech_tokens.tolist())
            return inference(speech_tokens, ref_dict)

        model.s3gen.inference = watched
        return sizes

    def test_hooks_and_methods_are_restored(self, speak):
        model = ForkModel()
        said(speak(model, preset="adaptive"))
        assert not model.s3gen.flow.decoder.hooks
        assert not model.t3.tfmr.hooks
        assert "inference_stream" not in vars(model)
        assert "inference" not in vars(model.s3gen)

    def test_unknown_preset_is_refused(self, speak):
        with pytest.raises(UsageError, match="no preset"):
            speak(preset="loud")

    def test_request_preset_applies_to_that_request_only(self, speak):
        model = ForkModel()
        backend = speak(model, preset="fast")
        for options in ({"preset": "clone_fidelity"}, {}):
            said(backend, voice="bob", options=options)
        assert [call["exaggeration"] for call in model.calls] == [0.3, 0.4]
        assert set(model.s3gen.flow.steps) == {7, 5}

    @pytest.mark.parametrize("preset", ["loud", ""])
    def test_unknown_preset_in_a_request_is_refused(self, speak, preset):
        backend = speak()
        with pytest.raises(UsageError, match="no preset"):
            backend.synthesize(SpeechRequest("Hello.", options={"preset": preset}))
        assert not backend.fake.calls

    def test_vibevoice_options_are_ignored(self, speak):
        assert len(said(speak(), options={"steps": 1000, "cfg_scale": -1.0})) == 60 * TOKEN_FRAMES

    def test_notes_list_the_values_that_are_not_applied(self, speak):
        model = ForkModel()
        model.s3gen.flow = None
        model.s3gen.inference = lambda speech_tokens, ref_dict: (
            np.full((1, len(speech_tokens) * 960), 0.1, "f4"),
            None,
        )
        stream = speak(model).synthesize(SpeechRequest("Hello."))
        b"".join(stream)
        assert any("s3gen_steps" in note for note in stream.notes)


class TestFaultsOfTheFork:
    def test_a_request_keeps_its_voice_when_another_is_queued(self, speak):
        backend = speak()
        first = backend.synthesize(SpeechRequest("One.", voice="alice"))
        chunks = iter(first)
        begun = next(chunks)
        second = in_thread(lambda: said(backend, "Two.", voice="bob"))
        sound = np.frombuffer(begun + b"".join(chunks), "<i2")
        assert loudness(sound) == pytest.approx(0.2, abs=0.01)
        assert loudness(second()) == pytest.approx(0.4, abs=0.01)

    def test_fork_changes_voice_when_generators_are_interleaved(self):
        """Reproduce the fault in the fork: two interleaved generators of one model."""
        model = ForkModel()
        model.conds.gen["loudness"] = 0.2
        first = model.generate_stream("One.")
        next(first)
        model.conds.gen["loudness"] = 0.4
        wave = np.concatenate([chunk[0] for chunk, _ in first])
        assert np.abs(wave).max() > 0.3

    def test_joined_chunks_have_no_fade_in_and_no_jump(self, speak):
        sound = said(speak(preset="realtime"), voice="bob").astype(float) / 32768
        step = 0.4 * 2 * np.pi * 100 / 24000
        joins = np.arange(10, 60, 10) * TOKEN_FRAMES
        for join in joins:
            around = sound[join - 300 : join + 300]
            assert np.abs(np.diff(around)).max() < 2.2 * step
            assert np.abs(sound[join : join + 480]).max() > 0.35  # no fade-in

    def test_fork_chunks_have_a_fade_in_and_a_jump(self):
        model = ForkModel()
        chunks = [chunk[0] for chunk, _ in model.generate_stream("One.", chunk_size=10)]
        assert chunks[1][0] == 0.0
        assert np.abs(np.diff(np.concatenate(chunks))).max() > 5 * 0.1 * 2 * np.pi * 100 / 24000

    def test_audio_at_maximum_length_is_kept_and_raises_truncated_audio(self, speak):
        model = ForkModel(tokens=10_000)
        model.most = 107
        backend = speak(model, preset="balanced")
        sound, error = collect(backend.synthesize(SpeechRequest("A long text.")))
        assert isinstance(error, TruncatedAudio)
        assert "107 tokens" in error.message
        assert len(sound) == 2 * 107 * TOKEN_FRAMES

    def test_fork_drops_the_tail_at_maximum_length(self):
        model = ForkModel(tokens=10_000)
        model.most = 107
        frames = sum(chunk.shape[1] for chunk, _ in model.generate_stream("A long text.", chunk_size=24))
        assert frames == 96 * TOKEN_FRAMES


class TestVoices:
    def test_conditionals_are_computed_once_per_voice(self, speak):
        backend = speak()
        for voice in ("alice", "bob", "Alice", "bob", None):
            said(backend, voice=voice)
        assert backend.fake.prepared == 2

    def test_the_least_recently_used_voice_is_dropped_first(self, speak, voices, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.local.chatterbox.MAX_VOICES", 2)
        (voices / "carl.wav").write_text("0.3")
        backend = speak()
        for name, prepared in (("alice", 1), ("bob", 2), ("alice", 2), ("carl", 3), ("alice", 3), ("bob", 4)):
            said(backend, voice=name)
            assert backend.fake.prepared == prepared

    def test_a_generation_does_not_modify_cached_conditionals(self, speak):
        backend = speak(preset="expressive")
        said(backend)
        assert backend._own_conditionals.gen == {"loudness": 0.1}
        assert backend._own_conditionals.t3.emotion == 0.5

    def test_replaced_recording_is_read_again(self, speak, voices):
        backend = speak()
        assert loudness(said(backend, voice="alice")) == pytest.approx(0.2, abs=0.01)
        (voices / "Alice.wav").write_text("0.35")
        assert loudness(said(backend, voice="alice")) == pytest.approx(0.35, abs=0.01)

    def test_failed_recording_leaves_no_conditionals(self, speak):
        backend = speak()
        said(backend, voice="alice")
        with pytest.raises(EngineError, match="chatterbox failed"):
            said(backend, voice="broken")
        assert backend.fake.conds is None
        assert loudness(said(backend, voice="bob")) == pytest.approx(0.4, abs=0.01)

    def test_voice_by_path(self, speak, voices):
        assert loudness(said(speak(), voice=str(voices / "bob.wav"))) == pytest.approx(0.4, abs=0.01)

    @pytest.mark.parametrize("voice", ["carl", "../voices/bob", "/etc/passwd", "bob\n", ""])
    def test_unknown_voice_is_refused(self, speak, voice):
        with pytest.raises(UsageError, match="no voice"):
            speak().synthesize(SpeechRequest("Hello.", voice=voice))

    def test_paths_are_refused_if_not_allowed(self, speak, voices):
        backend = speak(allow_paths=False)
        with pytest.raises(UsageError, match="no voice"):
            backend.synthesize(SpeechRequest("Hello.", voice=str(voices / "bob.wav")))

    def test_first_folder_takes_precedence(self, speak, voices, tmp_path):
        fetched = tmp_path / "fetched"
        fetched.mkdir()
        for name, level in (("bob", 0.1), ("carl", 0.3)):
            (fetched / f"{name}.wav").write_text(str(level))
        backend = speak(voices=[str(voices), str(fetched)])
        assert loudness(said(backend, voice="bob")) == pytest.approx(0.4, abs=0.01)  # from the first folder
        assert loudness(said(backend, voice="carl")) == pytest.approx(0.3, abs=0.01)
        assert {voice.id for voice in backend.voices()} == {"default", "Alice", "bob", "broken", "carl"}

    @pytest.mark.parametrize("none", [None, "", [], [""]])
    def test_without_folders_only_the_default_voice_is_listed(self, speak, none):
        assert speak(voices=none).voices() == [Voice("default")]

    def test_voices_lists_the_folder(self, speak):
        assert speak().voices() == [Voice(name) for name in ("default", "Alice", "bob", "broken")]

    def test_model_without_default_voice_needs_a_voice(self, speak):
        with pytest.raises(UsageError, match="no default voice"):
            said(speak(ForkModel(own=False)))


class TestCancel:
    def test_generation_stops_within_one_token(self, speak, monkeypatch):
        model = ForkModel(tokens=900)
        backend = speak(model, preset="realtime")
        stream = backend.synthesize(SpeechRequest("A long text."))
        write = "voice_cli.backends.local.worker.Generation.write"
        at = []

        def cancelling(self, pcm):
            at.append(model.made)
            stream.cancel()
            return True  # so the next token is generated

        monkeypatch.setattr(write, cancelling)
        with pytest.raises(Interrupted):
            list(stream)
        backend.join(20)
        assert model.made <= at[0] + 1

    def test_stock_model_stops_within_one_token(self, speak):
        model = StockModel(tokens=900)
        backend = speak(model)
        stream = backend.synthesize(SpeechRequest("A long text."))
        model.t3.tfmr.register_forward_pre_hook(lambda *_: stream.cancel() if model.made == 20 else None)
        with pytest.raises(Interrupted):
            list(stream)
        backend.join(20)
        assert model.made <= 21


class TestStock:
    def test_audio_is_chunked_and_a_note_says_not_streaming(self, speak):
        model = StockModel()
        stream = speak(model, preset="expressive").synthesize(SpeechRequest("Hello.", voice="bob"))
        pieces = list(stream)
        assert len(pieces) > 5
        assert len(b"".join(pieces)) == 2 * 60 * TOKEN_FRAMES
        assert any("not streaming" in note for note in stream.notes)

    def test_presets_are_applied(self, speak):
        model = StockModel()
        said(speak(model, preset="clone_fidelity"))
        assert model.calls == [{"text": "Hello.", "exaggeration": 0.3, "cfg_weight": 0.65, "temperature": 0.4}]
        assert model.s3gen.flow.steps == [7]


class TestLoading:
    def test_model_folder_is_loaded(self, speak, tmp_path):
        backend = speak()
        backend.warm_up()
        assert backend.modules["chatterbox.tts"].loaded == [(str(tmp_path), "cpu")]

    def test_hub_name_is_loaded(self, speak):
        speak()
        backend = ChatterboxBackend(HUB_NAME)
        backend.warm_up()
        assert sys.modules["chatterbox.tts"].loaded == [("cpu",)]
        backend.close()

    @pytest.mark.parametrize("model", [None, "", "some/other", "/none"])
    def test_missing_or_unknown_model_is_refused(self, speak, model):
        speak()
        with pytest.raises(UsageError):
            ChatterboxBackend(model)

    def test_missing_device_is_refused(self, speak):
        with pytest.raises(UsageError, match="finds no cuda"):
            said(speak(compute="cuda"))

    def test_unknown_device_is_refused(self, speak):
        with pytest.raises(UsageError, match="no compute device"):
            speak(compute="tpu")

    def test_missing_package_error_names_the_extra(self, tmp_path, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda _: None)
        with pytest.raises(EngineError, match="needs the package chatterbox") as caught:
            ChatterboxBackend(str(tmp_path))
        assert caught.value.hint == 'pip install "voice-cli[chatterbox]"'

    def test_close_frees_the_model(self, speak):
        backend = speak()
        said(backend, voice="alice")
        backend.join(20)
        backend.close()
        assert backend._speaker is None
        assert backend._own_conditionals is None
        assert backend._conditionals_of.cache_info().currsize == 0


def test_stop_token_alone_makes_no_chunk(speak):
    model = ForkModel(tokens=48)
    assert len(said(speak(model, preset="balanced"))) == 48 * TOKEN_FRAMES
    assert model.s3gen.runs == 2
