"""Where the agent's socket and the queue of speeches are. Imports nothing that is not loaded at the start of Python."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # collections.abc takes milliseconds
    from collections.abc import Mapping

SOCKET_ENV = "VOICE_AGENT_SOCKET"


def runtime_folder(environment: "Mapping[str, str]" = os.environ) -> str:
    """Return the folder for sockets and locks, which ends with the session of the user or of the machine."""
    user = os.getuid() if hasattr(os, "getuid") else 0  # not on Windows, where there is no agent
    folder = environment.get("XDG_RUNTIME_DIR")
    if not folder and os.path.isdir(f"/run/user/{user}"):  # a program may pass few variables, such as cron
        folder = f"/run/user/{user}"
    return os.path.join(folder, "voice") if folder else f"/tmp/voice-{user}"  # noqa: S108  checked by `make_private`


def socket_path(environment: "Mapping[str, str]" = os.environ) -> str:
    """Return the path of the agent's socket."""
    return environment.get(SOCKET_ENV) or os.path.join(runtime_folder(environment), "agent.sock")


def make_private(folder: str) -> None:
    """Create a folder that only the user may use.

    Raises:
        OSError: it cannot be created, or another user may use it.

    """
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if found.st_uid != os.getuid() or found.st_mode & 0o170077 != 0o040000:
            raise PermissionError(f"{folder} is not a folder that only this user may use") from None
