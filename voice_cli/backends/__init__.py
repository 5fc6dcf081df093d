"""The backends by name. A backend's module is imported when the backend is first used.

Another package adds a backend with an entry point of the group `voice_cli.backends` (`NAME = "module:Class"`).
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from voice_cli.backends.base import Backend
from voice_cli.errors import EngineError, UsageError, nearest
from voice_cli.printable import one_line

GROUP = "voice_cli.backends"


class Registry(dict[str, str]):
    """Name to "module:Class".

    Iteration yields only the built-in names. Other names are looked up in the entry points of installed packages.
    """

    def __missing__(self, name: str) -> str:
        return self.installed()[name]

    def __contains__(self, name: object) -> bool:
        return name in self.keys() or name in self.installed()

    def installed(self) -> Mapping[str, str]:
        """Return the backends of other packages, except those with a built-in name."""
        from importlib.metadata import entry_points

        return {point.name: point.value for point in entry_points(group=GROUP) if point.name not in self.keys()}

    def names(self) -> list[str]:
        """Return every name, those of other packages last."""
        return [*self, *self.installed()]


BACKENDS = Registry(
    {
        "espeak": "voice_cli.backends.local.espeak:EspeakBackend",
        "http": "voice_cli.backends.remote.http:HttpBackend",
        "openai": "voice_cli.backends.remote.openai:OpenAIBackend",
        "sherpa": "voice_cli.backends.local.sherpa:SherpaBackend",
        "piper": "voice_cli.backends.local.piper:PiperBackend",
        "kokoro": "voice_cli.backends.local.kokoro:KokoroBackend",
        "chatterbox": "voice_cli.backends.local.chatterbox:ChatterboxBackend",
        "vibevoice": "voice_cli.backends.local.vibevoice:VibeVoiceBackend",
        "chatterbox-ws": "voice_cli.backends.remote.chatterbox_ws:ChatterboxWsBackend",
        "vibevoice-ws": "voice_cli.backends.remote.vibevoice_ws:VibeVoiceWsBackend",
        "omni-ws": "voice_cli.backends.remote.omni_ws:OmniWsBackend",
    }
)

REMOTE = frozenset(name for name, place in BACKENDS.items() if ".remote." in place)
LOCAL = tuple(name for name in BACKENDS if name not in REMOTE)
"""The built-in engines that run in this process."""


def is_remote(name: str) -> bool:
    """Return whether a backend uses a server. Imports nothing for a built-in one."""
    return name in REMOTE or (name not in LOCAL and backend_class(name).is_remote)


def local_names() -> list[str]:
    """Return the names of all backends that run in this process, those of other packages last.

    A backend of another package that does not load is included.
    """
    return [*LOCAL, *(name for name in BACKENDS.installed() if not _loads_as_remote(name))]


def _loads_as_remote(name: str) -> bool:
    try:
        return is_remote(name)
    except EngineError:
        return False


def backend_class(name: str) -> type[Backend]:
    """Import and return the class of a backend.

    Raises:
        UsageError: no backend has that name.
        EngineError: its module does not load, or the class is not a `Backend`.

    """
    if name not in BACKENDS:
        known = BACKENDS.names()
        raise UsageError(
            f"there is no backend {name!r}{nearest(name, known)}", hint=f"the backends: {', '.join(known)}"
        )
    module, _, attribute = BACKENDS[name].partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except Exception as exc:
        raise EngineError(f"the backend {name!r} does not load: {one_line(str(exc))}") from exc
    if not (isinstance(found, type) and issubclass(found, Backend)):
        raise EngineError(f"the backend {name!r} does not load: {BACKENDS[name]} is not a Backend")
    return found


def options_of(name: str, profile: object) -> dict[str, Any]:
    """Return the settings of a profile that the backend's constructor takes."""
    values = {key: getattr(profile, key) for key in backend_class(name).settings}
    return {key: value for key, value in values.items() if value is not None}


def open_backend(name: str, **options: Any) -> Backend:
    """Create a backend with its constructor's options.

    Raises:
        UsageError: no backend has that name, or an option is invalid.
        BackendError: it cannot run on this machine.

    """
    return backend_class(name)(**options)
