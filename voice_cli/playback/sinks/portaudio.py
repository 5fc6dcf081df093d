"""PortAudio (through python-sounddevice), loaded on a separate thread.

Its start probes every device of ALSA's configuration, which takes 13 ms (42 with the plugins that `alsa` skips) without
the interpreter lock, so other imports run meanwhile.
"""

import builtins
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from voice_cli.errors import DeviceError

SONAME = "libportaudio.so.2"
"""The library on Linux. For other systems, sounddevice includes it, and loads quickly."""

STREAM_PROPERTIES = {
    "PULSE_PROP_OVERRIDE": "application.name=voice media.role=a11y",
    "PIPEWIRE_ALSA": '{ application.name = "voice", media.role = "Accessibility" }',
}
"""Variables from which the ALSA plugins of PulseAudio and PipeWire take the properties of a stream, and their values:
the name in a volume control, and a role, so that a policy can lower other sounds during speech."""

_loader: threading.Thread | None = None
"""The thread of `load_soon`."""

_stuck: list[tuple[threading.Thread, Any]] = []
"""Threads that call PortAudio and have not returned in time, and their streams."""


def load_sounddevice() -> Any:
    """Import sounddevice, which loads and starts PortAudio: tens of milliseconds, and noise on file descriptor 2.

    Raises:
        DeviceError: PortAudio is missing, or does not start.

    """
    if _loader is not None and _loader is not threading.current_thread():
        _loader.join()  # PortAudio must not be initialized by two threads at once
    _name_streams()
    try:
        import sounddevice
    except OSError as exc:
        from voice_cli.system_packages import install_hint

        raise DeviceError("the PortAudio library is missing", hint=install_hint("PortAudio")) from exc
    except Exception as exc:  # sounddevice.PortAudioError, which cannot be imported
        raise DeviceError(f"PortAudio does not start: {exc}") from exc
    return sounddevice


def load_soon(*, default_only: bool = False) -> None:
    """Start to load PortAudio on a thread. `default_only`: only the system's default device will be used.

    Errors are raised when a device is opened. Does nothing on Windows, where PortAudio's COM belongs to its thread.

    While it `is_busy`, the process must not run exit handlers: those of ALSA and PulseAudio free data that the
    thread uses (signal 11).
    """
    global _loader  # noqa: PLW0603  a process has one PortAudio
    if sys.platform != "win32":
        _loader = threading.Thread(target=_load, args=(default_only,), name="voice-portaudio", daemon=True)
        _loader.start()


def _name_streams() -> None:
    for name, value in STREAM_PROPERTIES.items():
        os.environ.setdefault(name, value)


def reload_devices() -> None:
    """Have PortAudio list the devices again, which it does only when it starts. No stream may be open.

    Raises:
        DeviceError: as `load_sounddevice`; or PortAudio is stuck.

    """
    sounddevice = load_sounddevice()
    if is_stuck():
        raise DeviceError("the audio server does not answer")
    try:
        if sounddevice._initialized:  # noqa: SLF001  it has no public functions for this
            sounddevice._terminate()  # noqa: SLF001
        sounddevice._initialize()  # noqa: SLF001
    except sounddevice.PortAudioError as exc:
        raise DeviceError(f"PortAudio does not start: {exc}") from exc


def call_within(seconds: float, function: Callable[[], object], stream: Any) -> None:
    """Call a function of a PortAudio stream that may never return, on a thread.

    Raises:
        DeviceError: it has not returned in time. It may still return; do not use the stream again.
        Exception: as the function.

    """
    errors: list[Exception] = []

    def call() -> None:
        try:
            function()
        except Exception as exc:
            errors.append(exc)

    thread = threading.Thread(target=call, name="voice-portaudio-call", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _stuck.append((thread, stream))
        raise DeviceError("the audio server does not answer")
    if errors:
        raise errors[0]


def is_stuck() -> bool:
    """Return whether a call of `call_within` has not returned. Then PortAudio can neither be restarted nor ended."""
    return any(thread.is_alive() for thread, _ in _stuck)


def is_busy() -> bool:
    """Return whether a thread is in PortAudio that may not return: that of `load_soon`, or one that is stuck."""
    return (_loader is not None and _loader.is_alive()) or is_stuck()


def _load(default_only: bool) -> None:
    _name_streams()
    with contextlib.suppress(DeviceError):
        try:
            import ctypes

            library = ctypes.CDLL(SONAME)
        except OSError:
            load_sounddevice()  # which may find it by another name, or include it
            return
        if default_only:
            from voice_cli.playback.sinks.alsa import skip_slow_plugins

            with contextlib.suppress(OSError, AttributeError):
                skip_slow_plugins()
        starting = threading.Thread(target=library.Pa_Initialize, name="voice-portaudio-start", daemon=True)
        starting.start()

        def find_library(name: str) -> str | None:
            starting.join()
            if name == "portaudio":
                return SONAME
            from ctypes import util

            return util.find_library(name)

        if not {"sounddevice", "ctypes.util"} & sys.modules.keys():
            with contextlib.suppress(Exception):  # `load_sounddevice` raises the error again
                _import_sounddevice(find_library)
        starting.join()
        load_sounddevice()
        library.Pa_Terminate()  # undo our Pa_Initialize; sounddevice has called it again


def _import_sounddevice(find_library: Callable[[str], str | None]) -> None:
    """Import sounddevice with `find_library` instead of `ctypes.util`'s, which takes 20 ms to import and call.

    Only sounddevice's import statements are affected.
    """
    spec = next(filter(None, (finder.find_spec("sounddevice", None) for finder in sys.meta_path)), None)
    if spec is None or spec.loader is None:
        return
    ctypes_util = SimpleNamespace(find_library=find_library)

    def import_module(name: str, scope: Any = None, names: Any = None, wanted: Any = (), level: int = 0) -> Any:
        if name == "ctypes.util" and wanted:
            return ctypes_util
        return builtins.__import__(name, scope, names, wanted, level)

    module = ModuleType("sounddevice")
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    module.__dict__["__builtins__"] = {**vars(builtins), "__import__": import_module}
    spec.loader.exec_module(module)
    sys.modules.setdefault("sounddevice", module)
