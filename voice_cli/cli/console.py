"""What goes to the person: on standard error, one clear line, and never a library's noise."""

import os
import sys
from typing import BinaryIO

from voice_cli.errors import Interrupted, VoiceError


def silence_libraries(*, keep: bool = False) -> BinaryIO | None:
    """Take file descriptor 2 away from C libraries, for the rest of the process.

    ALSA, JACK and PortAudio print to it when they like (PortAudio issues 163 and 739). `sys.stderr` goes on as before,
    on a descriptor of its own. With `keep` what they print is kept, and the returned file holds it.
    """
    sys.stderr.flush()
    noise: BinaryIO | None = None
    if keep:
        noise = _nameless_file()
        sink = noise.fileno()
    else:
        sink = os.open(os.devnull, os.O_WRONLY)
    try:
        ours = os.dup(2)
    except OSError:  # it is closed: there is nothing to protect
        return noise
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr = open(ours, "w", buffering=1, encoding=encoding, errors="backslashreplace")  # noqa: SIM115
    os.dup2(sink, 2)
    return noise


def _nameless_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):  # tempfile costs 5 ms, right before the request leaves
        return open(os.memfd_create("voice-noise"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def say_to_person(line: str) -> None:
    """Print a line to standard error; nobody there to read it is no error."""
    try:
        sys.stderr.write(f"voice: {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return


def report_error(error: BaseException, *, debug: bool) -> int:
    """Print the one line (and what to do next), or with `debug` the traceback too; give the exit code."""
    if debug and not isinstance(error, Interrupted | KeyboardInterrupt):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        return Interrupted.exit_code
    if isinstance(error, Interrupted):
        return error.exit_code
    if isinstance(error, VoiceError):
        say_to_person(error.message + (f" ({error.hint})" if error.hint else ""))
        return error.exit_code
    say_to_person(f"a fault of this program: {type(error).__name__}: {error} (--debug shows where)")
    return VoiceError.exit_code
