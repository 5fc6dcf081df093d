"""OpenAI's speech API: request bodies, error messages and lists of voices."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.protocol.openai import error_message, expected_encoding, pcm_is_defined, speech_body, voices_in

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["error", "detail", "message", "msg", "voices", "data", "id", "name", "x"]), inner
        ),
    ),
    max_leaves=12,
)


def test_the_body_has_only_the_set_fields():
    fields = {"text": "hi", "model": "m", "voice": "v", "codec": "mp3", "speed": None}
    fields |= {"instructions": None, "rate": None}
    assert speech_body(**fields) == {"model": "m", "input": "hi", "voice": "v", "response_format": "mp3"}
    assert speech_body(**{**fields, "speed": 1.0, "instructions": ""})["speed"] == 1.0
    assert speech_body(**{**fields, "instructions": "slowly"})["instructions"] == "slowly"
    assert speech_body(**{**fields, "rate": 24_000})["sample_rate"] == 24_000


@pytest.mark.parametrize(
    ("host", "model", "defined"),
    [
        ("api.openai.com", "gpt-4o-mini-tts", True),
        ("API.openai.com:443", "any", True),
        ("me.openai.azure.com", "any", True),
        ("localhost:8880", "kokoro", True),
        ("localhost:8000", "speaches-ai/Kokoro-82M-v1.0-ONNX", True),
        ("localhost:8000", "speaches-ai/piper-en_US-amy-low", False),
        ("localhost:8000", "gpt-4o-mini-tts", False),
        ("api.openai.com.example.org", "tts-1", False),
    ],
)
def test_pcm_has_a_defined_rate_from_openai_and_from_kokoro(host, model, defined):
    assert pcm_is_defined(host, model) == defined


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_has_an_expected_encoding(codec):
    formats = {"pcm": AudioFormat(24_000, 1), "opus": AudioFormat(48_000, 1)}
    assert expected_encoding(codec) == Encoding(codec, formats.get(codec))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"error": {"message": "bad key", "type": "x", "param": null, "code": "y"}}', "bad key"),
        ('{"error": "bad key"}', "bad key"),
        ('{"message": "bad key"}', "bad key"),
        ('{"detail": "bad key"}', "bad key"),
        ('{"detail": {"error": "x", "message": "bad key", "type": "y"}}', "bad key"),
        ('{"detail": [{"loc": ["body", "input"], "msg": "field required"}]}', "field required"),
        ('"bad key"', "bad key"),
        ("bad key\nTraceback (most recent call last):", "bad key"),
        ("  bad key  ", "bad key"),
        ("<html><body>502</body></html>", None),
        ("\n <!DOCTYPE html>", None),
        ("", None),
        ("{}", None),
        ("[]", None),
        ("null", None),
        ('{"status": "ok"}', None),
    ],
)
def test_error_messages_of_every_shape_are_found(body, message):
    assert error_message(body.encode()) == message


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"[" * 100_000, b'{"error": ' * 10_000])
def test_malformed_bodies_have_a_short_message_or_none(body):
    message = error_message(body)
    assert message is None or len(message) <= 300


def test_an_error_message_is_one_printable_line():
    message = error_message(json.dumps({"error": "a\x1b[31mb\n\tc\x07" + "d" * 999}).encode())
    assert message.isprintable()
    assert message.startswith("a [31mb c d")
    assert len(message) < 300


@given(st.one_of(st.binary(), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_body_is_parsed_without_an_exception(body):
    message = error_message(body)
    assert message is None or message.isprintable()
    voices = voices_in(body)
    assert voices is None or all(isinstance(part, str) for voice in voices for part in voice)


@pytest.mark.parametrize(
    ("body", "voices"),
    [
        ('{"voices": ["a", "b"]}', [("a", "", ""), ("b", "", "")]),
        ('{"voices": [{"id": "a", "name": "A", "language": "en-US"}]}', [("a", "A", "en-US")]),
        ('{"voices": [{"voice_id": "a"}, {"name": "b"}]}', [("a", "", ""), ("b", "b", "")]),
        ('{"data": [{"id": "a", "name": null}]}', [("a", "", "")]),
        ('["a", {"id": "b"}, 3, null, {"id": 4}, []]', [("a", "", ""), ("b", "", "")]),
        ('{"voices": []}', []),
        ('{"voices": {"a": 1}}', None),
        ('{"models": []}', None),
        ("42", None),
        ("no", None),
        ("", None),
    ],
)
def test_lists_of_voices_of_every_shape_are_parsed(body, voices):
    assert voices_in(body.encode()) == voices
