"""Text from a pipe: pieces, decoding, pauses, back-pressure and stop."""

import os
import threading

import pytest

from support.threads import WAIT, in_thread
from voice_cli.cli.incoming import PIECE_BYTES, WAITING_CHARACTERS, Incoming

NEVER = 3600.0


class Pipe:
    """A pipe to which the test writes."""

    def __init__(self):
        self.out, self._into = os.pipe()
        self._open = True

    def write(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self._into, view) :]

    def end(self):
        if self._open:
            self._open = False
            os.close(self._into)


@pytest.fixture
def pipe():
    made = Pipe()
    yield made
    made.end()


def text_of(pipe, data):
    """Write data, close the pipe, and return the text read."""
    incoming = Incoming(pipe.out, NEVER)
    pipe.write(data)
    pipe.end()
    return "".join(incoming.pieces())


def wait_for_text(incoming, characters):
    """Wait until at least this many characters are buffered."""
    with incoming._changed:
        assert incoming._changed.wait_for(lambda: incoming._held >= characters, WAIT)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"Hello", "Hello"),
        ("Grüß Gott, 世界 👋".encode(), "Grüß Gott, 世界 👋"),
        (b"\xef\xbb\xbfHello", "Hello"),
        (b"a\xef\xbb\xbfb", "a\ufeffb"),
        (b"caf\xe9 noir", "caf\ufffd noir"),
        (b"\xff\xfeH\x00", "H"),
        (b"one\0two", "one\0two"),
        ("für".encode()[:2], "f\ufffd"),
    ],
)
def test_the_pieces_are_the_decoded_input(pipe, data, text):
    assert text_of(pipe, data) == text


def test_pieces_are_yielded_immediately_even_if_a_character_is_cut(pipe):
    incoming = Incoming(pipe.out, NEVER).pieces()
    pipe.write(b"one ")
    assert next(incoming) == "one "
    pipe.write("ü".encode()[:1])
    following = in_thread(lambda: next(incoming))
    pipe.write("ü".encode()[1:])
    assert following() == "ü"
    pipe.end()
    assert list(incoming) == []


def test_a_pause_is_yielded_once(pipe):
    incoming = Incoming(pipe.out, 0.01).pieces()
    pipe.write(b"one")
    assert next(incoming) == "one"
    assert next(incoming) is None
    following = in_thread(lambda: next(incoming))
    pipe.write(b"two")
    assert following() == "two", "the pause was yielded twice"
    pipe.end()
    assert [piece for piece in incoming if piece is not None] == []


def test_no_pause_is_yielded_before_the_first_piece(pipe):
    incoming = Incoming(pipe.out, 0.01).pieces()
    following = in_thread(lambda: next(incoming))
    pipe.write(b"at last")
    assert following() == "at last"


def test_text_without_pauses_yields_none(pipe):
    incoming = Incoming(pipe.out, NEVER)
    pipe.write(b"x" * 3 * PIECE_BYTES)
    pipe.end()
    assert None not in list(incoming.pieces())


def test_a_fast_writer_is_blocked(pipe):
    incoming = Incoming(pipe.out, NEVER)
    sent, ended = [0], threading.Event()

    def write():
        for _ in range(200):
            pipe.write(b"x" * PIECE_BYTES)
            sent[0] += PIECE_BYTES
        ended.set()
        pipe.end()

    writing = in_thread(write)
    wait_for_text(incoming, WAITING_CHARACTERS - PIECE_BYTES)
    assert not ended.wait(0.2), "the writer of 800 KB is not blocked"
    assert sent[0] <= WAITING_CHARACTERS + 2 * PIECE_BYTES + 65536
    assert sum(len(piece) for piece in incoming.pieces()) == 200 * PIECE_BYTES
    assert writing() is None


def test_stop_ends_a_waiting_read(pipe):
    incoming = Incoming(pipe.out, NEVER)
    pipe.write(b"one")
    pieces = incoming.pieces()
    assert next(pieces) == "one"
    waiting = in_thread(lambda: list(pieces))
    incoming.close()
    assert waiting() == []


def test_stop_yields_the_buffered_text_and_ends(pipe):
    incoming = Incoming(pipe.out, NEVER)
    pieces = incoming.pieces()
    pipe.write(b"one")
    assert next(pieces) == "one"
    pipe.write(b"two")
    wait_for_text(incoming, 1)
    incoming.close()
    incoming.close()
    assert list(pieces) == ["two"]
    pipe.write(b"three")
    assert list(pieces) == []


def test_stop_ends_the_text_while_the_writer_is_blocked(pipe):
    incoming = Incoming(pipe.out, NEVER)
    writing = in_thread(lambda: pipe.write(b"x" * 10 * WAITING_CHARACTERS))
    wait_for_text(incoming, WAITING_CHARACTERS - PIECE_BYTES)
    incoming.close()
    given = in_thread(lambda: list(incoming.pieces()))()
    assert 0 < sum(map(len, given)) <= WAITING_CHARACTERS + 2 * PIECE_BYTES
    os.close(pipe.out)
    assert isinstance(writing(), BrokenPipeError)


def test_a_read_error_ends_the_text(tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    assert list(Incoming(folder, NEVER)) == []
    os.close(folder)
