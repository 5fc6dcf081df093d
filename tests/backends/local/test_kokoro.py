"""The Kokoro backend with onnxruntime and a generated model."""

import numpy as np
import pytest

from support.onnx_voices import HERTZ, kokoro_model, pitch
from support.packages import needs
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.local.espeak_phonemes import sentences
from voice_cli.backends.local.kokoro import FRAME, LEAD, PAUSES, RATE, KokoroBackend
from voice_cli.backends.local.kokoro_symbols import SYMBOLS, numbers
from voice_cli.backends.local.pieces import Pieces
from voice_cli.errors import EngineError, UsageError

needs("onnx")
needs("onnxruntime")

LONG = (
    "When the first clause of a sentence is long, its first words are computed alone, so that they sound soon, "
    "and the others follow in longer pieces. A second sentence is here, too."
)


@pytest.fixture
def model(tmp_path):
    return kokoro_model(tmp_path / "model")


@pytest.fixture
def backend(model):
    made = KokoroBackend(str(model))
    yield made
    made.close()


def test_alphabet():
    assert len(SYMBOLS) == len(set(SYMBOLS.values())) == 114
    assert (SYMBOLS[";"], SYMBOLS[" "], SYMBOLS["ˈ"], SYMBOLS["ᵻ"]) == (1, 16, 156, 177)
    assert numbers("ac\u0327b*") == [43, SYMBOLS["ç"], None, 44, None]


def test_speech_has_the_sound_of_the_symbols_and_short_silences(backend):
    stream = backend.synthesize(SpeechRequest("Hello."))
    samples = np.frombuffer(b"".join(stream), "<i2")
    ipa = sentences("Hello.", "en-us")[0].ipa
    expected = len([each for each in numbers(ipa) if each is not None]) * 4 * FRAME + round(LEAD * RATE)
    assert len(samples) == pytest.approx(expected + min(2 * FRAME, round(PAUSES["sentence"] * RATE)), abs=20)
    assert not samples[: round(LEAD * RATE) - 10].any()


def test_words_are_where_their_symbols_are(backend):
    text = "Hello there."
    stream = backend.synthesize(SpeechRequest(text))
    b"".join(stream)
    ipa = sentences(text, "en-us")[0].ipa
    second = len([each for each in numbers(ipa[: ipa.index(" ") + 1]) if each is not None])
    assert [(text[w.text_start :][: w.text_length], w.estimated) for w in stream.words] == [
        ("Hello", False),
        ("there.", False),
    ]
    assert [w.seconds for w in stream.words] == pytest.approx([LEAD, LEAD + second * 4 * FRAME / RATE], abs=0.002)


def test_a_long_text_comes_in_pieces_with_all_its_words(backend):
    stream = backend.synthesize(SpeechRequest(LONG))
    b"".join(stream)
    assert [LONG[w.text_start :][: w.text_length] for w in stream.words] == LONG.split()
    seconds = [w.seconds for w in stream.words]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize(
    ("voice", "times"), [(None, 1), ("am_hum", 2), ("af_hum+am_hum", 1.5), ("af_hum:3+am_hum", 1.25)]
)
def test_speakers_and_blends(backend, voice, times):
    sound = b"".join(backend.synthesize(SpeechRequest("Hello there.", voice=voice)))
    voiced = sound[6 * FRAME : -20 * FRAME]
    assert pitch(voiced, RATE) == pytest.approx(times * HERTZ, rel=0.03)


@pytest.mark.parametrize("voice", ["nobody", "af_hum+nobody", "af_hum:x", "af_hum:0", "af_hum:nan", "+"])
def test_other_speakers_are_refused(backend, voice):
    with pytest.raises(UsageError, match="no speaker") as raised:
        backend.synthesize(SpeechRequest("Hello.", voice=voice))
    assert "af_hum" in raised.value.hint


def test_speed(backend):
    normal = len(b"".join(backend.synthesize(SpeechRequest("Hello there my friend."))))
    fast = len(b"".join(backend.synthesize(SpeechRequest("Hello there my friend.", speed=2.0))))
    assert fast == pytest.approx(normal / 2, rel=0.15)


def test_voices(backend):
    assert backend.voices() == [Voice("af_hum", language="en-us"), Voice("am_hum", language="en-us")]


def test_text_without_sound_is_an_error(backend):
    with pytest.raises(EngineError, match="no audio"):
        list(backend.synthesize(SpeechRequest("...")))


def test_missing_files_are_reported(tmp_path, model):
    with pytest.raises(UsageError, match=r"no network \(\*.onnx\)"):
        KokoroBackend(str(tmp_path))
    (model / "voices.npz").write_bytes(b"garbage")
    with pytest.raises(UsageError, match="has no voices of Kokoro"):
        KokoroBackend(str(model)).voices()
    (model / "voices.npz").unlink()
    with pytest.raises(UsageError, match="no voices"):
        KokoroBackend(str(model))


class TestPieces:
    def pieces(self, text, rate, speeds):
        """Return the pieces if each takes `rate` times its length to compute, on a stopped clock."""
        made = Pieces(sentences(text, "en-us"), rate=rate, first=18, most=400)
        found = []
        for piece, is_end in made:
            found.append((piece, is_end))
            seconds = len(piece.ipa) / 14
            made.computed(seconds, seconds * speeds)
        return found

    def test_together_they_are_the_text(self):
        found = self.pieces(LONG, 0.7, 0.7)
        whole = [sentence.ipa for sentence in sentences(LONG, "en-us")]
        joined, part = [], []
        for piece, is_end in found:
            part.append(piece.ipa)
            if is_end:
                joined.append(" ".join(part))
                part = []
        assert joined == whole
        assert sum(len(piece.places) for piece, _ in found) == len(LONG.split())

    def test_the_first_is_short_and_a_fast_engine_s_next_is_all(self):
        found = self.pieces(LONG, 0.05, 0.05)
        assert len(found[0][0].ipa) <= 24
        assert len(found) <= 4

    def test_a_slow_engine_s_pieces_stay_short(self):
        sizes = [len(piece.ipa) for piece, _ in self.pieces(LONG, 3.0, 3.0)]
        assert len(sizes) > 6
        assert sizes[0] <= 24
