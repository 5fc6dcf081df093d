"""`voice play`: its options and errors. tests/e2e plays."""

import contextlib
import io
import json
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.cli import app, play, play_options
from voice_cli.codecs.wav import wav_header
from voice_cli.errors import FileError, ServerError, TruncatedAudio

FLAGS = [flag for name, option in play_options.options().items() for flag in option.flags(name)]
PIECES = st.one_of(
    st.sampled_from(FLAGS),
    st.sampled_from(["a.wav", "-", "--", "1", "1.5", "s16le", "--rate=8000", "-h", "--nonsense", "nan", ""]),
)


def given_by(parse, arguments):
    """Return what `play_values` gets, or the exit code; None: nothing."""
    seen = []

    def values(**given):
        seen.append({name: value for name, value in given.items() if value not in (None, False)})
        return 0

    out = io.StringIO()
    with (
        mock.patch("voice_cli.cli.play.play_values", values),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        code = parse(arguments)
    return seen[0] if seen else code


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=5))
def test_the_quick_parser_agrees_with_typer(arguments):
    quickly = given_by(play.play_arguments, arguments)
    if quickly is not None:
        slowly = given_by(lambda rest: app.run(["play", *rest]), arguments)
        assert repr(quickly) == repr({name: slowly[name] for name in quickly})
        assert slowly.keys() == quickly.keys()


@pytest.mark.parametrize(
    ("options", "encoding"),
    [
        ((None, None, None), None),
        (("s16le", None, None), Encoding("pcm", AudioFormat(24_000, 1))),
        (("f32be", 48_000, 2), Encoding("pcm", AudioFormat(48_000, 2), "f32be")),
        (("mulaw", None, None), Encoding("pcm", AudioFormat(8000, 1), "mulaw")),
    ],
)
def test_raw_samples(options, encoding):
    assert play._raw(*options) == encoding


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.MP3", "mp3"), ("http://h/a.opus?x=1.wav", "opus"), ("a.raw", None), ("a.bin", None), ("-", None)],
)
def test_what_a_name_states(name, codec):
    assert play.Item(name, None).expected == Encoding(codec)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.wav"], 10, "cannot read absent.wav: No such file or directory"),
        (["notes.md"], 7, "notes.md is text instead of audio: # Notes"),
        (["x.pdf"], 7, "x.pdf is PDF, which voice does not decode"),
        (["junk"], 7, "junk is a format that is not recognised (if it is raw, state its samples, as in: --raw s16le"),
        (["empty.wav"], 10, "empty.wav is empty"),
        (["http://"], 2, "'http://' is not the address of a server: it has no host"),
        (["notes.md", "--raw", "s17"], 2, "invalid --raw 's17' (use one of u8, s16le"),
        (["notes.md", "--rate", "8000"], 2, "--rate and --channels are those of raw samples (add --raw s16le)"),
        (["notes.md", "--raw", "s16le", "--rate", "1"], 2, "invalid --rate 1: it must be from 1000 to 768000"),
        (["notes.md", "--raw", "s16le", "--channels", "0"], 2, "invalid --channels 0: it must be from 1 to 16"),
        (["notes.md", "--volume", "9"], 2, "invalid --volume 9.0: it must be from 0 to 4"),
        (["bad.wav"], 10, "bad.srt is not text"),
    ],
)
def test_errors(voice, tmp_path, arguments, code, message):
    (tmp_path / "notes.md").write_text("# Notes\n" * 20)
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 10)
    (tmp_path / "junk").write_bytes(bytes(range(1, 256)) * 10)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "bad.wav").write_bytes(wav_header(AudioFormat(8000, 1), 0))
    (tmp_path / "bad.srt").write_bytes(b"RIFF" + bytes(range(256)) * 20)
    done = voice("play", *arguments, "--json")
    assert (done.code, done.err.startswith(f"voice: {message}")) == (code, True), done.err
    assert json.loads(done.out)["error"]["exit_code"] == code


def test_a_url_is_shown_without_its_password():
    assert play.Item("http://me:secret@h/x.wav", None).shown == "http://h/x.wav"
    assert play.Item("http://me:secret@h:8/x.wav", None).place == "h:8"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ServerError("the response has no audio", hint="check the model"), "http://h/x is empty"),
        (ServerError("h failed (500)"), "h failed (500)"),
    ],
)
def test_an_error_of_a_url(error, message):
    assert play._of_file(error, [play.Item("http://h/x", None)]).message == message


def test_the_error_of_the_file_that_was_read_last():
    items = [play.Item("a", None), play.Item("b", None)]
    named = play._of_file(TruncatedAudio("it stopped", hint="hm"), items)
    assert (type(named), named.message, named.hint) == (TruncatedAudio, "b: it stopped", "hm")
    other = FileError("b is empty")
    assert play._of_file(other, items) is other
    assert play._of_file(None, items) is None


def test_the_name_of_a_file_in_the_state_is_a_hash(tmp_path):
    path = tmp_path / "secret.wav"
    path.write_bytes(b"1")
    name = play.Item(str(path), None).identity()
    assert name.startswith("file ")
    assert "secret" not in name
    assert name == play.Item(str(path), None).identity()
    path.write_bytes(b"22")
    assert name != play.Item(str(path), None).identity()
    assert play.Item("-", None).identity() == play.Item("http://h/x", None).identity() == ""
