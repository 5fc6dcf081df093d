"""Printed output: encodings, closed or full standard output, and escaped control characters."""

import json
import os
import subprocess

import pytest

from support.command import VOICE, environment_in, on_terminal
from support.server import Answer

SOUND = bytes([1, 1]) * 240
HOSTILE = "\x1b]0;title\x07\x9b31m\n\0\u202eevil"
ESCAPED = r"\x1b]0;title\x07\x9b31m\x0a\x00\u202eevil"


def is_safe(output):
    text = output.decode() if isinstance(output, bytes) else output
    return all(character.isprintable() or character in "\n\t" for character in text)


def speak(folder, *arguments, stdout=subprocess.PIPE, **options):
    """Run `voice say` with this standard output; return its exit code, output and errors."""
    done = subprocess.run(
        [*VOICE, "say", "--no-play", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment_in(folder),
        cwd=folder,
        timeout=60,
        check=False,
        **options,
    )
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.mark.parametrize(("encoding", "shown"), [("cp1252", "ca\\u0142y \xe9"), ("ascii", "ca\\u0142y \\xe9")])
def test_characters_that_the_encoding_lacks_are_escaped(voice, serve, encoding, shown):
    server = serve(Answer(SOUND))
    arguments = ["say", "--no-play", "--base-url", server.url, "cały é"]
    environment = {"PYTHONIOENCODING": encoding}
    done = voice(*arguments, "--show", environment=environment)
    assert (done.code, done.out.decode(encoding), done.err) == (0, f"{shown}\n", "")
    done = voice(*arguments, "--json", environment=environment)
    assert (done.code, json.loads(done.out.decode(encoding))["text_spoken"]) == (0, "cały é")


def test_a_closed_standard_output_does_not_stop_the_speech(voice, serve):
    server = serve(Answer(SOUND))
    done = voice("say", "--no-play", "--base-url", server.url, "Hello", "--show", script='exec "$@" >&-')
    assert (done.code, done.err) == (0, "")
    assert server.requests


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("option", ["--show", "--json"])
def test_a_full_standard_output_is_a_file_error(serve, tmp_path, option):
    server = serve(Answer(SOUND))
    with open("/dev/full", "w") as full:
        code, _, err = speak(tmp_path, "--base-url", server.url, "Hello", option, "-o", "a.wav", stdout=full)
    assert (code, err) == (10, "voice: cannot write to standard output: No space left on device\n")
    assert (tmp_path / "a.wav").exists()


def voices_of(*names):
    return Answer(json.dumps({"voices": [{"id": name, "name": name} for name in names]}).encode(), "application/json")


def test_names_of_voices_are_escaped(voice, serve, tmp_path):
    server = serve(voices_of(HOSTILE, "good\tname"))
    arguments = ["voices", "--backend", "http", "--base-url", server.url]
    done = voice(*arguments)
    assert (done.code, is_safe(done.out)) == (0, True)
    assert [line.split("\t")[0] for line in done.out.decode().splitlines()] == [ESCAPED, r"good\x09name"]
    _, drawn, _ = on_terminal(*arguments, folder=tmp_path, also=("stdout",))
    assert "\x1b]0" not in drawn
    assert "\u202e" not in drawn
    done = voice(*arguments, "--json")
    assert is_safe(done.out)
    assert [row["name"] for row in done.json] == [HOSTILE, "good\tname"]


@pytest.mark.parametrize("status", [400, 500])
def test_messages_of_a_server_are_escaped(voice, serve, status):
    body = json.dumps({"error": {"message": HOSTILE}}, ensure_ascii=False).encode()
    server = serve(Answer(body, "application/json", status=status))
    done = voice("say", "--no-play", "--base-url", server.url, "Hello", "--debug")
    assert done.code == 7
    assert is_safe(done.err)


def test_names_of_files_are_escaped(voice):
    done = voice("say", "-f", "a\x1b]0;b\n.txt")
    assert (done.code, done.err) == (10, "voice: cannot read a\\x1b]0;b\\x0a.txt: No such file or directory\n")


def test_shown_text_has_no_control_characters(voice, serve):
    server = serve(Answer(SOUND))
    done = voice("say", "--no-play", "--base-url", server.url, "--show", text=b"One \x1b]0;t\x07 two\x9b.\nThree.")
    assert done.code == 0
    assert is_safe(done.out)


def test_subtitles_that_cannot_be_written_are_reported_before_the_request(voice, serve):
    server = serve(Answer(SOUND))
    done = voice("say", "--no-play", "--base-url", server.url, "Hello", "--subtitles", "nodir/a.srt", "--json")
    assert (done.code, done.json["error"]["kind"]) == (10, "file")
    assert not server.requests


def test_a_format_that_is_not_applied_is_a_note(voice):
    done = voice("say", "--no-play", "--backend", "espeak", "--format", "mp3", "Hello")
    assert (done.code, done.err) == (0, "voice: the format mp3 is not applied: espeak has its own\n")
