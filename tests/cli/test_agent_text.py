"""The text of `voice say` on its way to the agent, and what is left of it when the agent dies."""

import os
import sys
import threading

import pytest

from support.threads import WAIT, happened, in_thread
from voice_cli.agent.messages import WINDOW
from voice_cli.cli.agent_text import PIECE, TextSender, not_heard
from voice_cli.errors import FileError

NOTHING = {"rest": "", "end": 0}


class Sent:
    """Collects what is sent."""

    def __init__(self):
        self.data = b""
        self._changed = threading.Condition()

    def __call__(self, message, payload=b""):
        with self._changed:
            self.data += payload
            self._changed.notify_all()

    def wait_for(self, size):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.data) >= size, WAIT)


@pytest.fixture
def pipe(monkeypatch):
    """Replace standard input by a pipe; return a file to write to."""
    ours, theirs = os.pipe()
    others = set(threading.enumerate())  # those of other tests may read from a pipe for ever
    with open(ours) as stdin, open(theirs, "wb", buffering=0) as writer:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writer
        writer.close()
        for thread in set(threading.enumerate()) - others:  # it would read from the next pipe with the same descriptor
            if thread.name == "voice-text":
                thread.join(WAIT)


def text_of(rest):
    return "".join(piece for piece in rest.pieces() if piece is not None)


@pytest.mark.parametrize("size", [10, WINDOW, WINDOW + 1, 3 * WINDOW + PIECE + 7])
def test_the_whole_file_when_the_agent_dies_while_it_is_sent(tmp_path, size):
    text = "é".join("word " * size)[:size]
    (tmp_path / "a.txt").write_text(text)
    sent = Sent()
    sender = TextSender(str(tmp_path / "a.txt"), sent)
    sent.wait_for(min(len(text.encode()), WINDOW // PIECE * PIECE))
    assert in_thread(sender.whole)() == text


def test_a_file_that_is_not_text_when_the_agent_dies(tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 1000)
    sender = TextSender(str(tmp_path / "a.bin"), Sent())
    with pytest.raises(FileError, match=r"a\.bin is not text"):
        sender.whole()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_characters_at_the_cut_when_the_agent_dies(pipe, encoding):
    text = "Café, naïve 中文."
    data = text.encode(encoding)
    cut = len(text[:4].encode(encoding)) - 1
    sent = Sent()
    sender = TextSender("-", sent)
    pipe.write(data[:cut])
    sent.wait_for(cut)
    rest, spoken = sender.rest(NOTHING)
    pipe.write(data[cut:])
    pipe.close()
    assert (text_of(rest), spoken) == (text, "")


def test_standard_input_goes_on_when_the_agent_dies(pipe):
    """Also what the agent had no room for."""
    sent = Sent()
    sender = TextSender("-", sent)
    text = "One two. " * (2 * WINDOW // 9)
    heard = {"rest": "two. ", "end": 9}

    def write():
        pipe.write(text.encode())
        pipe.close()

    thread = threading.Thread(target=write)
    thread.start()
    sent.wait_for(WINDOW // PIECE * PIECE)
    rest, spoken = sender.rest(heard)
    left = text_of(rest)
    thread.join(WAIT)
    assert (spoken, left) == ("One ", text[4:])


def test_standard_input_that_has_ended_when_the_agent_dies(pipe):
    all_sent = threading.Event()
    sender = TextSender("-", Sent(), all_sent.set)
    pipe.write(b"One. Two.")
    pipe.close()
    happened(all_sent)
    rest, spoken = sender.rest({"rest": "", "end": 4})
    assert (text_of(rest), spoken) == (" Two.", "One.")


def test_bytes_that_are_not_text_after_the_agent_has_died(pipe):
    sent = Sent()
    sender = TextSender("-", sent)
    pipe.write(b"One.")
    sent.wait_for(4)
    rest, _ = sender.rest(NOTHING)
    pipe.write(bytes(range(256)) * 8)
    with pytest.raises(FileError, match="standard input is not text"):
        text_of(rest)


def test_the_rest_can_be_stopped(pipe):
    rest, _ = TextSender("-", Sent()).rest(NOTHING)
    rest.close()
    assert text_of(rest) == ""


def test_credit_is_taken_while_a_piece_is_sent(pipe):
    """The socket may be full because the agent sends, too."""
    is_sending, may_end = threading.Event(), threading.Event()

    def send(_message, _payload=b""):
        is_sending.set()
        may_end.wait(2 * WAIT)

    sender = TextSender("-", send)
    pipe.write(b"One.")
    happened(is_sending)
    assert in_thread(lambda: sender.credit(4))() is None
    assert not may_end.is_set()
    may_end.set()


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (NOTHING, ("One. Two. Three.", "")),
        ({"rest": "One.", "end": 4}, ("One. Two. Three.", "")),
        ({"rest": "", "end": 4}, (" Two. Three.", "One.")),
        ({"rest": " Two.", "end": 9}, (" Two. Three.", "One.")),
        ({"rest": "", "end": 16}, ("", "One. Two. Three.")),
    ],
)
def test_what_was_not_heard(heard, expected):
    assert not_heard("One. Two. Three.", heard) == expected
