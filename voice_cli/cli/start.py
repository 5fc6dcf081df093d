"""The order of work at start, in one place.

What the first sound waits for is the server. So the way from here to the request is short: the quick reader (not
typer), the config file if there is one, libcurl, and out it goes (`say.say`). All else is imported behind the request's
back, while the server thinks; first the device. Where the engine is in this process, it is the device that is waited
for, and begins to load before the engine does. A test holds the list of modules that may be loaded before the request.
"""

import sys
from collections.abc import Sequence

from voice_cli import __version__
from voice_cli.cli import interrupts

INTERRUPTED = 130
"""The exit code of `errors.Interrupted`: Ctrl-C may come before that is imported."""


def ends_at_once(code: int) -> bool:
    """Tell whether this process, with that exit code, is to end without a library's farewell.

    Whoever pressed Ctrl-C waits for nothing more. Nor for CPython, which at a regular end sends itself the signal again
    if it once came inside an exec() (of a dataclass, say). And PortAudio, while it still starts, survives no farewell.
    """
    portaudio = sys.modules.get("voice_cli.playback.sinks.portaudio")
    return code == INTERRUPTED or (portaudio is not None and portaudio.is_loading())


def start(arguments: Sequence[str]) -> int:
    """Run a command line (without the program's name) and give the exit code."""
    try:
        interrupts.watch()
        if list(arguments) == ["--version"]:
            print(f"voice {__version__}")  # noqa: T201
            return 0
        if list(arguments) in (["say", "--help"], ["say", "-h"]):
            from voice_cli.cli.help import print_say_help

            print_say_help()
            return 0
        from voice_cli.cli import quick

        options = quick.parse(arguments)
        if options is None:
            from voice_cli.cli.app import run

            return run(arguments)
        from voice_cli.cli.say import say

        return say(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as exc:  # what a command lets through concerns its output
        from voice_cli.cli.console import report_error

        return report_error(exc, debug=False)
