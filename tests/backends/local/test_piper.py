"""The Piper backend with the real package and generated voices."""

import gc
import threading

import pytest

from support.onnx_voices import FRAMES_PER_TOKEN, HERTZ, piper_voice, pitch
from support.packages import needs
from support.threads import happened
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.piper import PiperBackend
from voice_cli.errors import EngineError, Interrupted, UsageError

needs("onnx")
piper = needs("piper")


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


def test_stream_has_the_samples_of_piper(speak, tmp_path):
    text = "Hello there. How are you? Fine!"
    stream = speak().synthesize(SpeechRequest(text))
    sound = b"".join(stream)
    own = piper.PiperVoice.load(tmp_path / "voice" / "en_US-hum-low.onnx")
    chunks = [chunk.audio_int16_bytes for chunk in own.synthesize(text)]
    assert len(chunks) == 3
    assert sound == b"".join(chunks)
    assert stream.expected == stream.announced == Encoding("pcm", AudioFormat(22050, 1))


def test_each_sentence_is_one_chunk(speak, monkeypatch):
    sizes = []
    write = "voice_cli.backends.local.worker.Generation.write"
    from voice_cli.backends.local.worker import Generation

    original = Generation.write
    monkeypatch.setattr(write, lambda self, pcm: sizes.append(len(pcm)) or original(self, pcm))
    sound = b"".join(speak().synthesize(SpeechRequest("One here. Two here. Three here.")))
    assert len(sizes) == 3
    assert sum(sizes) == len(sound)


@pytest.mark.parametrize("speed", [0.5, 2.0])
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


def test_cancel_stops_after_the_current_sentence(speak, monkeypatch):
    backend = speak()
    sentences, first, go_on = [], threading.Event(), threading.Event()
    ids_to_audio = piper.PiperVoice.phoneme_ids_to_audio

    def watched(self, *args, **kwargs):
        sentences.append(args)
        if len(sentences) == 2:
            first.set()
            happened(go_on)
        return ids_to_audio(self, *args, **kwargs)

    monkeypatch.setattr(piper.PiperVoice, "phoneme_ids_to_audio", watched)
    stream = backend.synthesize(SpeechRequest("Hello there. " * 30))
    happened(first)
    stream.cancel()
    go_on.set()
    with pytest.raises(Interrupted):
        list(stream)
    backend.join(20)
    assert len(sentences) == 2


def test_close_frees_the_voice(speak):
    backend = speak()
    b"".join(backend.synthesize(SpeechRequest("Hello.")))
    backend.join(20)
    backend.close()
    gc.collect()
    assert backend._voice is None


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
        with pytest.raises(EngineError, match="piper failed"):
            list(backend.synthesize(SpeechRequest("Hello.")))

    def test_missing_package_error_names_the_extra(self, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda _: None)
        with pytest.raises(EngineError, match="needs the package piper") as caught:
            PiperBackend("voice.onnx")
        assert caught.value.hint == 'pip install "voice-cli[piper]"'
