"""Twilio's messages: documented and invalid ones."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything, refusal_of
from support.twilio import MEDIA, start_message
from voice_cli.protocol import twilio as wire

KEYS = ("event", "start", "streamSid", "callSid", "customParameters", "mediaFormat", "encoding", "sampleRate", "mark")
EVENTS = ("connected", "start", "media", "mark", "dtmf", "stop", "new")


def test_a_start_message_is_parsed():
    message = start_message("MZ1", {"FirstName": "Jane", "RemoteParty": "Bob"})
    assert wire.parse(message) == wire.Start(
        "MZ1", "CA00000000000000000000000000000000", {"FirstName": "Jane", "RemoteParty": "Bob"}
    )


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"event": "connected", "protocol": "Call", "version": "1.0.0"}, None),
        ({"event": "media", "sequenceNumber": "4", "media": {"track": "inbound", "payload": "no+J"}}, None),
        ({"event": "mark", "sequenceNumber": "4", "streamSid": "MZ1", "mark": {"name": "mine"}}, wire.Mark("mine")),
        ({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"track": "inbound_track", "digit": "1"}}, wire.Dtmf("1")),
        ({"event": "stop", "sequenceNumber": "5", "stop": {"accountSid": "AC1", "callSid": "CA1"}}, wire.Stop()),
        ({"event": "something new"}, None),
        ({"event": "start", "streamSid": "MZ1", "start": {}}, wire.Start("MZ1")),
        ({"event": "start", "start": {"streamSid": "MZ1", "customParameters": None}}, wire.Start("MZ1")),
        ({"event": "start", "start": {"streamSid": "MZ1", "customParameters": {"n": 3}}}, wire.Start("MZ1")),
    ],
)
def test_documented_messages_are_parsed(message, expected):
    assert wire.parse(message) == expected


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "a message must be a JSON object"),
        ({}, "event is missing"),
        ({"event": 3}, "event is missing"),
        ({"event": "start"}, "a message must be a JSON object"),
        ({"event": "start", "start": {}}, "streamSid is missing"),
        ({"event": "start", "start": {"streamSid": 3}}, "streamSid must be a string"),
        (start_message("MZ1", {}, {**MEDIA, "encoding": "audio/x-l16"}), "the stream must be audio/x-mulaw at 8000 Hz"),
        (start_message("MZ1", {}, {**MEDIA, "sampleRate": 16_000}), "the stream must be audio/x-mulaw at 8000 Hz"),
        ({"event": "mark"}, "a message must be a JSON object"),
        ({"event": "mark", "mark": {"name": 3}}, "name must be a string"),
    ],
)
def test_invalid_messages_are_refused(message, reason):
    assert refusal_of(wire.parse, message) == reason


@given(
    st.one_of(
        anything(*KEYS),
        st.builds(
            lambda event, more: {**more, "event": event},
            st.sampled_from(EVENTS),
            st.dictionaries(st.sampled_from(KEYS), anything(*KEYS), max_size=6),
        ),
    )
)
def test_any_message_is_parsed_or_refused_in_one_line(value):
    reason = refusal_of(wire.parse, value)
    assert reason is None or (reason and "\n" not in reason)


@given(st.binary(max_size=400))
def test_sent_messages_have_the_documented_shape(data):
    assert wire.Media(data).message("MZ1") == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": base64.b64encode(data).decode()},
    }
    assert wire.Mark("mine").message("MZ1") == {"event": "mark", "streamSid": "MZ1", "mark": {"name": "mine"}}
    assert wire.Clear().message("MZ1") == {"event": "clear", "streamSid": "MZ1"}


def test_a_frame_is_20_ms():
    assert wire.FRAME_SECONDS == 0.02
