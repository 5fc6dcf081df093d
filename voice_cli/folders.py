"""Folders and files of the user. Imports nothing that a Python process has not loaded at its start."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # collections.abc takes milliseconds
    from collections.abc import Mapping

FOLDERS = {
    "config": ("XDG_CONFIG_HOME", ".config", "Application Support", "APPDATA", "Roaming"),
    "state": ("XDG_STATE_HOME", ".local/state", "Application Support", "LOCALAPPDATA", "Local"),
    "data": ("XDG_DATA_HOME", ".local/share", "Application Support", "LOCALAPPDATA", "Local"),
    "cache": ("XDG_CACHE_HOME", ".cache", "Caches", "LOCALAPPDATA", "Local"),
}
"""By kind: the XDG variable and the default in the home folder; macOS's folder in ~/Library; Windows' variable and the
default in ~/AppData."""


def user_folder(kind: str, environment: "Mapping[str, str]" = os.environ) -> str:
    """Return the user's folder for files of a kind: `config`, `state`, `data` or `cache`."""
    xdg, at_home, library, variable, app_data = FOLDERS[kind]
    home = os.path.expanduser("~")
    if sys.platform == "win32":
        folder = environment.get(variable) or os.path.join(home, "AppData", app_data)
    elif environment.get(xdg):
        folder = environment[xdg]
    elif sys.platform == "darwin":
        folder = os.path.join(home, "Library", library)
    else:
        folder = os.path.join(home, at_home)
    return os.path.join(folder, "voice")


def write_atomically(path: str, data: bytes, mode: int | None = None) -> None:
    """Write a file so that other processes never read a part of it. Its folder must exist. `mode`: its permissions."""
    partial = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}")
    try:
        with open(partial, "xb") as file:
            if mode is not None:
                os.chmod(partial, mode)  # while it is empty
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def config_path(environment: "Mapping[str, str]" = os.environ) -> str:
    """Return the path of the config file: $VOICE_CONFIG, or in the user's folder."""
    named = environment.get("VOICE_CONFIG")
    return os.path.expanduser(named) if named else os.path.join(user_folder("config", environment), "config.toml")
