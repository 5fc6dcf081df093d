"""The order of work at start.

The server takes longest. So only the quick parser, the config file and libcurl are loaded before the request is sent
(`say.say`); everything else is imported while the server works, the device first. With an engine in this process, the
device takes longest, and is loaded before the engine. A test lists the modules that may be loaded before the request.
"""

import os
import sys

from voice_cli import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

INTERRUPTED = 130
"""The exit code of `errors.Interrupted`, which may not be imported yet at Ctrl-C."""


def ends_at_once(code: int) -> bool:
    """Return whether to exit without running exit handlers.

    After a signal: CPython would send itself SIGINT again at exit if it came inside an exec(). While PortAudio is
    starting or stuck: it crashes or hangs in exit handlers.
    """
    portaudio = sys.modules.get("voice_cli.playback.sinks.portaudio")
    return _is_interrupted(code) or (portaudio is not None and portaudio.is_busy())


def flush() -> None:
    """Flush the standard streams. What cannot be written is dropped: at exit, Python would make it exit code 120."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except (OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def end(code: int) -> "NoReturn":
    """Exit without running exit handlers: after a signal by that signal, as shells expect."""
    if _is_interrupted(code) and "voice_cli.cli.interrupts" in sys.modules:
        from voice_cli.cli import interrupts

        interrupts.die()
    os._exit(code)


def _is_interrupted(code: int) -> bool:
    interrupts = sys.modules.get("voice_cli.cli.interrupts")
    return code == (INTERRUPTED if interrupts is None else interrupts.exit_code())


def start(arguments: "Sequence[str]") -> int:
    """Run a command line without the program's name, and return its exit code."""
    try:
        if sys.stdout is not None:
            sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # of any encoding
        if list(arguments) == ["--version"]:
            from voice_cli.cli.console import write_stdout

            write_stdout(f"voice {__version__}")
            return 0
        if list(arguments[:1]) == ["hook"]:
            from voice_cli.cli.hook import hook

            return hook(arguments[1:])
        if list(arguments[:1]) == ["_complete"]:
            from voice_cli.cli.candidates import complete

            return complete(arguments[1:])
        if list(arguments) in (["say", "--help"], ["say", "-h"]):
            from voice_cli.cli.help import print_say_help

            print_say_help()
            return 0
        if arguments and arguments[0] == "say":
            from voice_cli.cli.agent_client import speak_through_agent

            code = speak_through_agent(arguments[1:])
            if code is not None:
                return code
        elif len(arguments) == 1:
            from voice_cli.cli.agent_client import CONTROLS, control

            if arguments[0] in CONTROLS and control(arguments[0]):
                return 0
        from voice_cli.cli import interrupts, quick

        interrupts.watch()
        if arguments and arguments[0] == "play":
            from voice_cli.cli.play import play_arguments

            code = play_arguments(arguments[1:])
            if code is not None:
                return code
        options = quick.parse(arguments)
        if options is None:
            from voice_cli.cli.app import run

            return run(arguments)
        from voice_cli.cli.say import say

        return say(options, has_tried_agent=True)
    except KeyboardInterrupt:
        from voice_cli.cli import interrupts

        return interrupts.exit_code()
    except Exception as exc:  # such as that standard output is full
        from voice_cli.cli.console import report_error

        return report_error(exc, debug=False)
