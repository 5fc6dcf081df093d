"""The file of what runs have learned: sections, damaged files, and several processes."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.state_file import limited, read_section, state_path, update_section


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state" / "learned.json")


def test_an_entry_is_stored_in_its_section(path):
    update_section(path, "backends", lambda entries: entries.update(one=1))
    update_section(path, "devices", lambda entries: entries.update(two=2))
    assert read_section(path, "backends") == {"one": 1}
    assert read_section(path, "devices") == {"two": 2}


def test_without_a_change_nothing_is_written(path):
    update_section(path, "backends", lambda entries: entries.pop("none", None))
    assert not os.path.exists(os.path.dirname(path))


def test_a_change_sees_what_another_process_has_stored_meanwhile(path):
    calls = []

    def change(entries):
        if not calls:
            update_section(path, "backends", lambda others: others.update(other=1))
        calls.append(dict(entries))
        entries["mine"] = 1

    update_section(path, "backends", change)
    assert calls == [{}, {"other": 1}]
    assert read_section(path, "backends") == {"other": 1, "mine": 1}


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path):
    (tmp_path / "state").write_text("a file")
    path = str(tmp_path / "state" / "learned.json")
    update_section(path, "backends", lambda entries: entries.update(one=1))
    assert read_section(path, "backends") == {}


def _count(path, name):
    for _ in range(20):
        update_section(path, "backends", lambda entries: entries.update({name: entries.get(name, 0) + 1}))
        update_section(path, "backends", lambda entries: entries.update(all=entries.get("all", 0) + 1))


@pytest.mark.skipif(os.name == "nt", reason="no flock(2): the last writer wins")
def test_processes_lose_no_update_of_one_another(path):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count, args=(path, str(number))) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert read_section(path, "backends") == {"0": 20, "1": 20, "2": 20, "all": 60}


@given(
    st.binary()
    | st.from_type(type(None) | bool | int | str | list[int] | dict[str, int]).map(json.dumps).map(str.encode)
)
def test_a_damaged_file_counts_as_empty_and_is_replaced(tmp_path_factory, data):
    path = Path(tmp_path_factory.getbasetemp() / "damaged.json")
    path.write_bytes(data)
    assert isinstance(read_section(str(path), "backends"), dict)
    update_section(str(path), "backends", lambda entries: entries.update(one=1))
    assert read_section(str(path), "backends")["one"] == 1


def test_limited():
    assert [limited(value, 1.0, 2.0) for value in (0, 1.5, 9, None, "2", True, [2])] == [1, 1.5, 2, 1, 1, 1, 1]


def test_path_in_the_users_state_folder():
    assert state_path({"XDG_STATE_HOME": "/state"}) == os.path.join("/state", "voice", "learned.json")
