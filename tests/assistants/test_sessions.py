"""The file of sessions."""

import json
import os
import stat
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.json_values import anything
from voice_cli.assistants import sessions
from voice_cli.assistants.sessions import MOST, Session, State, change, read
from voice_cli.errors import FileError, UsageError


def test_a_change_is_kept(tmp_path):
    path = str(tmp_path / "new" / "assistants.json")
    assert read(path) == State()

    def edit(state):
        state.sessions["a"] = Session("codex", "/x", 5, 4.5, muted=True, voice="en-us")
        return "result"

    assert change(path, edit) == "result"
    assert read(path) == State(sessions={"a": Session("codex", "/x", 5, 4.5, muted=True, voice="en-us")})
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


@given(
    data=st.one_of(st.binary(max_size=50), anything("muted", "sessions", "seen").map(lambda v: json.dumps(v).encode()))
)
def test_a_damaged_file_is_like_an_empty_one(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(data)
    state = read(str(path))
    change(str(path), lambda state: state.sessions.setdefault("a", Session()))
    assert set(read(str(path)).sessions) == {*list(state.sessions)[-MOST:], "a"}


@pytest.mark.parametrize("seen", [True, -1, 1e300, "1"])
def test_values_of_another_type_are_dropped(tmp_path, seen):
    (tmp_path / "s").write_text(json.dumps({"sessions": {"a": {"seen": seen, "muted": 1, "voice": "v"}, "b": 3}}))
    assert read(str(tmp_path / "s")).sessions == {"a": Session(voice="v"), "b": Session()}


def test_the_oldest_sessions_are_dropped(tmp_path):
    path = str(tmp_path / "s")
    change(path, lambda state: state.sessions.update({str(i): Session(seen=i) for i in range(MOST + 5)}))
    assert set(read(path).sessions) == {str(i) for i in range(5, MOST + 5)}


def test_a_session_is_named_by_its_beginning():
    state = State(sessions={"abc": Session(), "abd": Session(), "ab": Session()})
    assert state.named("abc") == "abc"
    assert state.named("ab") == "ab"
    for start, words in (("a", "3 sessions"), ("x", "no sessions")):
        with pytest.raises(UsageError, match=words):
            state.named(start)


def test_processes_that_change_the_file_do_not_lose_changes(tmp_path):
    path = str(tmp_path / "s")
    program = (
        "import sys; from voice_cli.assistants.sessions import Session, change\n"
        "for i in range(10): change(sys.argv[1], lambda s: s.sessions.setdefault(f'{sys.argv[2]}-{i}', Session()))"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, path, str(number)]) for number in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    assert len(read(path).sessions) == 40
    assert sorted(os.listdir(tmp_path)) == ["s", "s.lock"]


def test_a_folder_that_cannot_exist_is_an_error():
    with pytest.raises(FileError, match="cannot write"):
        change(os.path.join(os.devnull, "voice", "s"), lambda state: None)


def test_the_path_is_in_the_state_folder():
    assert sessions.state_path({"XDG_STATE_HOME": "/s"}).endswith("/voice/assistants.json")
