"""The clock, the disks and the terminal."""

import errno
import io
import os
import shutil
import time
from pathlib import Path

import pytest

import voice_cli
from support.literals import literals
from voice_cli.doctor import machine
from voice_cli.doctor.finding import BROKEN, OK, WARNING
from voice_cli.doctor.machine import PRINTED, check_clock, check_disks, check_terminal


@pytest.fixture
def folders(tmp_path):
    names = ("CONFIG", "STATE", "DATA", "CACHE")
    return {f"XDG_{name}_HOME": str(tmp_path / name / "below") for name in names}


def test_a_clock_that_was_reset_is_found():
    assert check_clock().state == OK
    found = check_clock(now=0.0)
    assert found.state == BROKEN
    assert "1970-01-01 00:00 UTC" in found.found
    assert found.remedy
    assert check_clock(now=time.time() + 1e9).state == OK


def test_disks_with_room_are_one_finding_and_nothing_is_left(folders, tmp_path):
    (found,) = check_disks(folders)
    assert found.state == OK
    assert set(found.details["free_bytes"]) == {"config", "state", "data", "cache"}
    assert os.listdir(tmp_path) == []


def test_little_room_is_a_warning(folders, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 95, 5 << 20))
    assert [found.state for found in check_disks(folders)] == 4 * [WARNING]


@pytest.mark.parametrize(
    ("code", "words", "states"),
    [
        (errno.ENOSPC, "is full", 4 * [BROKEN]),
        (errno.EROFS, "cannot write", 4 * [WARNING]),
    ],
)
def test_a_folder_that_cannot_be_written(folders, monkeypatch, code, words, states):
    monkeypatch.setattr(machine, "_write_error", lambda _: OSError(code, os.strerror(code)))
    found = list(check_disks(folders))
    assert [each.state for each in found] == states
    assert all(words in each.found for each in found)
    assert "XDG_DATA_HOME" in found[2].remedy


def test_a_file_instead_of_a_folder(folders, tmp_path):
    (tmp_path / "STATE").write_text("x")
    (found,) = check_disks(folders)
    assert (found.check, found.state) == ("disk (state)", WARNING)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_terminal_that_has_the_characters(encoding):
    found = check_terminal(io.TextIOWrapper(io.BytesIO(), encoding), {"TERM": "xterm"})
    assert (found.state, found.found) == (OK, f"{encoding}, xterm")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437"])
def test_a_terminal_that_lacks_characters(encoding):
    found = check_terminal(io.TextIOWrapper(io.BytesIO(), encoding), {})
    assert found.state == WARNING
    assert encoding in found.found
    assert found.found.isascii()
    assert "UTF-8" in found.remedy


def test_other_terminals():
    stream = io.TextIOWrapper(io.BytesIO(), "utf-8")
    assert "no colors" in check_terminal(stream, {"TERM": "dumb"}).found
    assert "NO_COLOR" in check_terminal(stream, {"TERM": "xterm", "NO_COLOR": "1"}).found
    assert check_terminal(None).state == OK


def test_the_characters_are_those_that_are_printed():
    """Without the samples of voices, which are texts."""
    folder = Path(voice_cli.__file__).parent
    modules = [*(folder / "cli").glob("*.py"), folder / "bench" / "terminal.py"]
    strings = [each for path in modules if path.name not in ("voices.py", "config_edit.py") for each in literals(path)]
    assert {character for string in strings for character in string if not character.isascii()} <= set(PRINTED)
