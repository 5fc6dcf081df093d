"""`voice say` without room on the disk, without descriptors, without standard streams, and in read-only folders."""

import os
import sys
import wave

import pytest

from support.server import Answer
from support.sound import speech
from voice_cli.audio import Encoding
from voice_cli.codecs import open_decoder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")

SOUND = speech(2.0).tobytes()
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


def limited(command):
    """Return a script that runs `voice` with a limit."""
    return f'{command}; exec "$@"'


@pytest.fixture
def speak(voice, serve):
    """Run `voice say` against a server, with a shell script before it."""
    server = serve(Answer(SOUND))

    def run(script, *arguments, **options):
        return voice("say", "x", "--no-play", "--base-url", server.url, *arguments, script=script, **options)

    return run


def test_a_full_disk_keeps_a_valid_part_and_names_the_file(speak, tmp_path):
    done = speak(limited("ulimit -f 60"), "-o", "a.wav", "--json")
    assert done.code == 10
    assert done.err.splitlines() == [
        "voice: cannot write a.wav: File too large",
        "voice: the sound up to the error is in a.wav",
    ]
    assert (done.json["saved"], done.json["error"]["kind"], done.json["heard_ms"]) == ("a.wav", "file", 2000.0)
    with wave.open(str(tmp_path / "a.wav")) as file:
        kept = file.readframes(10**6)
    assert SOUND.startswith(kept)
    assert len(kept) + 44 == (tmp_path / "a.wav").stat().st_size > 20_000


@pytest.mark.parametrize("name", ["a.mp3", "a.opus", "a.flac"])
def test_a_full_disk_keeps_a_part_of_each_encoding(speak, tmp_path, name):
    done = speak(limited("ulimit -f 8"), "-o", name)
    assert done.code == 10
    assert done.err.splitlines() == [
        f"voice: cannot write {name}: File too large",
        f"voice: the sound up to the error is in {name}",
    ]
    data = (tmp_path / name).read_bytes()
    _, decoder = open_decoder(None, Encoding(None), data, final=True)
    assert decoder.decode(data)


def test_a_full_disk_at_the_start_leaves_no_file(speak, tmp_path):
    done = speak(limited("ulimit -f 0"), "-o", "a.wav")
    assert (done.code, done.line) == (10, "cannot write a.wav: File too large")
    assert list(tmp_path.glob("*.wav")) == []


@needs_full
@pytest.mark.parametrize("place", ["standard output", "/dev/full"])
def test_a_full_special_file_is_named_once(speak, place):
    done = speak('exec "$@" >/dev/full', "-o", "-" if place == "standard output" else place)
    assert (done.code, done.line) == (10, f"cannot write to {place}: No space left on device")


@needs_full
@pytest.mark.parametrize(("base_url", "code"), [(None, 0), ("http://127.0.0.1:1/v1", 6)])
def test_a_full_standard_error_does_not_change_the_exit_code(speak, base_url, code):
    more = [] if base_url is None else ["--base-url", base_url]
    assert speak('exec "$@" 2>/dev/full', "--debug", *more).code == code


@needs_full
def test_the_version_on_a_full_standard_output_is_a_file_error(voice):
    done = voice("--version", script='exec "$@" >/dev/full')
    assert (done.code, done.line) == (10, "cannot write to standard output: No space left on device")


def test_closed_standard_streams_do_not_matter_to_what_does_not_use_them(speak, tmp_path):
    assert speak('exec "$@" <&- >&- 2>&-', "-o", "a.wav").code == 0
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.readframes(10**6) == SOUND


def test_a_closed_pipe_on_standard_error_does_not_change_the_exit_code(speak):
    script = '{ "$@" 2>&3; echo $? >code; } 3>&1 >/dev/null | true'
    speak(script, "--base-url", "http://127.0.0.1:1/v1")
    assert speak("cat code", "ignored").out == b"6\n"


@pytest.mark.parametrize("count", range(8, 13))
def test_too_few_descriptors_are_a_line_and_an_exit_code(speak, count):
    done = speak(limited(f"ulimit -n {count}"), "-o", "a.wav")
    assert done.code in {0, 1, 10, 11}
    assert "Traceback" not in done.err
    assert "internal error" not in done.err


def test_read_only_folders_of_the_user_do_not_matter(speak):
    nowhere = dict.fromkeys(("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"), "/proc/nowhere")
    done = speak('exec "$@"', "--json", environment=nowhere)
    assert (done.code, done.err, done.json["outcome"]) == (0, "", "complete")
