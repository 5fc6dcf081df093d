"""The history's file: its limit, its modes, and what cannot be read or written."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given

from support.command import run_voice
from support.json_values import anything
from voice_cli.cli.history import KEPT, SECTION, entries_of, history_path, remember, repeated
from voice_cli.cli.options import SayOptions
from voice_cli.config import Config, settle

OPTIONS = SayOptions(text=("Hello",), voice="a", save="x.wav", json=True, events=True, interrupt=True, speed=1.5)


def settings(**values):
    return settle(Config("config.toml"), {"backend": "http", **values}, {})


def narration(*keys, text="Hello"):
    utterances = [
        SimpleNamespace(stream=SimpleNamespace(cache_key=key), line=SimpleNamespace(pause=1.0)) for key in keys
    ]
    return SimpleNamespace(utterances=utterances, text=lambda: text)


def account(outcome="complete"):
    error = None if outcome == "complete" else {"exit_code": 130}
    return {"json": {"outcome": outcome, "error": error, "backend": "http", "audio_ms": 1.0, "heard_ms": 1.0}}


@pytest.fixture
def environment(tmp_path):
    return {"XDG_STATE_HOME": str(tmp_path)}


def test_the_last_one_is_first_and_the_oldest_is_dropped(environment):
    numbers = [remember(settings(), OPTIONS, narration("k"), account(), environment) for _ in range(KEPT + 3)]
    assert list(entries_of(history_path(environment))) == numbers[:2:-1]


@pytest.mark.parametrize("mode", ["ids", "texts", "off"])
def test_what_is_kept(environment, mode):
    number = remember(settings(history=mode), OPTIONS, narration("k", "l"), account(), environment)
    entries = entries_of(history_path(environment))
    assert set(entries) == (set() if mode == "off" else {number})
    if number is not None:
        entry = entries[number]
        assert entry["utterances"] == [["k", 1.0], ["l", 1.0]]
        assert ("text" in entry) == (mode == "texts")
        assert not number.isdecimal()


@pytest.mark.parametrize(("keys", "outcome"), [(("k", ""), "complete"), (("k",), "cancelled")])
def test_the_keys_of_a_part_are_not_kept(environment, keys, outcome):
    number = remember(settings(), OPTIONS, narration(*keys), account(outcome), environment)
    assert "utterances" not in entries_of(history_path(environment))[number]


def test_options_of_one_run_are_not_repeated():
    kept = {name for name, value in repeated(OPTIONS).items() if value}
    assert kept == {"voice", "speed"}


@given(anything("time", "heard_ms", "text", "utterances"))
def test_any_content_of_the_file_is_listed(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("state")
    (folder / "voice").mkdir()
    path = folder / "voice" / "history.json"
    path.write_text(json.dumps({SECTION: tree}))
    assert all(isinstance(entry, dict) for entry in entries_of(str(path)).values())


@pytest.mark.parametrize("entry", [{}, {"time": "x", "heard_ms": None, "text": 5}, {"utterances": [["k", 1.0]]}, 7])
def test_odd_entries_are_printed_and_cannot_be_replayed(tmp_path, entry):
    (tmp_path / "state" / "voice").mkdir(parents=True)
    (tmp_path / "state" / "voice" / "history.json").write_text(json.dumps({SECTION: {"s1": entry}}))
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert run_voice("history", folder=tmp_path, environment=environment).out.split(b"\t")[1] == b"s1"
    done = run_voice("replay", folder=tmp_path, environment=environment)
    assert (done.code, "is not kept" in done.err) == (2, True)


def test_without_a_history_and_an_agent(tmp_path):
    assert run_voice("history", folder=tmp_path).out == b""
    done = run_voice("replay", folder=tmp_path)
    assert (done.code, done.line) == (2, "the history is empty, and the agent has no such speech")
