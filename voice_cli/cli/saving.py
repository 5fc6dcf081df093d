"""Where `--save` goes."""

import os
import stat
import sys

from voice_cli.cli.options import SayOptions
from voice_cli.errors import FileError, UsageError
from voice_cli.recording.recorder import FileRecorder, PipeRecorder, Recorder


def make_recorder(options: SayOptions, codec: str, *, many: bool) -> Recorder:
    """Make ready to save what is asked for in that codec, and find out now what would only fail at the end.

    `many`: there may be several streams. `-` and what is no regular file (a pipe, /dev/stdout) get WAV as it comes.

    Raises:
        UsageError: it cannot be so saved.
        FileError: it cannot be written there.

    """
    path = str(options.save)
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
    recorder.check(codec)
    return recorder
