"""vLLM-omni's messages: written and parsed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything, objects, refusal_of
from voice_cli.protocol import omni as wire
from voice_cli.protocol.fields import BUSY, write

KEYS = (
    *("voice", "speaker", "model", "instructions", "response_format", "speed", "stream_audio", "word_timestamps"),
    *("split_granularity", "text", "utterance_index", "sentence_index", "sentence_text", "format", "sample_rate"),
    *(
        "channels",
        "chunk_id",
        "audio_b64",
        "timestamps",
        "word",
        "start_ms",
        "end_ms",
        "total_bytes",
        "error",
        "message",
    ),
)
TYPES = (
    *("session.config", "input.text", "input.done", "input.commit", "session.close"),
    *("audio.start", "audio.chunk", "audio.done", "session.done", "error", "other"),
)
MESSAGES = st.one_of(anything("type", *KEYS), objects(TYPES, *KEYS))


@pytest.mark.parametrize(
    "message",
    [
        wire.SessionConfig(),
        wire.SessionConfig("pcm", True, True, "clause", "ann", "m", "gently", 1.5),
        wire.InputText("Hello "),
        wire.InputText(""),
    ],
)
def test_client_messages_round_trip(message):
    assert wire.parse_request(json.loads(write(message.message()))) == message


def test_messages_without_fields_are_constants():
    assert wire.parse_request({"type": "input.done"}) is wire.INPUT_DONE
    assert wire.parse_request({"type": "input.commit"}) is wire.INPUT_COMMIT
    assert wire.parse_request({"type": "session.close"}) is wire.SESSION_CLOSE


INDEXES = {"utterance_index": 1, "sentence_index": 2}
CHUNK = {"type": "audio.chunk", **INDEXES, "chunk_id": 3, "sample_rate": 24_000, "channels": 1}


@pytest.mark.parametrize(
    ("message", "expected", "read"),
    [
        (
            wire.AudioStart(1, 2, "Hello."),
            {"type": "audio.start", **INDEXES, "sentence_text": "Hello.", "format": "wav"},
            wire.AudioStart(0, 0, ""),
        ),
        (
            wire.AudioStart(1, 2, "Hello.", "pcm", 22_050, 2, word_timestamps=True),
            {
                "type": "audio.start",
                **INDEXES,
                "sentence_text": "Hello.",
                "format": "pcm",
                "sample_rate": 22_050,
                "channels": 2,
                "word_timestamps": True,
            },
            wire.AudioStart(0, 0, "", "pcm", 22_050, 2),
        ),
        (
            wire.AudioChunk(1, 2, 3, b"ab", 24_000, 1, 10, 20.5),
            {**CHUNK, "chunk_start_ms": 10, "chunk_end_ms": 20.5, "audio_b64": "YWI=", "timestamps": None},
            wire.AudioChunk(0, 0, 0, b"ab", 24_000),
        ),
        (
            wire.AudioChunk(1, 2, 3, b"", 24_000, 1, 0, 90, [wire.WordTime("Hello", 5, 60.5)]),
            {
                **CHUNK,
                "chunk_start_ms": 0,
                "chunk_end_ms": 90,
                "audio_b64": "",
                "timestamps": [{"word": "Hello", "start_ms": 5, "end_ms": 60.5}],
            },
            wire.AudioChunk(0, 0, 0, b"", 24_000, timestamps=[wire.WordTime("Hello", 5, 60.5)]),
        ),
        (
            wire.AudioDone(1, 2, 4800),
            {"type": "audio.done", **INDEXES, "total_bytes": 4800, "error": False},
            wire.AudioDone(0, 0, 4800),
        ),
        (
            wire.AudioDone(1, 2, 0, error=True),
            {"type": "audio.done", **INDEXES, "total_bytes": 0, "error": True},
            wire.AudioDone(0, 0, 0, error=True),
        ),
        (
            wire.SessionDone(1, 2),
            {"type": "session.done", "utterance_index": 1, "total_sentences": 2},
            wire.SessionDone(0, 0),
        ),
        (wire.Failure("no"), {"type": "error", "message": "no"}, wire.Failure("no")),
        (
            wire.Failure("no", partial_audio=True),
            {"type": "error", "message": "no", "partial_audio": True, "action": "discard"},
            wire.Failure("no"),
        ),
        (
            wire.Failure("no", code=BUSY),
            {"type": "error", "message": "no", "code": "rate_limit_exceeded"},
            wire.Failure("no", code=BUSY),
        ),
    ],
)
def test_server_messages_are_written_and_parsed(message, expected, read):
    assert message.message() == expected
    assert wire.parse_answer(json.loads(write(message.message()))) == read


def test_speaker_is_an_alias_of_voice():
    assert wire.parse_request({"type": "session.config", "speaker": "vivian"}) == wire.SessionConfig(voice="vivian")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("x", "must be a JSON object"),
        ({}, "type must be one of"),
        ({"type": "session.config", "response_format": "midi"}, "response_format must be one of"),
        ({"type": "session.config", "split_granularity": "word"}, "split_granularity must be one of none"),
        ({"type": "session.config", "stream_audio": "yes"}, "stream_audio must be true or false"),
        ({"type": "session.config", "speed": 0}, "speed must be from 0.25 to 4"),
        ({"type": "input.text", "text": 5}, "text must be a string"),
    ],
)
def test_invalid_messages_are_refused(message, reason):
    with pytest.raises(ValueError, match=reason):
        wire.parse_request(message)


def test_words_without_valid_times_are_skipped():
    times = [
        {"word": "a", "start_ms": 1},
        {"word": "b"},
        {"word": 5, "start_ms": 1},
        "c",
        {"word": "d", "start_ms": -1},
        {"word": "", "start_ms": 1},
        {"word": "e", "start_ms": 2, "end_ms": 3},
    ]
    chunk = wire.parse_answer({"type": "audio.chunk", "audio_b64": "", "timestamps": times})
    assert chunk.timestamps == [wire.WordTime("a", 1, 1), wire.WordTime("e", 2, 3)]
    assert wire.parse_answer({"type": "audio.chunk", "timestamps": None}).timestamps is None


@pytest.mark.parametrize(
    "message",
    [{"type": "error", "message": "x"}, {"type": "error", "error": {"message": "x"}}, {"type": "error", "error": "x"}],
)
def test_errors_of_every_shape_are_parsed(message):
    assert wire.parse_answer(message) == wire.Failure("x")


@given(MESSAGES)
def test_any_message_is_parsed_or_refused_in_one_line(message):
    for parse in (wire.parse_request, wire.parse_answer):
        reason = refusal_of(parse, message)
        assert reason is None or (reason and "\n" not in reason)
