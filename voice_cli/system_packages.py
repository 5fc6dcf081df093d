"""The commands that install the system libraries and programs that this program uses, by system."""

import sys

_NAMES = {
    # name: packages of apt, dnf and brew
    "PortAudio": ("libportaudio2", "portaudio", "portaudio"),
    "libopus": ("libopus0", "opus", "opus"),
    "libmpg123": ("libmpg123-0", "mpg123-libs", "mpg123"),
    "ffmpeg": ("ffmpeg", "ffmpeg", "ffmpeg"),
}
_ON_WINDOWS = {
    "PortAudio": "pip install --force-reinstall sounddevice",
    "ffmpeg": "winget install ffmpeg",
}


def install_hint(name: str) -> str:
    """Return the end of a message: how to install a library or a program. `name`: one of `_NAMES`."""
    apt, dnf, brew = _NAMES[name]
    if sys.platform == "darwin":
        return f"install it: brew install {brew}"
    if sys.platform == "win32":
        return f"install it: {_ON_WINDOWS.get(name, name)}"
    if sys.platform.startswith("linux"):
        return f"install it: apt install {apt} (or: dnf install {dnf})"
    return f"install {name}"
