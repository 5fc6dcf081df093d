"""The VibeVoice demo's messages: written and parsed."""

import json
import re
import time
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything, refusal_of
from voice_cli.protocol import vibevoice as wire
from voice_cli.protocol.fields import write


def parameters_of(path):
    return {name: values[0] for name, values in parse_qs(urlsplit(path).query, keep_blank_values=True).items()}


@given(
    st.builds(
        wire.Query,
        st.text(st.characters(codec="utf-8")),
        st.none() | st.floats(0.01, 10).map(lambda cfg: float(f"{cfg:g}")),
        st.none() | st.integers(1, 100),
        st.none() | st.text(st.characters(codec="utf-8"), min_size=1),
    )
)
def test_queries_round_trip(query):
    path = query.path()
    assert path.isascii()
    assert path.startswith("/stream?text=")
    assert wire.parse_query(parameters_of(path)) == query


def test_unset_parameters_are_omitted_and_lone_surrogates_replaced():
    assert wire.Query("a b").path() == "/stream?text=a+b"
    assert wire.Query("half a \ud83d").path() == "/stream?text=half+a+%3F"


@pytest.mark.parametrize("cfg", ["", "x", "-1", "0", "nan", "inf"])
@pytest.mark.parametrize("steps", ["", "x", "-1", "0", "1.5", "٣", "9" * 20])
def test_invalid_numbers_are_ignored(cfg, steps):
    assert wire.parse_query({"text": "Hi", "cfg": cfg, "steps": steps, "voice": ""}) == wire.Query("Hi")


def test_log_entries_round_trip():
    message = wire.Log(wire.MODEL_PROGRESS, {"generated_sec": 0.1}).message()
    assert wire.parse_log(json.loads(write(message))) == wire.Log("model_progress", {"generated_sec": 0.1})
    timestamp = message.pop("timestamp")
    assert message == {"type": "log", "event": "model_progress", "data": {"generated_sec": 0.1}}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", timestamp)
    assert abs(datetime.fromisoformat(f"{timestamp}Z").timestamp() - time.time()) < 60


@pytest.mark.parametrize("message", [{}, {"type": "log"}, {"event": 5}, {"type": "done", "reason": "cancel"}])
def test_messages_other_than_log_entries_are_ignored(message):
    assert wire.parse_log(message) is None


def test_voices_are_read_from_the_config():
    assert wire.voices_in({"voices": ["a", "b"], "default_voice": "b"}) == ["a", "b"]


@pytest.mark.parametrize("message", [{}, [], {"voices": "a"}, {"voices": [{"id": "a"}]}, {"voices": None}])
def test_a_config_without_voices_is_refused(message):
    with pytest.raises(ValueError):
        wire.voices_in(message)


@given(anything("type", "event", "data", "message", "voices", "default_voice"))
def test_any_message_is_parsed_or_refused_in_one_line(message):
    for parse in (wire.parse_log, wire.voices_in):
        reason = refusal_of(parse, message)
        assert reason is None or (reason and "\n" not in reason)


@given(st.dictionaries(st.sampled_from(["text", "cfg", "steps", "voice"]), st.text()))
def test_any_parameters_are_parsed(parameters):
    query = wire.parse_query(parameters)
    assert query.cfg is None or query.cfg > 0
    assert query.steps is None or query.steps > 0
