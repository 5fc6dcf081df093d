"""The target of a run, its report without secrets, and its trace."""

import pytest

from support.runs import failed, target
from voice_cli.bench import trace
from voice_cli.bench.runs import Target, clean, known_secrets
from voice_cli.config import Config, Profile, settle
from voice_cli.playback.curve import Point
from voice_cli.playback.timeline import Timeline


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("Incorrect API key provided: sk-proj-1234abcd", "Incorrect API key provided: …"),
        ("Bearer abc was refused", "Bearer … was refused"),
        ("base_url 'ftp://user:pass@host/v1' is none", "base_url 'ftp://…@host/v1' is none"),
        ("token 0123456789abcdef0123456789abcdef is wrong", "token … is wrong"),
        ("my own secret is wrong", "… is wrong"),
        ("$AZURE_OPENAI_API_KEY, which it names, is not set", "$AZURE_OPENAI_API_KEY, which it names, is not set"),
        ("nothing answers at 127.0.0.1:9", "nothing answers at 127.0.0.1:9"),
    ],
)
def test_secrets_are_removed_from_errors(words, left):
    error = clean(failed(message=words, hint=words).report, ["my own secret"])["error"]
    assert (error["message"], error["hint"]) == (left, left)


def test_known_secrets_are_the_keys_of_profiles_and_openai():
    environment = {"OPENAI_API_KEY": "one", "MINE": "another", "OTHER": "public"}
    assert set(known_secrets([Profile(api_key_env="MINE"), Profile()], environment)) == {"one", "another"}


def test_a_server_is_shown_without_credentials_and_path():
    assert target().where == "localhost:8880"
    assert target(url=None).where == "api.openai.com"
    assert Target("e", {}, settle(Config(""), {"backend": "espeak"}, {})).where == ""


def test_a_trace_goes_to_the_file_that_the_environment_names(tmp_path, monkeypatch):
    path = tmp_path / "trace.json"
    monkeypatch.setenv(trace.TRACE_ENV, str(path))
    timeline = trace.TracedTimeline()
    assert isinstance(timeline, Timeline)
    timeline.mark("process_start", 1.0)
    timeline.arrivals.append((2.0, 0.5))
    assert timeline.metrics(None) == Timeline(timestamps={"process_start": 1.0}).metrics(None)
    assert trace.read(str(path)) == trace.Trace({"process_start": 0.0}, [Point(1.0, 0.5, None)], [], [])


def test_a_trace_that_cannot_be_written_is_ignored(tmp_path, monkeypatch):
    monkeypatch.setenv(trace.TRACE_ENV, str(tmp_path / "none" / "trace.json"))
    trace.TracedTimeline().metrics(None)
    assert trace.read(str(tmp_path / "none" / "trace.json")) == trace.Trace()
