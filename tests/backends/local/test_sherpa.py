"""The sherpa backend with the real package and generated voices."""

import gc
import threading
import weakref

import numpy as np
import pytest

from support.onnx_voices import FRAMES_PER_TOKEN, HERTZ, LOUDNESS, pitch, sherpa_voice
from support.packages import needs
from support.threads import happened
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.espeak_phonemes import phonemes
from voice_cli.backends.local.sherpa import SherpaBackend
from voice_cli.errors import EngineError, Interrupted, UsageError

needs("sherpa_onnx")
needs("onnx")

MANY = " ".join(["Hello there."] * 40)


@pytest.fixture
def speak(tmp_path):
    """Create voices with their backends, and close the backends at the end."""
    opened = []

    def make(name="voice", *, backend=None, **options):
        folder = sherpa_voice(tmp_path / name, **options)
        opened.append(SherpaBackend(str(folder), **(backend or {})))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


def frames(pcm):
    return len(pcm) // 2


def tokens(sentence):
    """Return the number of input tokens: BOS, EOS, each symbol, and a blank before each but the first."""
    return 2 * (len(sentence) + 2) - 1


def test_audio_length_matches_the_phonemes_of_each_sentence(speak):
    text = "Hello there. How are you, friend? Fine!"
    stream = speak().synthesize(SpeechRequest(text))
    sound = b"".join(stream)
    said = phonemes(text, "en-us")
    assert len(said) == 3
    assert stream.expected == stream.announced == Encoding("pcm", AudioFormat(16000, 1))
    assert frames(sound) == FRAMES_PER_TOKEN * sum(map(tokens, said))
    assert pitch(sound, 16000) == pytest.approx(HERTZ, rel=0.01)


def test_samples_are_the_models_output(speak):
    sound = b"".join(speak().synthesize(SpeechRequest("Hello.")))
    time = np.arange(frames(sound), dtype=np.float32)
    exact = LOUDNESS * np.sin(time * np.float32(2 * np.pi * HERTZ / 16000)) * 32768
    assert np.max(np.abs(np.frombuffer(sound, "<i2") - exact)) < 2


@pytest.mark.parametrize("loudness", [0.04, 0.5])
def test_quiet_and_loud_voices_have_one_level(speak, loudness):
    backend = speak(f"at {loudness}", loudness=loudness)
    samples = np.frombuffer(b"".join(backend.synthesize(SpeechRequest("Hello there."))), "<i2") / 32768
    assert np.abs(samples).max() == pytest.approx(LOUDNESS, rel=0.02)


def test_sample_rate_is_the_models(speak):
    stream = speak(rate=22050).synthesize(SpeechRequest("Hello."))
    assert pitch(b"".join(stream), 22050) == pytest.approx(HERTZ, rel=0.01)
    assert stream.announced == Encoding("pcm", AudioFormat(22050, 1))


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_speed_scales_the_duration(speak, speed):
    backend = speak()
    normal = frames(b"".join(backend.synthesize(SpeechRequest("Hello."))))
    assert frames(b"".join(backend.synthesize(SpeechRequest("Hello.", speed=speed)))) == pytest.approx(
        normal / speed, 2
    )


@pytest.mark.parametrize("speed", [0.1, 5.0, float("nan"), -1.0])
def test_speed_out_of_range_is_refused(speak, speed):
    with pytest.raises(UsageError, match="cannot speak at speed"):
        speak().synthesize(SpeechRequest("Hello.", speed=speed))


class TestSteps:
    """Diffusion steps. The test voice's model family ignores them."""

    @pytest.mark.parametrize(("own", "asked", "given"), [(4.0, None, 4), (4.0, 9, 9), (None, 9, 9)])
    def test_request_steps_override_the_backends(self, speak, own, asked, given):
        backend = speak(backend={"steps": own})
        request = SpeechRequest("Hello.", options={} if asked is None else {"steps": asked})
        assert b"".join(backend.synthesize(request))
        assert backend._request(request).num_steps == given

    def test_default_steps_are_the_packages(self, speak):
        backend = speak()
        backend.warm_up()
        package = needs("sherpa_onnx")
        assert backend._request(SpeechRequest("Hello.")).num_steps == package.GenerationConfig().num_steps

    @pytest.mark.parametrize("steps", [0, -1, 101, 2.5, float("nan")])
    def test_steps_out_of_range_are_refused(self, speak, steps):
        with pytest.raises(UsageError, match="steps"):
            speak("one", backend={"steps": steps})
        with pytest.raises(UsageError, match="steps"):
            speak("two").synthesize(SpeechRequest("Hello.", options={"steps": steps}))


@pytest.mark.parametrize(("voice", "times"), [(None, 1), ("0", 1), ("2", 3), ("bella", 2)])
def test_speaker_by_number_or_name(speak, voice, times):
    backend = speak(speakers=3, notes={"speaker_names": "amy,bella,carl"})
    sound = b"".join(backend.synthesize(SpeechRequest("Hello.", voice=voice)))
    assert pitch(sound, 16000) == pytest.approx(times * HERTZ, rel=0.01)


@pytest.mark.parametrize("voice", ["3", "-1", "dora", "../amy", ""])
def test_unknown_speaker_is_refused(speak, voice):
    backend = speak(speakers=3, notes={"speaker_names": "amy,bella,carl"})
    with pytest.raises(UsageError, match="no speaker") as caught:
        backend.synthesize(SpeechRequest("Hello.", voice=voice))
    assert "amy, bella, carl" in caught.value.hint


def test_voices(speak):
    assert speak("one").voices() == [Voice("0", "", "en-us")]
    named = speak("two", speakers=2, notes={"speaker_names": "amy,bella"})
    assert named.voices() == [Voice("0", "amy", "en-us"), Voice("1", "bella", "en-us")]


def test_model_lexicon_is_used(speak):
    backend = speak(lexicon={"hello": "həlˈoʊ", "world": "wɜld"})
    sound = b"".join(backend.synthesize(SpeechRequest("hello world")))
    assert frames(sound) % FRAMES_PER_TOKEN == 0
    assert sound


def test_text_without_a_known_word_is_an_error(speak):
    backend = speak(lexicon={"hello": "həlˈoʊ"})
    with pytest.raises(EngineError, match="no audio"):
        b"".join(backend.synthesize(SpeechRequest("zebra")))


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_blank_text_is_refused(speak, text):
    with pytest.raises(UsageError, match="blank"):
        speak().synthesize(SpeechRequest(text))


class TestCancel:
    def test_engine_stops_after_the_current_sentence(self, speak, monkeypatch):
        backend = speak()
        sentences, first, go_on = [], threading.Event(), threading.Event()
        write = type(backend.synthesize(SpeechRequest("Hi."))._generation).write

        def watched(self, pcm):
            if self.request.text == MANY:
                sentences.append(len(pcm))
                first.set()
                happened(go_on)
            return write(self, pcm)

        monkeypatch.setattr("voice_cli.backends.local.worker.Generation.write", watched)
        stream = backend.synthesize(SpeechRequest(MANY))
        happened(first)
        stream.cancel()
        go_on.set()
        with pytest.raises(Interrupted):
            list(stream)
        assert b"".join(backend.synthesize(SpeechRequest("Next.")))  # runs after the cancelled request ends
        assert len(sentences) == 1

    def test_cancel_before_generation_starts(self, speak):
        backend = speak()
        stream = backend.synthesize(SpeechRequest(MANY))
        stream.cancel()
        with pytest.raises(Interrupted):
            list(stream)

    def test_dropped_iterator_frees_the_model(self, speak):
        backend = speak()
        stream = iter(backend.synthesize(SpeechRequest(MANY * 10)))
        next(stream)
        del stream
        gc.collect()
        assert b"".join(backend.synthesize(SpeechRequest("Next.")))


def test_second_request_waits_for_the_first(speak):
    backend = speak()
    first, second = (backend.synthesize(SpeechRequest(text)) for text in (MANY, "Hello."))
    alone = b"".join(speak("alone").synthesize(SpeechRequest("Hello.")))
    assert b"".join(second) == alone
    assert first.timestamps["last_byte"] <= second.timestamps["engine_ready"]
    assert len(b"".join(first)) > len(alone)


def test_close_frees_the_model(speak):
    backend = speak()
    b"".join(backend.synthesize(SpeechRequest("Hello.")))
    backend.join(20)
    gone = weakref.ref(backend._tts)
    backend.close()
    gc.collect()
    assert gone() is None
    with pytest.raises(RuntimeError):
        backend.synthesize(SpeechRequest("Hello."))


def test_close_cancels_the_current_request(speak):
    backend = speak()
    stream = backend.synthesize(SpeechRequest(MANY * 20))
    backend.close()
    with pytest.raises(Interrupted):
        list(stream)
    backend.join(20)
    assert backend._tts is None


def test_invalid_network_is_an_engine_error(speak, tmp_path):
    backend = speak()
    (tmp_path / "voice" / "en_US-hum-low.onnx").write_bytes(b"garbage")
    with pytest.raises(EngineError, match="sherpa failed"):
        list(backend.synthesize(SpeechRequest("Hello.")))


def test_missing_tokens_fail_validation(speak, tmp_path):
    backend = speak()
    (tmp_path / "voice" / "tokens.txt").unlink()
    with pytest.raises(EngineError, match="does not accept"):
        list(backend.synthesize(SpeechRequest("Hello.")))


def test_warm_up(speak):
    backend = speak()
    backend.warm_up()
    assert backend._tts is not None


class TestPackage:
    def test_every_family_has_a_configuration_class(self):
        package = needs("sherpa_onnx")
        from voice_cli.backends.local.sherpa_models import _PARTS, SINGLE

        for family in (*SINGLE, *_PARTS):
            assert hasattr(package, f"OfflineTts{family.capitalize()}ModelConfig"), family
            assert hasattr(package.OfflineTtsModelConfig(), family)

    def test_missing_package_error_names_the_extra(self, tmp_path, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda _: None)
        with pytest.raises(EngineError, match="needs the package sherpa_onnx") as caught:
            SherpaBackend(str(tmp_path))
        assert caught.value.hint == 'pip install "voice-cli[sherpa]"'
