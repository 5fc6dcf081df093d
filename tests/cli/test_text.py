"""Text from arguments, files or pipes, and errors for missing text."""

import subprocess

import pytest

from support.command import VOICE, environment_in, on_terminal
from support.material import MONO24, encoded
from support.server import Answer

SOUND = bytes([1, 1]) * 240


@pytest.fixture
def requested(voice, serve):
    """Run `voice say` and return the texts of all requests, joined to one line."""
    server = serve(Answer(SOUND))

    def run(*arguments, **options):
        before = len(server.requests)
        done = voice("say", "--no-play", "--base-url", server.url, *arguments, **options)
        assert (done.code, done.err, done.out) == (0, "", b"")
        return " ".join(" ".join(request.json["input"] for request in server.requests[before:]).split())

    return run


def test_arguments_are_joined_to_one_text(requested):
    assert requested("Hello") == "Hello"
    assert requested("Hello", "there,", "world") == "Hello there, world"
    assert requested("--", "--json", "-x") == "--json -x"
    assert requested("Grüß Gott, 世界") == "Grüß Gott, 世界"


def test_a_file_is_read(requested, tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n", "utf-8")
    assert requested("-f", "a.txt") == "one two"
    assert requested("--file", str(tmp_path / "a.txt"), text=b"not this") == "one two"


def test_the_connection_is_opened_while_waiting_for_text(serve, tmp_path):
    server = serve(Answer(SOUND))
    process = subprocess.Popen(
        [*VOICE, "say", "--no-play", "--base-url", server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment_in(tmp_path),
    )
    assert server.visited.wait(20)
    assert not server.requests
    _, err = process.communicate(b"at last", timeout=20)
    assert (process.returncode, err) == (0, b"")
    assert [request.json["input"] for request in server.requests] == ["at last"]


def test_standard_input_is_read(requested):
    assert requested(text=b"piped") == "piped"
    assert requested("-", text=b"asked for") == "asked for"
    assert requested("-f", "-", text=b"by another name") == "by another name"
    assert requested("an argument", text=b"not this") == "an argument"


def test_bytes_that_are_not_utf8_become_replacement_characters(requested, tmp_path):
    assert requested(text=b"caf\xe9 noir") == "caf\ufffd noir"
    (tmp_path / "latin1.txt").write_bytes(b"caf\xe9")
    assert requested("-f", "latin1.txt") == "caf\ufffd"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_sets_the_encoding(requested, tmp_path, encoding):
    assert requested(text="Grüß Gott".encode(encoding)) == "Grüß Gott"
    (tmp_path / "bom.txt").write_bytes("Grüß Gott".encode(encoding))
    assert requested("-f", "bom.txt") == "Grüß Gott"


def test_a_file_or_a_pipe_that_is_not_text_is_refused(voice, serve, tmp_path):
    server = serve(Answer(SOUND))
    sound = encoded("mp3", MONO24, 2.0)
    (tmp_path / "a.mp3").write_bytes(sound)
    for arguments, text, name in (["-f", "a.mp3"], None, "a.mp3"), ([], sound, "standard input"):
        done = voice("say", "--no-play", "--base-url", server.url, *arguments, text=text)
        assert (done.code, done.out) == (10, b"")
        assert done.line.startswith(f"{name} is not text: ")
    assert not server.requests


def test_a_book_is_refused_with_the_command_that_reads_it(voice, tmp_path):
    (tmp_path / "b.epub").write_bytes(b"PK\3\4")
    done = voice("say", "-f", "b.epub", "--no-play")
    assert (done.code, done.line.partition(" (")[2]) == (10, "make an audio book of it: voice book)")


@pytest.mark.parametrize("arguments", [[""], ["  "], ["\n\t\u00a0"], ["-"], [], ["-f", "blank.txt"], ["-f", "-"]])
def test_blank_text_is_a_usage_error(voice, tmp_path, arguments):
    (tmp_path / "blank.txt").write_bytes(b" \r\n")
    done = voice("say", *arguments, text=b"\n")
    assert done.code == 2
    assert "nothing to say" in done.line
    assert done.out == b""


def test_no_text_on_a_terminal_is_a_usage_error(tmp_path):
    code, drawn, _ = on_terminal("say", folder=tmp_path, also=("stdin",))
    assert code == 2
    assert "nothing to say" in drawn
    assert "voice say" in drawn


def test_a_missing_file_is_a_file_error(voice):
    done = voice("say", "-f", "nowhere.txt")
    assert done.code == 10
    assert "nowhere.txt" in done.line


def test_text_with_a_file_is_a_usage_error(voice):
    done = voice("say", "hello", "-f", "a.txt")
    assert done.code == 2
    assert "--file" in done.line
