"""What goes out: what was asked for; and to the person one clear line on standard error, and no library's noise."""

import contextlib
import os
import sys
from typing import BinaryIO

from voice_cli.errors import FileError, Interrupted, VoiceError


def silence_libraries(*, keep: bool = False) -> BinaryIO | None:
    """Take file descriptor 2 away from C libraries, for the rest of the process.

    ALSA, JACK and PortAudio print to it when they like (PortAudio issues 163 and 739). `sys.stderr` goes on as before,
    on a descriptor of its own. With `keep` what they print is kept, and the returned file holds it.
    """
    if sys.stderr is None or sys.stderr.fileno() != 2:  # there is none, or this was done before
        return None
    sys.stderr.flush()
    noise: BinaryIO | None = None
    if keep:
        noise = _nameless_file()
        sink = noise.fileno()
    else:
        sink = os.open(os.devnull, os.O_WRONLY)
    ours = os.dup(2)
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
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"voice: {line}\n")
            sys.stderr.flush()


def note_to_person(line: str) -> None:
    """Print a line that matters less than an error to standard error: dim, on a terminal."""
    if not is_watched():
        say_to_person(line)
        return
    from rich.console import Console

    with contextlib.suppress(OSError, ValueError):
        Console(file=sys.stderr, highlight=False, soft_wrap=True).print(f"voice: {line}", style="dim", markup=False)


def is_watched() -> bool:
    """Tell whether standard error is a terminal, at which somebody may look."""
    return sys.stderr is not None and sys.stderr.isatty()


def put_out(text: str) -> None:
    """Write lines that were asked for to standard output.

    Raises:
        Interrupted: its reader has gone.
        FileError: it cannot be written to.

    """
    if sys.stdout is None:
        raise FileError("cannot write to standard output: it is closed")
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as exc:
        # What could not be written is still in the buffer, and Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(exc, BrokenPipeError):
            raise Interrupted("the reader of standard output has gone") from exc
        raise FileError(f"cannot write to standard output: {exc.strerror}") from exc


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
        from voice_cli.cli.hints import line_of

        say_to_person(line_of(error))
        return error.exit_code
    say_to_person(f"a fault of this program: {type(error).__name__}: {error} (--debug shows where)")
    return VoiceError.exit_code
