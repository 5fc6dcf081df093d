"""The Piper backend with onnxruntime and generated voices."""

import gc
import os
import threading

import numpy as np
import pytest

from support.onnx_voices import FRAMES_PER_TOKEN, HERTZ, LOUDNESS, piper_voice, pitch
from support.packages import needs
from support.threads import happened
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.espeak_phonemes import phonemes
from voice_cli.backends.local.piper import FIRST_FRAMES, MOST_FRAMES, PiperBackend
from voice_cli.backends.local.worker import Generation
from voice_cli.errors import EngineError, Interrupted, UsageError

needs("onnx")
needs("onnxruntime")


@pytest.fixture
def speak(tmp_path):
    """Create voices with their backends, and close the backends at the end."""
    opened = []

    def make(name="voice", **options):
        opened.append(PiperBackend(str(piper_voice(tmp_path / name, **options))))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


def tokens_of(text):
    """Return the number of tokens of each sentence: begin, symbols, end, and a pad after all but the last."""
    return [2 * len(ipa) + 3 for ipa in phonemes(text, "en-us")]


@pytest.mark.parametrize("has_parts", [False, True])
def test_stream_has_the_samples_of_the_network(speak, has_parts):
    text = "Hello there. How are you? Fine!"
    stream = speak(has_parts=has_parts).synthesize(SpeechRequest(text))
    samples = np.frombuffer(b"".join(stream), "<i2")
    frames = np.concatenate([np.arange(FRAMES_PER_TOKEN * count) for count in tokens_of(text)])
    wave = LOUDNESS * np.sin(2 * np.pi * HERTZ / 22050 * frames)
    assert len(tokens_of(text)) == 3
    assert len(samples) == len(wave)
    assert np.abs(samples / 32768 - wave).max() < 0.001
    assert stream.expected == stream.announced == Encoding("pcm", AudioFormat(22050, 1))


@pytest.mark.parametrize("has_parts", [False, True])
def test_chunks_are_short_at_first_only_if_the_network_has_parts(speak, monkeypatch, has_parts):
    sizes = []
    original = Generation.write
    monkeypatch.setattr(Generation, "write", lambda self, pcm: sizes.append(len(pcm)) or original(self, pcm))
    b"".join(speak(has_parts=has_parts, frames_per_token=40).synthesize(SpeechRequest("One here and two.")))
    if not has_parts:
        assert len(sizes) == 1
        return
    assert [size // 2 for size in sizes[:4]] == [FIRST_FRAMES, 2 * FIRST_FRAMES, 4 * FIRST_FRAMES, MOST_FRAMES]


def test_words_have_the_times_of_their_tokens(speak):
    text = "Hello there. Fine!"
    stream = speak(has_parts=True).synthesize(SpeechRequest(text))
    b"".join(stream)
    ipa = phonemes(text, "en-us")
    symbols = [0, ipa[0].index(" ") + 1, 0]
    begins = [0, 0, tokens_of(text)[0] * FRAMES_PER_TOKEN]
    at = [begin + (2 + 2 * symbol) * FRAMES_PER_TOKEN for begin, symbol in zip(begins, symbols, strict=True)]
    assert [(text[w.text_start :][: w.text_length], w.seconds, w.estimated) for w in stream.words] == [
        (word, round(sample / 22050, 3), False) for word, sample in zip(["Hello", "there.", "Fine!"], at, strict=True)
    ]


def test_the_first_clause_of_a_long_sentence_comes_alone(speak, monkeypatch):
    texts = []
    backend = speak(has_parts=True)
    backend.warm_up()
    run = PiperBackend._run_front
    monkeypatch.setattr(PiperBackend, "_run_front", lambda self, ipa, *rest: texts.append(ipa) or run(self, ipa, *rest))
    text = "When the first clause of a sentence is long enough, it is spoken alone, and the others follow, all at once."
    stream = backend.synthesize(SpeechRequest(text))
    b"".join(stream)
    assert [ipa[-1] for ipa in texts] == [",", "."]
    assert f"{texts[0]} {texts[1]}" == phonemes(text, "en-us")[0]
    assert [text[w.text_start :][: w.text_length] for w in stream.words] == text.split()
    assert sorted(w.seconds for w in stream.words) == [w.seconds for w in stream.words]


@pytest.mark.parametrize("has_parts", [False, True])
@pytest.mark.parametrize("loudness", [0.04, 0.5])
def test_quiet_and_loud_voices_have_one_level(speak, loudness, has_parts):
    backend = speak(f"at {loudness}", has_parts=has_parts, loudness=loudness)
    samples = np.frombuffer(b"".join(backend.synthesize(SpeechRequest("Hello there."))), "<i2") / 32768
    assert np.abs(samples).max() == pytest.approx(LOUDNESS, rel=0.02)


def test_a_level_is_measured_once(speak, monkeypatch):
    monkeypatch.setattr("voice_cli.backends.local.level.TARGET", -14.0)
    first, again = speak(), speak()
    os.utime(again.model, ns=(os.stat(first.model).st_mtime_ns,) * 2)
    sounds = [b"".join(backend.synthesize(SpeechRequest("Hello."))) for backend in (first,)]
    monkeypatch.setattr("voice_cli.backends.local.level.TARGET", -30.0)
    sounds.append(b"".join(again.synthesize(SpeechRequest("Hello."))))
    assert sounds[0] == sounds[1]
    assert np.abs(np.frombuffer(sounds[0], "<i2")).max() / 32768 == pytest.approx(2 * LOUDNESS, rel=0.02)


@pytest.mark.parametrize("speed", [0.5, 1.5])
def test_speed_is_relative_to_the_voices_length_scale(speak, speed):
    backend = speak(length_scale=1.5)
    normal = len(b"".join(backend.synthesize(SpeechRequest("Hello.")))) // 2
    assert normal % (FRAMES_PER_TOKEN * 1.5) == 0
    scaled = len(b"".join(backend.synthesize(SpeechRequest("Hello.", speed=speed)))) // 2
    assert scaled == pytest.approx(normal / speed, abs=2)


@pytest.mark.parametrize(("voice", "times"), [(None, 1), ("1", 2), ("ben", 2), ("amy", 1)])
def test_speaker_by_number_or_name(speak, voice, times):
    sound = b"".join(speak(speakers=["amy", "ben"]).synthesize(SpeechRequest("Hello.", voice=voice)))
    assert pitch(sound, 22050) == pytest.approx(times * HERTZ, rel=0.01)


def test_the_level_is_that_of_the_speaker_whose_name_is_a_number(speak, monkeypatch):
    numbers = []
    run = PiperBackend._run_front

    def watched(self, ipa, request, *rest, **more):
        numbers.append(self._speaker(request.voice))
        return run(self, ipa, request, *rest, **more)

    monkeypatch.setattr(PiperBackend, "_run_front", watched)
    b"".join(speak(speakers=["1", "0"]).synthesize(SpeechRequest("Hello.", voice="1")))
    assert set(numbers) == {0}


@pytest.mark.parametrize("voice", ["2", "carl", "-1"])
def test_unknown_speaker_is_refused(speak, voice):
    with pytest.raises(UsageError, match="no speaker") as caught:
        speak(speakers=["amy", "ben"]).synthesize(SpeechRequest("Hello.", voice=voice))
    assert caught.value.hint == "it has: amy, ben"


def test_voices(speak):
    assert speak("one").voices() == [Voice("0", "en_US-hum-low", "en-US")]
    assert speak("two", speakers=["amy", "ben"]).voices() == [Voice("0", "amy", "en-US"), Voice("1", "ben", "en-US")]


def test_text_without_audio_is_an_error(speak):
    with pytest.raises(EngineError, match="no audio"):
        list(speak().synthesize(SpeechRequest("...")))


def test_cancel_stops_after_the_current_chunk(speak, monkeypatch):
    backend = speak(has_parts=True, frames_per_token=2000)
    writes, second, go_on = [], threading.Event(), threading.Event()
    original = Generation.write

    def watched(self, pcm):
        writes.append(pcm)
        if len(writes) == 2:
            second.set()
            happened(go_on)
        return original(self, pcm)

    monkeypatch.setattr(Generation, "write", watched)
    stream = backend.synthesize(SpeechRequest("Hello there. " * 30))
    happened(second)
    stream.cancel()
    go_on.set()
    with pytest.raises(Interrupted):
        list(stream)
    backend.join(20)
    assert len(writes) == 2


def test_close_frees_the_voice(speak):
    backend = speak()
    b"".join(backend.synthesize(SpeechRequest("Hello.")))
    backend.join(20)
    backend.close()
    gc.collect()
    assert backend._front is None


class TestInvalidModels:
    def test_missing_model_is_refused(self):
        with pytest.raises(UsageError, match="needs a model"):
            PiperBackend()

    def test_missing_file_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no voice"):
            PiperBackend(str(tmp_path / "none.onnx"))

    def test_empty_folder_is_refused(self, tmp_path):
        with pytest.raises(UsageError, match="no voice"):
            PiperBackend(str(tmp_path))

    def test_folder_with_several_voices_is_refused(self, tmp_path):
        for name in ("a.onnx", "b.onnx"):
            (tmp_path / name).touch()
        with pytest.raises(UsageError, match="several") as caught:
            PiperBackend(str(tmp_path))
        assert "a.onnx, b.onnx" in str(caught.value.hint)

    def test_missing_json_is_refused(self, tmp_path):
        (tmp_path / "a.onnx").touch()
        with pytest.raises(UsageError, match="cannot read"):
            PiperBackend(str(tmp_path))

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"audio": {"sample_rate": 0}}', '{"audio": 3}'])
    def test_invalid_json_is_refused(self, tmp_path, text):
        (tmp_path / "a.onnx").touch()
        (tmp_path / "a.onnx.json").write_text(text)
        with pytest.raises(UsageError, match="not the configuration"):
            PiperBackend(str(tmp_path))

    def test_invalid_network_is_an_engine_error(self, speak, tmp_path):
        backend = speak()
        (tmp_path / "voice" / "en_US-hum-low.onnx").write_bytes(b"garbage")
        with pytest.raises(EngineError, match="is not an ONNX model"):
            list(backend.synthesize(SpeechRequest("Hello.")))

    def test_missing_package_error_names_the_extra(self, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda _: None)
        with pytest.raises(EngineError, match="needs the package onnxruntime") as caught:
            PiperBackend("voice.onnx")
        assert caught.value.hint == 'pip install "voice-cli[piper]"'
