"""The cache's files: what is read back, what counts as missing, the limit, permissions, several processes."""

import contextlib
import os
import stat
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import WordEvent
from voice_cli.kept_files import STALE_SECONDS
from voice_cli.speech.cache import Cache, Entry, parse, serialized

ENTRY = Entry(Encoding("pcm", AudioFormat(24_000, 1)), False, (WordEvent(0, 5, 0.25),), b"\1\2" * 100)
KEY = "a" * 64


@pytest.fixture
def cache(tmp_path):
    return Cache(str(tmp_path / "cache" / "speech"), 100_000)


def of_size(size):
    """Return an entry whose file has so many bytes."""
    rest = size - len(serialized(ENTRY._replace(data=b"x" * size))) + size
    entry = ENTRY._replace(data=b"x" * rest)
    assert len(serialized(entry)) == size
    return entry


@given(
    st.builds(
        Entry,
        st.builds(
            Encoding,
            st.none() | st.sampled_from(["pcm", "wav", "opus", "mp3", "aac", "flac"]),
            st.none() | st.builds(AudioFormat, st.integers(1, 768_000), st.integers(1, 16)),
            st.sampled_from(["s16le", "f32le"]),
            st.just(""),
        ),
        st.booleans(),
        st.lists(
            st.builds(
                WordEvent,
                st.integers(0, 10**6),
                st.integers(0, 1000),
                st.floats(0, 1e6, allow_nan=False),
                st.booleans(),
            )
        ).map(tuple),
        st.binary(),
    )
)
def test_an_entry_is_read_back(entry):
    assert parse(serialized(entry)) == entry


@given(st.binary(), st.integers(0, 400), st.integers(1, 255))
def test_a_damaged_file_is_not_valid(junk, at, change):
    content = bytearray(serialized(ENTRY))
    for damaged in (junk, content[: at % len(content)], content + b"\0"):
        with pytest.raises(ValueError):
            parse(bytes(damaged))
    content[at % len(content)] ^= change
    with contextlib.suppress(ValueError):
        assert parse(bytes(content)) == ENTRY, "only another spelling of the same number may be accepted"


def test_a_damaged_file_counts_as_missing_and_is_replaced(cache):
    assert cache.read(KEY) is None
    assert cache.write(KEY, ENTRY)
    path = os.path.join(cache.folder, KEY)
    with open(path, "r+b") as file:
        file.truncate(50)
    assert cache.read(KEY) is None
    assert cache.write(KEY, ENTRY)
    assert cache.read(KEY) == ENTRY


@pytest.mark.skipif(sys.platform == "win32", reason="no permissions of this kind")
def test_only_the_user_may_read_it(cache):
    os.makedirs(cache.folder, 0o777)
    os.chmod(cache.folder, 0o777)
    before = os.umask(0)
    try:
        assert cache.write(KEY, ENTRY)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(cache.folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(os.path.join(cache.folder, KEY)).st_mode) == 0o600


def test_what_was_not_used_for_the_longest_time_is_deleted(cache):
    for number in range(5):
        assert cache.write(f"{number}", of_size(20_000))
        os.utime(os.path.join(cache.folder, f"{number}"), (number, number))
    assert cache.read("0") is not None, "reading is a use"
    cache.write("5", of_size(20_000))
    cache.trim()
    assert sorted(os.listdir(cache.folder)) == ["0", "2", "3", "4", "5"]
    assert cache.usage().size <= cache.limit


def test_an_utterance_that_is_too_large_is_not_stored(cache):
    assert not cache.write(KEY, of_size(cache.largest + 1))
    assert cache.write(KEY, of_size(cache.largest))


def test_a_long_speech_does_not_exceed_the_limit_much(cache):
    for number in range(100):
        cache.write(f"{number}", of_size(5_000))
        assert cache.usage().size <= cache.limit + cache.limit // 16 + 5_000


def test_a_file_of_a_process_that_died_is_deleted(cache):
    cache.write(KEY, ENTRY)
    old, new = (os.path.join(cache.folder, f".{name}") for name in ("old", "new"))
    for path in (old, new):
        with open(path, "wb") as file:
            file.write(b"part")
    os.utime(old, (time.time() - STALE_SECONDS - 60,) * 2)
    assert cache.usage().files == 1
    assert not os.path.exists(old)
    assert os.path.exists(new)


@pytest.mark.parametrize("folder", ["/dev/null/speech", "/dev/full/speech", "file/speech"])
@pytest.mark.skipif(sys.platform == "win32", reason="other paths")
def test_a_folder_that_cannot_be_used_is_no_error(tmp_path, folder):
    (tmp_path / "file").write_text("")
    cache = Cache(os.path.join(tmp_path, folder), 100_000)
    assert not cache.write(KEY, ENTRY)
    assert cache.read(KEY) is None
    cache.trim()
    assert cache.usage() == cache.clear() == (0, 0, None)


def test_a_full_disk_is_no_error_and_leaves_nothing(cache, monkeypatch):
    cache.write("before", ENTRY)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    assert not cache.write(KEY, ENTRY)
    assert os.listdir(cache.folder) == ["before"]


def test_several_processes_write_read_and_delete_at_once(cache):
    """Each reads only whole entries, and none fails."""
    program = """
import sys
from voice_cli.audio import Encoding
from voice_cli.speech.cache import Cache, Entry
cache = Cache(sys.argv[1], 100_000)
for turn in range(300):
    key = f"{turn % 7}"
    entry = cache.read(key)
    assert entry is None or set(entry.data) == {turn % 7} and len(entry.data) == 9_000, key
    cache.write(key, Entry(Encoding("pcm"), False, (), bytes([turn % 7]) * 9_000))
    if turn % 50 == 49:
        cache.clear()
assert cache.usage().size <= 120_000
"""
    processes = [subprocess.Popen([sys.executable, "-c", program, cache.folder]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert not [name for name in os.listdir(cache.folder) if name.startswith(".")]
