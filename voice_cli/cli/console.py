"""Results on standard output; one line per error, and no output of C libraries, on standard error."""

import contextlib
import errno
import os
import sys
from typing import Any, BinaryIO, TextIO

from voice_cli.cli.options import line_of
from voice_cli.errors import FileError, Interrupted, VoiceError, is_closed_pipe
from voice_cli.printable import ESCAPES, escaped, escaped_text


def silence_libraries(*, keep: bool = False) -> BinaryIO | None:
    """Redirect file descriptor 2, to which ALSA, JACK and PortAudio print, for the rest of the process.

    PortAudio cannot turn this off (its issues 163 and 739). `sys.stderr` continues on a descriptor of its own. With
    `keep`, return a file that receives what the libraries print.
    """
    if sys.stderr is None or sys.stderr.fileno() != 2:  # closed, or redirected already
        return None
    sys.stderr.flush()
    noise = _nameless_file() if keep else None
    sink = noise.fileno() if noise is not None else os.open(os.devnull, os.O_WRONLY)
    ours = os.dup(2)
    encoding = sys.stderr.encoding or "utf-8"
    sys.stderr = open(ours, "w", buffering=1, encoding=encoding, errors="backslashreplace")  # noqa: SIM115
    os.dup2(sink, 2)
    return noise


def _nameless_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):  # importing tempfile takes 5 ms, before the request
        return open(os.memfd_create("voice-noise"), "w+b")
    import tempfile

    return tempfile.TemporaryFile()


def print_message(line: str) -> None:
    """Print a line to standard error, which may be closed."""
    write_stderr(f"voice: {escaped(line)}\n")


def write_stderr(text: str) -> None:
    """Write to standard error. Ignore errors: it may be closed."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def print_note(line: str) -> None:
    """Print a note to standard error, dim on a terminal."""
    dim, plain = ("\x1b[2m", "\x1b[0m") if is_styled(sys.stderr) else ("", "")
    write_stderr(f"{dim}voice: {escaped(line)}{plain}\n")


def print_above(bar: Any, line: str) -> None:
    """Print a line above a progress bar of rich, dim."""
    bar.console.print(escaped(line), style="dim", markup=False, soft_wrap=True)


def is_styled(file: TextIO | None) -> bool:
    """Return whether a file is a terminal to which escape sequences may be written."""
    if sys.platform == "win32" or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False  # older consoles of Windows print them as text
    return file is not None and file.isatty()


def is_watched() -> bool:
    """Return whether standard error is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()


def write_stdout(text: str, end: str = "\n") -> None:
    """Write text and `end` to standard output.

    Raises:
        Interrupted: its reader has closed it.
        FileError: it cannot be written.

    """
    if sys.stdout is None:
        raise FileError("cannot write to standard output: it is closed")
    try:
        sys.stdout.write(text + end)
        sys.stdout.flush()
    except OSError as exc:
        # The rest is still buffered, and Python would write it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if is_closed_pipe(exc):
            raise Interrupted("the reader of standard output closed it") from exc
        raise FileError(f"cannot write to standard output: {exc.strerror}") from exc


def write_json(tree: Any) -> None:
    """Write JSON as one line to standard output, in ASCII if that cannot encode it. Raises as `write_stdout`."""
    import json

    text = json.dumps(tree, ensure_ascii=False).translate({code: f"\\u{code:04x}" for code in ESCAPES})
    try:
        text.encode((sys.stdout and sys.stdout.encoding) or "ascii")
    except UnicodeEncodeError:
        text = json.dumps(tree)
    write_stdout(text)


def check_writable(path: str) -> None:
    """Check that a file can be written, without creating or opening it: opening a FIFO blocks.

    Raises:
        FileError: it cannot be written.

    """
    folder = os.path.dirname(path) or "."
    if os.path.isdir(path):
        code = errno.EISDIR
    elif not os.path.isdir(folder):
        code = errno.ENOENT
    elif not os.access(path if os.path.exists(path) else folder, os.W_OK):
        code = errno.EACCES
    else:
        return
    raise FileError(f"cannot write {path}: {os.strerror(code)}")


def write_file(path: str, text: str, *, make_folder: bool = False) -> None:
    """Write a text file, and with `make_folder` create its folder.

    Raises:
        FileError: it cannot be written.

    """
    try:
        if make_folder:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as exc:
        raise FileError(f"cannot write {path}: {exc.strerror}") from exc


def print_traceback(text: str) -> None:
    """Print a traceback to standard error."""
    write_stderr(escaped_text(text))


def report_error(error: BaseException, *, debug: bool) -> int:
    """Print an error as one line, with `debug` after its traceback, and return its exit code."""
    if isinstance(error, Interrupted | KeyboardInterrupt):
        from voice_cli.cli.interrupts import exit_code

        return exit_code()
    if debug:
        import traceback

        print_traceback("".join(traceback.format_exception(error)))
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        error = FileError("too many files are open", hint="raise the limit, as in: ulimit -n 1024")
    if isinstance(error, VoiceError):
        print_message(line_of(error))
        return error.exit_code
    print_message(f"internal error: {type(error).__name__}: {error} (run with --debug for a traceback)")
    return VoiceError.exit_code
