"""The sherpa backend on the real package, with voices that the test makes."""

import gc
import threading
import weakref

import numpy as np
import pytest

from support.onnx_voices import FRAMES_PER_TOKEN, HERTZ, pitch, sherpa_voice
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
    """Make a voice and a backend for it, which is closed in the end."""
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
    """How many the model is given: BOS and EOS, each symbol, and a blank before each but the first."""
    return 2 * (len(sentence) + 2) - 1


def test_each_sentence_is_hummed_for_its_phonemes(speak):
    text = "Hello there. How are you, friend? Fine!"
    stream = speak().synthesize(SpeechRequest(text))
    sound = b"".join(stream)
    said = phonemes(text, "en-us")
    assert len(said) == 3
    assert stream.expected == stream.announced == Encoding("pcm", AudioFormat(16000, 1))
    assert frames(sound) == FRAMES_PER_TOKEN * sum(map(tokens, said))
    assert pitch(sound, 16000) == pytest.approx(HERTZ, rel=0.01)


def test_samples_are_the_models_own(speak):
    sound = b"".join(speak().synthesize(SpeechRequest("Hello.")))
    time = np.arange(frames(sound), dtype=np.float32)
    exact = 0.5 * np.sin(time * np.float32(2 * np.pi * HERTZ / 16000)) * 32768
    assert np.max(np.abs(np.frombuffer(sound, "<i2") - exact)) < 2


def test_the_rate_is_the_models(speak):
    stream = speak(rate=22050).synthesize(SpeechRequest("Hello."))
    assert pitch(b"".join(stream), 22050) == pytest.approx(HERTZ, rel=0.01)
    assert stream.announced == Encoding("pcm", AudioFormat(22050, 1))


@pytest.mark.parametrize("speed", [0.5, 1.0, 2.0])
def test_speed(speak, speed):
    backend = speak()
    normal = frames(b"".join(backend.synthesize(SpeechRequest("Hello."))))
    assert frames(b"".join(backend.synthesize(SpeechRequest("Hello.", speed=speed)))) == pytest.approx(
        normal / speed, 2
    )


@pytest.mark.parametrize("speed", [0.1, 5.0, float("nan"), -1.0])
def test_a_speed_that_cannot_be(speak, speed):
    with pytest.raises(UsageError, match="cannot speak at speed"):
        speak().synthesize(SpeechRequest("Hello.", speed=speed))


class TestSteps:
    """Diffusion steps. The family of the test's voice ignores them."""

    @pytest.mark.parametrize(("own", "asked", "given"), [(4.0, None, 4), (4.0, 9, 9), (None, 9, 9)])
    def test_a_requests_steps_override_the_backends(self, speak, own, asked, given):
        backend = speak(backend={"steps": own})
        request = SpeechRequest("Hello.", options={} if asked is None else {"steps": asked})
        assert b"".join(backend.synthesize(request))
        assert backend._request(request).num_steps == given

    def test_the_default_is_the_packages(self, speak):
        backend = speak()
        backend.warm_up()
        package = needs("sherpa_onnx")
        assert backend._request(SpeechRequest("Hello.")).num_steps == package.GenerationConfig().num_steps

    @pytest.mark.parametrize("steps", [0, -1, 101, 2.5, float("nan")])
    def test_steps_out_of_range(self, speak, steps):
        with pytest.raises(UsageError, match="steps"):
            speak("one", backend={"steps": steps})
        with pytest.raises(UsageError, match="steps"):
            speak("two").synthesize(SpeechRequest("Hello.", options={"steps": steps}))


@pytest.mark.parametrize(("voice", "times"), [(None, 1), ("0", 1), ("2", 3), ("bella", 2)])
def test_a_speaker_by_number_or_name(speak, voice, times):
    backend = speak(speakers=3, notes={"speaker_names": "amy,bella,carl"})
    sound = b"".join(backend.synthesize(SpeechRequest("Hello.", voice=voice)))
    assert pitch(sound, 16000) == pytest.approx(times * HERTZ, rel=0.01)


@pytest.mark.parametrize("voice", ["3", "-1", "dora", "../amy", ""])
def test_a_speaker_that_is_not_there(speak, voice):
    backend = speak(speakers=3, notes={"speaker_names": "amy,bella,carl"})
    with pytest.raises(UsageError, match="no speaker") as caught:
        backend.synthesize(SpeechRequest("Hello.", voice=voice))
    assert "amy, bella, carl" in caught.value.hint


def test_voices(speak):
    assert speak("one").voices() == [Voice("0", "", "en-us")]
    named = speak("two", speakers=2, notes={"speaker_names": "amy,bella"})
    assert named.voices() == [Voice("0", "amy", "en-us"), Voice("1", "bella", "en-us")]


def test_a_lexicon_of_the_model_is_taken_as_it_is(speak):
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
    def test_the_engine_stops_after_the_current_sentence(self, speak, monkeypatch):
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
        assert b"".join(backend.synthesize(SpeechRequest("Next.")))  # its turn comes when the other has let go
        assert len(sentences) == 1

    def test_before_it_has_begun(self, speak):
        backend = speak()
        stream = backend.synthesize(SpeechRequest(MANY))
        stream.cancel()
        with pytest.raises(Interrupted):
            list(stream)

    def test_an_iterator_that_is_dropped_lets_the_next_one_have_the_model(self, speak):
        backend = speak()
        stream = iter(backend.synthesize(SpeechRequest(MANY * 10)))
        next(stream)
        del stream
        gc.collect()
        assert b"".join(backend.synthesize(SpeechRequest("Next.")))


def test_a_second_request_waits_its_turn(speak):
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


def test_close_gives_up_what_is_under_way(speak):
    backend = speak()
    stream = backend.synthesize(SpeechRequest(MANY * 20))
    backend.close()
    with pytest.raises(Interrupted):
        list(stream)
    backend.join(20)
    assert backend._tts is None


def test_a_network_that_is_garbage_is_one_line(speak, tmp_path):
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
    def test_every_family_has_its_configuration(self):
        package = needs("sherpa_onnx")
        from voice_cli.backends.local.sherpa_models import _PARTS, SINGLE

        for family in (*SINGLE, *_PARTS):
            assert hasattr(package, f"OfflineTts{family.capitalize()}ModelConfig"), family
            assert hasattr(package.OfflineTtsModelConfig(), family)

    def test_a_missing_package_names_the_extra(self, tmp_path, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda _: None)
        with pytest.raises(EngineError, match="needs the package sherpa_onnx") as caught:
            SherpaBackend(str(tmp_path))
        assert caught.value.hint == 'pip install "voice-cli[sherpa]"'
