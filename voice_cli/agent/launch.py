"""Starting the agent in the background, and as a service of the system."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from voice_cli.folders import user_folder

if TYPE_CHECKING:
    import subprocess

MAX_LOG = 1 << 20
"""The most bytes of the log; a longer one begins anew."""

COMMAND = (sys.executable, "-m", "voice_cli", "agent", "run")
"""The command that runs the agent in the foreground."""


def log_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the log of an agent that was started in the background."""
    return os.path.join(user_folder("state", environment), "agent.log")


def may_start(environment: Mapping[str, str] = os.environ, *, is_terminal: bool) -> bool:
    """Return whether an agent may be started without being asked for.

    Not on Windows, in CI, without a home folder, or for root without a terminal, as by cron.
    """
    home = environment.get("HOME", "")
    return (
        sys.platform != "win32"
        and not environment.get("CI")
        and os.path.isdir(home)
        and os.access(home, os.W_OK)
        and (os.geteuid() != 0 or is_terminal)
    )


def start() -> "subprocess.Popen[bytes]":
    """Start the agent in the background, and return its process at once.

    It continues when this process and its terminal end.

    Raises:
        OSError: it cannot be started.

    """
    import subprocess
    import threading

    path = log_path()
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        log = open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115  closed below
        if log.tell() > MAX_LOG:
            log.truncate(0)
    except OSError:
        log = open(os.devnull, "ab")  # noqa: SIM115
    with log:
        process = subprocess.Popen(  # noqa: S603  this program
            COMMAND,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    threading.Thread(target=process.wait, daemon=True).start()  # if it ends first, it must not remain as a zombie
    return process
