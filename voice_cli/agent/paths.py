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
    named = environment.get(SOCKET_ENV)
    return os.path.abspath(named) if named else os.path.join(runtime_folder(environment), "agent.sock")


def own_socket(environment: "Mapping[str, str]" = os.environ) -> str | None:
    """Return the path of the agent's socket; None: another user may have created it.

    $VOICE_AGENT_SOCKET is trusted.
    """
    path = socket_path(environment)
    return path if environment.get(SOCKET_ENV) or is_private(os.path.dirname(path)) else None


def control_path() -> str:
    """Return the path of the socket of this process, if it plays itself and can be controlled."""
    return os.path.join(runtime_folder(), f"play-{os.getpid()}.sock")


def is_private(folder: str) -> bool:
    """Return whether a folder belongs to this user, and no other user may use it."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return found.st_uid == os.getuid() and found.st_mode & 0o170077 == 0o040000


def make_private(folder: str) -> None:
    """Create a folder that only the user may use.

    Raises:
        OSError: it cannot be created, or another user may use it.

    """
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        if not is_private(folder):
            raise PermissionError(f"{folder} is not a folder that only this user may use") from None
