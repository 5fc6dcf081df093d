"""Typed fields of JSON messages, and one-line errors for invalid ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything, refusal_of
from voice_cli.protocol import fields

READERS = [
    fields.text_of,
    fields.number_of,
    fields.whole_of,
    fields.flag_of,
    fields.bytes_of,
    lambda message, key: fields.choice_of(message, key, ("a", "b")),
]


def test_missing_fields_have_defaults():
    assert fields.text_of({}, "x") is None
    assert fields.text_of({"x": None}, "x") is None
    assert fields.number_of({}, "x") is None
    assert fields.whole_of({}, "x") is None
    assert fields.flag_of({}, "x") is False
    assert fields.bytes_of({}, "x") == b""


def test_present_fields_are_returned():
    message = {"text": "a", "half": 0.5, "two": 2.0, "yes": True, "sound": "AAE=", "sounds": ["AA==", "AQ=="]}
    assert fields.text_of(message, "text") == "a"
    assert fields.choice_of(message, "text", ("a", "b")) == "a"
    assert fields.number_of(message, "half") == 0.5
    assert fields.whole_of(message, "two") == 2
    assert isinstance(fields.whole_of(message, "two"), int)
    assert fields.flag_of(message, "yes") is True
    assert fields.bytes_of(message, "sound") == fields.bytes_of(message, "sounds") == b"\x00\x01"


@pytest.mark.parametrize(
    ("read", "value", "reason"),
    [
        (lambda m: fields.text_of(m, "x"), 1, "x must be a string"),
        (lambda m: fields.choice_of(m, "x", ("a", "b")), "c", "x must be one of a, b"),
        (lambda m: fields.number_of(m, "x"), "1", "x must be a number"),
        (lambda m: fields.number_of(m, "x"), True, "x must be a number"),
        (lambda m: fields.number_of(m, "x", 0, 4), 4.5, "x must be from 0 to 4"),
        (lambda m: fields.number_of(m, "x", 0, 4), float("nan"), "x must be from 0 to 4"),
        (lambda m: fields.number_of(m, "x"), 10**400, "x must be from"),
        (lambda m: fields.whole_of(m, "x"), 1.5, "x must be a whole number"),
        (lambda m: fields.flag_of(m, "x"), 1, "x must be true or false"),
        (lambda m: fields.bytes_of(m, "x"), "é", "x must be base64"),
        (lambda m: fields.bytes_of(m, "x"), "AA", "x must be base64"),
        (lambda m: fields.bytes_of(m, "x"), ["AA==", 5], "x must be base64"),
        (lambda m: fields.bytes_of(m, "x"), {"a": 1}, "x must be base64"),
    ],
)
def test_invalid_fields_raise_one_line_errors(read, value, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        read({"x": value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[], "a", 1, None, True])
def test_a_message_must_be_an_object(value):
    with pytest.raises(ValueError, match="must be a JSON object"):
        fields.as_object(value)


@pytest.mark.parametrize("text", ["", "{", "nope", "[" * 100_000, '{"a": ' + "9" * 5000 + "}", b"\xff", b"\x00\x01"])
def test_invalid_json_is_refused(text):
    with pytest.raises(ValueError, match=r"^the message is not JSON$"):
        fields.read(text)


@given(anything("x"))
def test_any_value_is_read_or_refused(value):
    for read in READERS:
        reason = refusal_of(lambda message, read=read: read(message, "x"), {"x": value})
        assert reason is None or reason.startswith("x must be")


@given(st.dictionaries(st.text(), st.text()))
def test_a_message_is_written_in_one_line_and_round_trips(message):
    line = fields.write(message)
    assert "\n" not in line
    assert line.isascii()
    assert fields.read(line) == json.loads(json.dumps(message)) == message


def test_nan_is_not_written():
    with pytest.raises(ValueError):
        fields.write({"x": float("nan")})


@given(st.binary())
def test_base64_round_trips(data):
    assert fields.bytes_of({"x": fields.base64_of(data)}, "x") == data
