"""The backends by name. Each is imported only when it is chosen: what it needs may cost more than the request."""

from importlib import import_module
from typing import Any, cast

from voice_cli.backends.base import Backend
from voice_cli.errors import UsageError

BACKENDS = {
    "espeak": ("voice_cli.backends.espeak", "EspeakBackend"),
    "http": ("voice_cli.backends.http", "HttpBackend"),
    "openai": ("voice_cli.backends.openai", "OpenAIBackend"),
}
"""Name to module and class."""

REMOTE = frozenset({"http", "openai"})
"""Those that take `base_url`, `api_key` and `timeout`."""


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
