"""Messages on standard error, without the output of libraries."""

import io
import subprocess
import sys

import pytest

from voice_cli.cli.console import print_message, print_note, report_error
from voice_cli.errors import (
    AuthenticationError,
    ConfigError,
    DeviceError,
    FileError,
    Hint,
    Interrupted,
    ServerError,
    TruncatedAudio,
    UsageError,
    VoiceError,
)


@pytest.mark.parametrize(
    "kind", [UsageError, ConfigError, AuthenticationError, ServerError, TruncatedAudio, DeviceError, FileError]
)
@pytest.mark.parametrize("hint", [None, "mend it"])
def test_an_error_is_one_line_and_its_exit_code(capsys, kind, hint):
    assert report_error(kind("it broke", hint=hint), debug=False) == kind.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("voice: it broke (mend it)\n" if hint else "voice: it broke\n")


def test_a_hint_names_flags_and_commands(capsys):
    hint = Hint("raise {timeout}, set {base_url}, or see {list_voices}, not {given}", given="{voice}")
    report_error(ServerError("it broke", hint=hint), debug=False)
    assert "(raise --timeout, set --base-url, or see voice voices, not {voice})" in capsys.readouterr().err


@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("interrupted")])
def test_an_interrupt_prints_nothing(capsys, error, debug):
    assert report_error(error, debug=debug) == 130
    assert capsys.readouterr() == ("", "")


def test_an_unexpected_error_is_an_internal_error(capsys):
    assert report_error(ZeroDivisionError("division by zero"), debug=False) == VoiceError.exit_code == 1
    err = capsys.readouterr().err
    assert err.startswith("voice: internal error: ZeroDivisionError: division by zero")
    assert "--debug" in err


def test_debug_adds_the_traceback_with_its_cause(capsys):
    error = FileError("it broke")
    error.__cause__ = OSError("the cause")
    assert report_error(error, debug=True) == FileError.exit_code
    err = capsys.readouterr().err
    assert "OSError: the cause" in err
    assert err.endswith("voice: it broke\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("term", "drawn"), [("xterm", "\x1b[2mvoice: [b]1 of 2[/b]\x1b[0m\n"), ("dumb", "voice: [b]1 of 2[/b]\n")]
)
def test_a_note_is_dim_on_a_terminal(monkeypatch, term, drawn):
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", Terminal())
    print_note("[b]1 of 2[/b]")
    assert sys.stderr.getvalue() == drawn


def test_a_note_is_plain_in_a_pipe(capsys):
    print_note("[b]1 of 2[/b]")
    assert capsys.readouterr() == ("", "voice: [b]1 of 2[/b]\n")


def test_a_closed_standard_error_is_ignored(monkeypatch):
    class ClosedStream:
        def write(self, _text):
            raise BrokenPipeError

    for stream in (ClosedStream(), None):
        monkeypatch.setattr(sys, "stderr", stream)
        print_message("hello")
        assert report_error(FileError("it broke"), debug=True) == FileError.exit_code


def in_process(program):
    head = "import os, sys\nfrom voice_cli.cli.console import silence_libraries\n"
    return subprocess.run([sys.executable, "-c", head + program], capture_output=True, text=True, check=False)


def test_output_of_c_libraries_is_discarded_and_ours_is_not():
    done = in_process("""
import ctypes
libc = ctypes.CDLL(None)
sys.stderr.write("before\\n")
silence_libraries()
libc.perror(b"ALSA lib confmisc.c")
os.write(2, b"JACK server is not running\\n")
os.system("echo from a child >&2")
sys.stderr.write("after\\n")
print("out")
""")
    assert done.stderr == "before\nafter\n"
    assert done.stdout == "out\n"


def test_output_of_c_libraries_can_be_kept():
    done = in_process("""
noise = silence_libraries(keep=True)
os.write(2, b"ALSA lib\\n")
noise.seek(0)
print(noise.read())
""")
    assert (done.stderr, done.stdout.strip()) == ("", r"b'ALSA lib\n'")


def test_a_traceback_is_printed_after_silencing():
    done = in_process("silence_libraries()\nraise RuntimeError('seen')\n")
    assert "RuntimeError: seen" in done.stderr


def test_characters_outside_the_encoding_are_escaped():
    done = in_process("silence_libraries(); sys.stderr.write('caf\\udce9 \\N{GRINNING FACE}\\n')")
    assert done.returncode == 0
    assert done.stderr.startswith("caf")


def test_silencing_twice_changes_nothing():
    done = in_process("silence_libraries(); silence_libraries(); os.write(2, b'x'); sys.stderr.write('seen\\n')")
    assert done.stderr == "seen\n"
