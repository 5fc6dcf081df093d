"""The cache of `voice say`, by the settings of a speech."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from voice_cli.backends import REMOTE, backend_class, is_remote
from voice_cli.backends.base import Backend
from voice_cli.config import AZURE_URL_ENV, Profile, Settings
from voice_cli.folders import user_folder

SILENT_SETTINGS = frozenset({"api_key_env", "api_key_command", "api_key_header", "fallback", "cache"})
"""The settings of a profile that do not change the sound."""
REQUESTED = frozenset({"voice", "model", "format", "speed", "instructions", "speakers"})
"""Those that are in the request."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the folder."""
    return os.path.join(user_folder("cache", environment), "speech")


def with_cache(
    settings: Settings,
    open_backend: Callable[[], AbstractContextManager[Backend]],
    environment: Mapping[str, str] = os.environ,
) -> AbstractContextManager[Backend]:
    """Return the context of a backend of which the cache is used, or of the backend itself.

    Raises:
        UsageError, BackendError: as `open_backend`, if the cache is not used.

    """
    name, limit = str(settings.profile.backend), round(1e6 * settings.defaults.cache_size)
    is_cached = (
        limit and settings.profile.cache is not False and (name in REMOTE or backend_class(name).is_worth_caching)
    )
    if not is_cached:
        return open_backend()
    from contextlib import closing

    from voice_cli.speech.cache import Cache
    from voice_cli.speech.caching import CachingBackend

    key = key_settings(settings.profile, environment)
    cache = Cache(cache_folder(environment), limit)
    return closing(CachingBackend(name, cache, key, open_backend, is_remote=is_remote(name)))


def key_settings(profile: Profile, environment: Mapping[str, str] = os.environ) -> tuple[Any, ...]:
    """Return what the sound of a profile depends on, besides the requests.

    The files of an engine in this process count with their sizes and times, so that a new model has new keys.
    """
    values = profile._asdict().items()
    found: list[Any] = [pair for pair in values if pair[0] not in SILENT_SETTINGS | REQUESTED and pair[1] is not None]
    if not is_remote(str(profile.backend)):
        found += [_stamp(path) for path in (profile.model, profile.voice, profile.voices) if path]
    if profile.backend == "openai":
        found.append(environment.get(AZURE_URL_ENV))
    return tuple(found)


def _stamp(path: str) -> Any:
    """Return the absolute path, the size and the time of a file; of a folder, those of its files; else None."""
    path = os.path.abspath(os.path.expanduser(path))
    try:
        if os.path.isdir(path):
            with os.scandir(path) as entries:
                return path, sorted((each.name, *_size_and_time(each.stat())) for each in entries)
        return path, *_size_and_time(os.stat(path))
    except OSError:
        return None


def _size_and_time(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
