"""Voices by id (never a path or URL), fetched from `voices_url` if that is set.

Fetched voices are written atomically to a cache folder with LRU eviction by size. Engines cache what they compute of a
voice themselves.
"""

import contextlib
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import Field

from voice_cli.backends import backend_class
from voice_cli.backends.base import Voice
from voice_cli.errors import ServerError
from voice_cli.folders import user_folder, write_atomically
from voice_cli.protocol import openai
from voice_cli.server.errors import OrderError
from voice_cli.server.fetches import Fetches, Waiter, download
from voice_cli.server.settings import ServerSettings

PATTERN = r"[A-Za-z0-9+_][A-Za-z0-9+_.\-]{0,99}"
"""A voice id. Without slash and colon it cannot be a path or URL."""
VoiceName = Annotated[str, Field(pattern=f"^{PATTERN}$")]

STANDARD = frozenset({*openai.VOICES, "default"})
"""Names that OpenAI's clients send by default: the server's default voice, unless the engine has one so named."""


class Voices:
    """Resolves voice ids for the engine. Any thread."""

    def __init__(self, settings: ServerSettings) -> None:
        server = settings.server
        self._default = settings.voice
        self._url = server.voices_url
        self._takes_files = backend_class(server.engine).voices_are_files
        self._folder = os.path.expanduser(server.voices) if server.voices else None
        self._cache = os.path.expanduser(server.voices_cache or os.path.join(user_folder("cache"), "voices"))
        self._most_cached = int(server.voices_cache_mb * 1e6)
        self._known: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        """Guards the cache folder."""
        self._fetches = Fetches(self._fetch)
        self._fetched = set(self.cached())
        """Ids that are or were in the cache: the engine may list evicted ones."""

    def engine_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the engine's options with the folders of voices added and paths as voices forbidden."""
        if not self._takes_files:
            return dict(options)
        folders = [self._folder] if self._folder else [options["voices"]] if options.get("voices") else []
        if self._url:
            os.makedirs(self._cache, mode=0o700, exist_ok=True)
            folders.append(self._cache)
        return {**options, "voices": folders, "allow_paths": False}

    def know(self, voices: Iterable[Voice]) -> None:
        """Store the engine's own list of voices."""
        self._known = frozenset(name for voice in voices for name in (voice.id, voice.language) if name)

    def check(self, voice: str) -> None:
        """Raise OrderError if that is not a voice id."""
        if re.fullmatch(PATTERN, voice) is None:
            hint = "an id has letters, digits and any of + _ . -"
            raise OrderError("that is not a voice id", code="voice_not_found", hint=hint)

    def has(self, voice: str) -> bool:
        """Return whether the engine's last list of voices has it."""
        if not self._known or voice in STANDARD:
            return True
        base, _, variant = voice.partition("+")
        return voice in self._known or (bool(variant) and (not base or base in self._known))

    def name_of(self, voice: str) -> str | None:
        """Return the engine's name for a voice. Raises OrderError if that is not a voice id."""
        self.check(voice)
        return self._default if voice not in self._known and voice in STANDARD else voice

    def fetch(self, voice: str) -> Waiter | None:
        """Start to fetch a voice that is not here, and return what to wait for; None: no voice is to be fetched.

        Raises:
            OrderError: that is not a voice id, or there is no such voice.
            NetworkError, ServerError: the voice could not be fetched a moment ago.
            OverloadError: too many others are being fetched.

        """
        self.check(voice)
        if not (self._url and self._takes_files) or (voice not in self._known and voice in STANDARD):
            return None
        is_here = voice in self._known and voice not in self._fetched
        if is_here or self._is_in_folder(voice):
            return None
        with contextlib.suppress(OSError):
            os.utime(self._path_of(voice))
            return None
        return self._fetches.join(voice)

    def cached(self) -> list[str]:
        """Return the ids of cached voices."""
        with contextlib.suppress(OSError):
            return sorted(os.path.splitext(name)[0] for name in os.listdir(self._cache) if not name.startswith("."))
        return []

    def _is_in_folder(self, voice: str) -> bool:
        with contextlib.suppress(OSError):
            names = os.listdir(self._folder) if self._folder else []
            return any(voice in (name, os.path.splitext(name)[0]) for name in names)
        return False

    def _fetch(self, voice: str, is_wanted: Callable[[], bool]) -> None:
        path = self._path_of(voice)
        data = download(str(self._url).replace("{voice}", quote(voice, safe="")), is_wanted)
        try:
            with self._lock:
                write_atomically(path, data)
                self._fetched.add(voice)
                self._make_room(keep=path)
        except OSError as exc:
            raise ServerError("the server cannot write the voice to its cache") from exc

    def _path_of(self, voice: str) -> str:
        return os.path.join(self._cache, voice + suffix_of(str(self._url)))

    def _make_room(self, keep: str) -> None:
        with contextlib.suppress(OSError):
            entries = [entry for entry in os.scandir(self._cache) if entry.is_file(follow_symlinks=False)]
            total = 0
            for entry in sorted(entries, key=lambda entry: entry.stat().st_mtime, reverse=True):
                total += entry.stat().st_size
                if total > self._most_cached and entry.path != keep:
                    with contextlib.suppress(OSError):
                        os.unlink(entry.path)


def suffix_of(url: str) -> str:
    """Return the suffix of a URL's path, or `.wav`."""
    return os.path.splitext(urlsplit(url).path)[1] or ".wav"
