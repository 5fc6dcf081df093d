"""The recorder for `--save`."""

import os
import stat
import sys

from voice_cli.errors import FileError, UsageError
from voice_cli.recording.recorder import FileRecorder, PipeRecorder, Recorder


def make_recorder(path: str, *, many: bool) -> Recorder:
    """Return the recorder for a path, and check that the file can be written.

    `many`: there may be several streams. `-` and special files (a pipe, /dev/stdout) get WAV.

    Raises:
        UsageError: the file cannot be saved in this format.
        FileError: the file cannot be written.

    """
    if path == "-":
        if sys.stdout is None:
            raise FileError("cannot write to standard output: it is closed")
        if sys.stdout.isatty():
            raise UsageError("-o - writes sound, and standard output is a terminal", hint="pipe it, or name a file")
        return PipeRecorder(open(sys.stdout.fileno(), "wb", buffering=0, closefd=False), "standard output")
    if os.path.exists(path) and not os.path.isdir(path) and not stat.S_ISREG(os.stat(path).st_mode):
        try:
            return PipeRecorder(open(path, "wb", buffering=0), path)
        except OSError as exc:
            raise FileError(f"cannot write {path}: {exc.strerror}") from exc
    recorder = FileRecorder(path, many=many)
    recorder.check()
    return recorder
