"""The backends by name. Each is imported only when it is chosen: what it needs may cost more than the request."""

from importlib import import_module
from typing import Any, cast

from voice_cli.backends.base import Backend
from voice_cli.errors import UsageError

BACKENDS = {
    "espeak": ("voice_cli.backends.local.espeak", "EspeakBackend"),
    "http": ("voice_cli.backends.remote.http", "HttpBackend"),
    "openai": ("voice_cli.backends.remote.openai", "OpenAIBackend"),
    "sherpa": ("voice_cli.backends.local.sherpa", "SherpaBackend"),
    "piper": ("voice_cli.backends.local.piper", "PiperBackend"),
    "chatterbox": ("voice_cli.backends.local.chatterbox", "ChatterboxBackend"),
    "vibevoice": ("voice_cli.backends.local.vibevoice", "VibeVoiceBackend"),
    "chatterbox-ws": ("voice_cli.backends.remote.chatterbox_ws", "ChatterboxWsBackend"),
    "vibevoice-ws": ("voice_cli.backends.remote.vibevoice_ws", "VibeVoiceWsBackend"),
    "omni-ws": ("voice_cli.backends.remote.omni_ws", "OmniWsBackend"),
}
"""Name to module and class."""

REMOTE = frozenset({"http", "openai", "chatterbox-ws", "vibevoice-ws", "omni-ws"})
"""Those that take `base_url`, `api_key` and `timeout`."""

LOCAL = tuple(name for name in BACKENDS if name not in REMOTE)
"""Those that make the sound themselves, in this process."""

ENGINE_KEYS = {
    "sherpa": ("model", "compute", "steps"),
    "piper": ("model", "compute"),
    "chatterbox": ("model", "compute", "preset", "voices"),
    "vibevoice": ("model", "compute", "voices", "steps", "cfg_scale"),
}
"""Those that run a model of the person's own in this process, and the keys of a profile that each takes."""

REMOTE_KEYS = {"chatterbox-ws": ("preset",), "vibevoice-ws": ("steps", "cfg_scale")}
"""The keys that servers' backends take besides."""


def options_of(name: str, profile: object) -> dict[str, Any]:
    """Give what a profile says of a backend's own options."""
    said = {key: getattr(profile, key) for key in ENGINE_KEYS.get(name, ()) + REMOTE_KEYS.get(name, ())}
    return {key: value for key, value in said.items() if value is not None}


def open_backend(name: str, **options: Any) -> Backend:
    """Make the backend of that name with its own constructor's options.

    Raises:
        UsageError: there is none of that name.
        BackendError: it cannot be had here.

    """
    if name not in BACKENDS:
        raise UsageError(f"there is no backend {name!r}", hint=f"the backends: {', '.join(BACKENDS)}")
    module, attribute = BACKENDS[name]
    return cast("Backend", getattr(import_module(module), attribute)(**options))
