"""The bytes of files and pipes."""

import os
import threading

import pytest

from support.threads import WAIT
from voice_cli.audio import Encoding
from voice_cli.backends.local.files import BLOCK_BYTES, FileStream
from voice_cli.errors import FileError, Interrupted

NOTHING = Encoding(None)


def test_a_file_is_read_in_blocks(tmp_path):
    data = os.urandom(3 * BLOCK_BYTES + 7)
    path = tmp_path / "x.bin"
    path.write_bytes(data)
    chunks = list(FileStream(str(path), "x.bin", NOTHING))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) == BLOCK_BYTES


def test_a_pipe_is_read_as_it_arrives_and_stays_open():
    reads, writes = os.pipe()
    os.write(writes, b"first")
    chunks = iter(FileStream(reads, "standard input", NOTHING))
    assert next(chunks) == b"first"
    os.write(writes, b"second")
    os.close(writes)
    assert list(chunks) == [b"second"]
    os.close(reads)


def test_a_pipe_that_is_waited_for_can_be_cancelled():
    reads, writes = os.pipe()
    stream = FileStream(reads, "standard input", NOTHING)
    failures = []

    def read():
        try:
            list(stream)
        except Interrupted as exc:
            failures.append(exc)

    thread = threading.Thread(target=lambda: (os.write(writes, b"x"), read()))
    thread.start()
    stream.cancel()
    os.write(writes, b"y")
    thread.join(WAIT)
    assert len(failures) == 1
    os.close(reads)
    os.close(writes)


@pytest.mark.parametrize(("name", "message"), [("absent", "No such file"), (".", "directory")])
def test_what_cannot_be_read_is_an_error(tmp_path, name, message):
    with pytest.raises(FileError, match=message):
        list(FileStream(str(tmp_path / name), name, NOTHING))


def test_an_empty_file_is_an_error(tmp_path):
    (tmp_path / "x.wav").touch()
    with pytest.raises(FileError, match=r"x\.wav is empty"):
        list(FileStream(str(tmp_path / "x.wav"), "x.wav", NOTHING))
