"""`voice hook PROGRAM`: what a program with hooks runs at an event, and waits for. So little is imported."""

import contextlib
import os
import sys
import time
from collections.abc import Sequence

from voice_cli.assistants import events
from voice_cli.assistants.programs import known
from voice_cli.errors import VoiceError

MAX_LOG = 1 << 16
"""The most bytes of the log of errors; a longer one begins anew."""


def hook(arguments: Sequence[str]) -> int:
    """React to an event of a program: the words are its name, and the event if it is not on standard input.

    Return 0 in any case, and write nothing to standard output: programs take another code or output for an answer.
    """
    try:
        (program,) = known(arguments[:1])
        event = events.parse(arguments[1] if len(arguments) > 1 else events.read_object(sys.stdin.buffer))
        if event is not None:
            _detach()
            from voice_cli.assistants.reactions import react

            react(program, event)
    except Exception as exc:
        _report(exc)
    return 0


def _detach() -> None:
    """Continue in a new process, and exit: the program waits for this one. It may also kill the processes it knows."""
    if not hasattr(os, "fork"):
        return
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)


def _report(error: Exception) -> None:
    """Print an error, which the program may hide, and append it to a log."""
    from voice_cli.cli.console import print_message
    from voice_cli.cli.options import line_of
    from voice_cli.folders import user_folder
    from voice_cli.printable import one_line

    inside = f"internal error: {type(error).__name__}: {error}"
    line = one_line(line_of(error) if isinstance(error, VoiceError) else inside)
    print_message(line)
    path = os.path.join(user_folder("state"), "hooks.log")
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "a+", encoding="utf-8", errors="backslashreplace") as file:
            if file.tell() > MAX_LOG:
                file.truncate(0)
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
