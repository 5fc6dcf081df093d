"""Messages of the Chatterbox document: written and parsed."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything, objects, refusal_of
from voice_cli.protocol import chatterbox as wire
from voice_cli.protocol.fields import BUSY, write

KEYS = (
    *("text", "voice_id", "preset", "output_format", "speed", "content", "flush", "audio", "chunk_index", "is_final"),
    *(
        "format",
        "sample_rate",
        "error",
        "code",
        "message",
        "text_end",
        "audio_ms",
        "total_ms",
        "total_chunks",
        "latency",
    ),
    *("chunks_in_sentence", "cancelled", "first_chunk_ms", "backend"),
)
TYPES = ("init", "text", "end", "cancel", "ready", "audio", "sentence_complete", "complete", "error", "other")
MESSAGES = st.one_of(anything("type", *KEYS), objects(TYPES, *KEYS))


def round_trip(message):
    return json.loads(write(message))


# Client messages.


@pytest.mark.parametrize(
    "request_",
    [
        wire.Synthesize("Hi"),
        wire.Synthesize("Hi", "ann", "fast", "pcm", 1.5),
        wire.Synthesize("Grüße 你好", "ann-1_b"),
    ],
)
def test_synthesize_requests_round_trip(request_):
    assert wire.parse_request(round_trip(request_.message())) == request_


@pytest.mark.parametrize(
    "message",
    [
        wire.Init(),
        wire.Init("ann", "adaptive", "wav", 0.5),
        wire.Text("Hello "),
        wire.Text("Hello.", flush=True),
        wire.Text(""),
    ],
)
def test_stream_messages_round_trip(message):
    assert wire.parse_stream_request(round_trip(message.message())) == message


def test_messages_without_fields_are_constants():
    assert wire.parse_stream_request({"type": "end"}) is wire.END
    assert wire.parse_stream_request({"type": "cancel"}) is wire.parse_request({"type": "cancel"}) is wire.CANCEL


def test_messages_of_the_documents_client_are_parsed():
    assert wire.parse_request({"text": "Hi", "voice_id": "ann", "preset": "balanced"}) == wire.Synthesize(
        "Hi", "ann", "balanced", "mulaw"
    )
    assert wire.parse_stream_request({"type": "init", "voice_id": "ann", "preset": "adaptive"}) == wire.Init(
        "ann", "adaptive"
    )
    assert wire.parse_stream_request({"content": "no type"}) == wire.Text("no type")


def test_unset_fields_are_not_sent():
    assert wire.Synthesize("Hi", "ann", "fast").message() == {
        "text": "Hi",
        "output_format": "mulaw",
        "voice_id": "ann",
        "preset": "fast",
    }
    assert wire.Text("Hi ").message() == {"type": "text", "content": "Hi "}
    assert wire.END == {"type": "end"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ([], "must be a JSON object"),
        ({}, "text is missing"),
        ({"text": "  "}, "text is missing"),
        ({"text": 5}, "text must be a string"),
        ({"text": "Hi", "voice_id": 5}, "voice_id must be a string"),
        ({"text": "Hi", "output_format": "mp3"}, "output_format must be one of mulaw, wav, pcm"),
        ({"text": "Hi", "speed": 9}, "speed must be from 0.25 to 4"),
    ],
)
def test_invalid_synthesize_requests_are_refused(message, reason):
    with pytest.raises(ValueError, match=reason):
        wire.parse_request(message)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (None, "must be a JSON object"),
        ({"type": "text"}, "content is missing"),
        ({"type": "text", "content": ["a"]}, "content must be a string"),
        ({"type": "text", "content": "a", "flush": "yes"}, "flush must be true or false"),
        ({"type": "init", "preset": 1}, "preset must be a string"),
        ({"type": "shout"}, "type must be one of"),
        ({"type": ["init"]}, "type must be one of"),
    ],
)
def test_invalid_stream_messages_are_refused(message, reason):
    with pytest.raises(ValueError, match=reason):
        wire.parse_stream_request(message)


# Server messages.


@pytest.mark.parametrize(
    ("message", "read"),
    [
        (wire.Ready("ann", "fast").message(), wire.Ready()),
        (wire.Ready("ann", "fast", supports_flush=False).message(), wire.Ready(supports_flush=False)),
        (wire.Audio(b"\x01\x02", 3, "pcm", 24_000).message(), wire.Audio(b"\x01\x02", 3, "pcm", 24_000)),
        (wire.Audio(b"\x01\x02", 3, "mulaw", 8000).stream_message(), wire.Audio(b"\x01\x02", 3, "mulaw", 8000)),
        (wire.SentenceComplete(4).message(), wire.SentenceComplete()),
        (wire.SentenceComplete(4, 17, 120.5).message(), wire.SentenceComplete(text_end=17)),
        (wire.Complete(4, 12.5, 3.0, {"generation": 9.0}, "espeak").message(), wire.Complete()),
        (wire.Complete(4, 12.5).stream_message(), wire.Complete()),
        (wire.Failure("no such voice").message(), wire.Failure("no such voice")),
        (wire.Failure("busy", BUSY).stream_message(), wire.Failure("busy", BUSY)),
    ],
)
def test_server_messages_are_parsed(message, read):
    assert wire.parse_answer(round_trip(message)) == read


def test_server_messages_have_the_documents_fields():
    assert wire.Audio(b"a", 3, "mulaw", 8000).message() == {
        "audio": "YQ==",
        "chunk_index": 3,
        "is_final": False,
        "format": "mulaw",
        "sample_rate": 8000,
    }
    assert wire.Audio(b"a", 3, "mulaw", 8000).stream_message() == {
        "type": "audio",
        "audio": "YQ==",
        "chunk_index": 3,
        "format": "mulaw",
        "sample_rate": 8000,
    }
    assert wire.Complete(7, 40, 5, {"generation": 30.0}, "espeak").message() == {
        "audio": None,
        "chunk_index": 7,
        "is_final": True,
        "first_chunk_ms": 5,
        "total_ms": 40,
        "total_chunks": 7,
        "total_mulaw_chunks": 7,
        "latency": {"generation": 30.0},
        "backend": "espeak",
    }
    assert wire.Complete(7, 40, 5, {"generation": 30.0}, cancelled=True, is_mulaw=False).stream_message() == {
        "type": "complete",
        "total_chunks": 7,
        "total_ms": 40,
        "first_chunk_ms": 5,
        "latency": {"generation": 30.0},
        "cancelled": True,
    }
    assert wire.Complete(7, 40, cancelled=True, is_mulaw=False).message() == {
        "audio": None,
        "chunk_index": 7,
        "is_final": True,
        "first_chunk_ms": None,
        "total_ms": 40,
        "total_chunks": 7,
        "total_mulaw_chunks": 0,
        "latency": {},
        "cancelled": True,
    }
    assert wire.Ready("ann", "fast").message() == {
        "type": "ready",
        "voice_id": "ann",
        "preset": "fast",
        "message": "Voice loaded, send text tokens",
        "flush": True,
    }
    assert wire.SentenceComplete(2, 17, 120.5).message() == {
        "type": "sentence_complete",
        "chunks_in_sentence": 2,
        "text_end": 17,
        "audio_ms": 120.5,
    }
    assert wire.Complete(7, 40).stream_message() == {"type": "complete", "total_chunks": 7, "total_ms": 40}
    assert wire.SentenceComplete(2).message() == {"type": "sentence_complete", "chunks_in_sentence": 2}
    assert wire.Failure("x").message() == {"error": "x"}
    assert wire.Failure("x").stream_message() == {"type": "error", "error": "x"}


def test_audio_may_be_a_list_of_frames_or_one_string():
    frame = base64.b64encode(b"a" * 160).decode()
    assert wire.parse_answer({"audio": [frame, frame], "format": "mulaw"}).data == b"a" * 320
    assert wire.parse_answer({"audio": "UklGRg==", "format": "wav"}).data == b"RIFF"


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"error": "x"}, "x"),
        ({"type": "error", "error": "x"}, "x"),
        ({"type": "error", "message": "x"}, "x"),
        ({"error": {"message": "x"}}, "x"),
        ({"type": "error", "error": {"message": 5}}, ""),
        ({"type": "error"}, ""),
    ],
)
def test_errors_of_every_shape_are_parsed(message, error):
    assert wire.parse_answer(message) == wire.Failure(error)


def test_audio_without_a_format_is_mulaw():
    assert wire.parse_answer({"audio": "YQ=="}) == wire.Audio(b"a", 0, "mulaw", 8000)
    assert wire.parse_answer({"audio": "YQ==", "format": "wav"}) == wire.Audio(b"a", 0, "wav", 24_000)


@pytest.mark.parametrize("message", [{}, {"type": "pong"}, {"audio": None}, {"audio": "", "is_final": False}])
def test_messages_without_content_are_ignored(message):
    assert wire.parse_answer(message) is None


@given(MESSAGES)
def test_any_message_is_parsed_or_refused_in_one_line(message):
    for parse in (wire.parse_request, wire.parse_stream_request, wire.parse_answer):
        reason = refusal_of(parse, message)
        assert reason is None or (reason and "\n" not in reason)


# The buffer of the document's server.


@pytest.mark.parametrize(
    ("contents", "spoken"),
    [
        (["Hello there, Ann. "], [True]),
        (["Hi. ", "It is Ann. "], [False, True]),
        (["Well, then it is "], [False]),
        (["Well, then it is so very long "], [True]),
        (["A comma at the end of it,"], [False]),
        (["Hello there, Ann.", " ", "And "], [True, False, False]),
        (["a" * 300], [False]),
        (["It was at 3.", "30 pm "], [False, False]),
        (["The train was at 3.", "30 pm "], [True, False]),
        (["你好。" * 20], [False]),
        (["Is it over?\n\n"], [False]),
        (["Is it all over?\n\n"], [True]),
    ],
)
def test_the_buffer_reports_when_text_is_spoken(contents, spoken):
    buffer = wire.DocumentBuffer()
    assert [buffer.add(content) for content in contents] == spoken
