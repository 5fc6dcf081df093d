"""PortAudio, as python-sounddevice brings it, loaded on a thread of its own.

It is what the first sound waits for longest, after a server: its start tries every device of ALSA's configuration,
which takes 13 ms (42 with what `alsa` spares it) and no interpreter. So it starts by itself, and Python does something
else meanwhile.
"""

import contextlib
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from voice_cli.errors import DeviceError

MISSING = {
    "linux": "install it: apt install libportaudio2 (or: dnf install portaudio)",
    "darwin": "install it: brew install portaudio",
}

SONAME = "libportaudio.so.2"
"""Its library on Linux. Elsewhere sounddevice brings its own, and is quick to load."""

_loader: threading.Thread | None = None
"""The thread of `load_soon`."""


def load_sounddevice() -> Any:
    """Import sounddevice, which loads and starts PortAudio: tens of milliseconds, and noise on file descriptor 2.

    Raises:
        DeviceError: there is no PortAudio, or it does not start.

    """
    if _loader is not None and _loader is not threading.current_thread():
        _loader.join()  # two threads in PortAudio's start are one too many
    try:
        import sounddevice
    except OSError as exc:
        hint = MISSING.get(sys.platform, "install PortAudio")
        raise DeviceError("the PortAudio library is missing", hint=hint) from exc
    except Exception as exc:  # sounddevice.PortAudioError, of a module that did not load
        raise DeviceError(f"PortAudio does not start: {exc}") from exc
    return sounddevice


def load_soon(*, default_only: bool = False) -> None:
    """Begin to load it. `default_only`: no other device than the system's default will be asked for.

    What goes wrong shows when a device is opened. Not on Windows, where PortAudio's COM belongs to the thread that
    started it.

    While it `is_loading`, the process must not end as usual: the C library's farewell takes ALSA's and PulseAudio's
    data away under the thread (signal 11, in a third of such ends).
    """
    global _loader  # noqa: PLW0603  a process has one PortAudio
    if sys.platform != "win32":
        _loader = threading.Thread(target=_load, args=(default_only,), name="voice-portaudio", daemon=True)
        _loader.start()


def is_loading() -> bool:
    """Tell whether PortAudio is being loaded on the thread of `load_soon`."""
    return _loader is not None and _loader.is_alive()


def _load(default_only: bool) -> None:
    with contextlib.suppress(DeviceError):
        try:
            import ctypes

            library = ctypes.CDLL(SONAME)
        except OSError:
            load_sounddevice()  # finds it by another name, or has its own
            return
        if default_only:
            from voice_cli.playback.sinks.alsa import skip_slow_plugins

            with contextlib.suppress(OSError, AttributeError):
                skip_slow_plugins()
        starting = threading.Thread(target=library.Pa_Initialize, name="voice-portaudio-start", daemon=True)
        starting.start()
        with _found_once(starting):
            load_sounddevice()  # counts up what was started
        library.Pa_Terminate()  # counts down


@contextlib.contextmanager
def _found_once(started: threading.Thread) -> Iterator[None]:
    """Have sounddevice find the library that is loaded, once it was `started`.

    It asks `ctypes.util`, which takes 10 ms to import, and as long again to ask ldconfig. Whoever else asks for a
    library meanwhile is told what he would be told otherwise.
    """
    if "ctypes.util" in sys.modules:
        started.join()
        yield
        return

    def find_library(name: str) -> str | None:
        if name == "portaudio":
            started.join()
            return SONAME
        return _search(name)

    stand_in = ModuleType("ctypes.util")
    stand_in.__dict__["find_library"] = find_library
    sys.modules["ctypes.util"] = stand_in
    try:
        yield
    finally:
        del sys.modules["ctypes.util"]
        started.join()


def _search(name: str) -> str | None:
    """Ask the real `ctypes.util`, which goes by another name here."""
    import ctypes
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("ctypes.util", ctypes.__path__)
    if spec is None or spec.loader is None:
        return None
    module = ModuleType("ctypes.util")
    spec.loader.exec_module(module)
    found: str | None = module.find_library(name)
    return found
