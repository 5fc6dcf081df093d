"""Text to phonemes by espeak-ng, for models without a lexicon."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.threads import in_thread
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.local.espeak import EspeakBackend
from voice_cli.backends.local.espeak_phonemes import ENDS, phonemes
from voice_cli.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello.", ["həlˈoʊ."]),
        ("Hello", ["həlˈoʊ."]),
        ("Hello, you. Fine! Is it?", ["həlˈoʊ, juː.", "fˈaɪn!", "ɪz ɪt?"]),
        ("Dr. Smith: hello", ["dˈɑːktɚ smˈɪθ: həlˈoʊ."]),
        ("“Hello.” Fine…", ["həlˈoʊ.", "fˈaɪn."]),
        ("...", []),
        (" ", []),
    ],
)
def test_english_phonemes(text, expected):
    assert phonemes(text, "en-us") == expected


@pytest.mark.parametrize(
    ("voice", "text", "count"), [("cmn", "你好。我是人！", 2), ("hi", "नमस्ते। आप कैसे हैं?", 2), ("de", "Ja, Müller?", 1)]
)
def test_other_punctuation_and_languages(voice, text, count):
    said = phonemes(text, voice)
    assert len(said) == count
    assert all(sentence[-1] in ENDS for sentence in said)


def test_language_switches_are_removed():
    assert "(" not in "".join(phonemes("你好 hello 你好", "cmn"))


def test_phonemes_are_in_normalization_form_d():
    said = "".join(phonemes("São João não.", "pt"))
    assert said == unicodedata.normalize("NFD", said)


def test_unknown_voice_is_refused():
    with pytest.raises(UsageError, match="no voice"):
        phonemes("Hello.", "xx-none")


@settings(max_examples=50)
@given(st.text(max_size=80))
def test_any_text_is_accepted(text):
    for sentence in phonemes(text, "en-us"):
        assert sentence.strip()


def test_text_read_ahead_by_a_cancelled_request_is_dropped():
    backend = EspeakBackend()
    stream = iter(backend.synthesize(SpeechRequest("One two three. " * 5000)))
    next(stream)
    stream.close()
    assert phonemes("Hello.", "en-us") == ["həlˈoʊ."]
    backend.close()


def test_phonemes_during_synthesis():
    backend = EspeakBackend()
    alone = b"".join(backend.synthesize(SpeechRequest("One two three.")))
    stream = backend.synthesize(SpeechRequest("One two three. " * 20))
    said = in_thread(lambda: phonemes("Hello.", "de"))
    assert len(b"".join(stream)) > 10 * len(alone)
    assert len(said()) == 1
    backend.close()
