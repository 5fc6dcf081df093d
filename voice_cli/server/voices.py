"""Voices by id (never a path or URL), fetched from `voices_url` if that is set.

Fetched voices are written atomically to a cache folder with LRU eviction by size. Engines cache what they compute of a
voice themselves.
"""

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from pydantic import Field

from voice_cli.backends import backend_class
from voice_cli.backends.base import Voice
from voice_cli.config import user_folder, write_atomically
from voice_cli.errors import NetworkError, ServerError
from voice_cli.protocol import openai
from voice_cli.server.errors import OrderError, VoiceNotFoundError
from voice_cli.server.settings import ServerSettings

PATTERN = r"[A-Za-z0-9+_][A-Za-z0-9+_.\-]{0,99}"
"""A voice id. Without slash and colon it cannot be a path or URL."""
VoiceName = Annotated[str, Field(pattern=f"^{PATTERN}$")]

MOST_BYTES = 32 << 20
"""Size limit of one fetched voice."""
FETCH_SECONDS = 15.0

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
        self._changed = threading.Condition()
        self._fetching: set[str] = set()
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

    def ready(self, voice: str) -> str | None:
        """Return the engine's name for a voice; fetch the voice if necessary.

        Raises:
            OrderError: that is not a voice id, or there is no such voice.
            NetworkError, ServerError: the voice could not be fetched.

        """
        self.check(voice)
        if voice not in self._known and voice in STANDARD:
            return self._default
        is_elsewhere = voice not in self._known or voice in self._fetched
        if self._url and self._takes_files and is_elsewhere and not self._is_in_folder(voice):
            self._fetch(voice)
        return voice

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

    def _fetch(self, voice: str) -> None:
        with self._changed:
            while voice in self._fetching:
                self._changed.wait()
            self._fetching.add(voice)
        try:
            path = os.path.join(self._cache, voice + suffix_of(str(self._url)))
            with contextlib.suppress(FileNotFoundError):
                os.utime(path)
                return
            data = download(str(self._url).replace("{voice}", quote(voice, safe="")))
            with self._changed:
                write_atomically(path, data)
                self._fetched.add(voice)
                self._make_room(keep=path)
        except OSError as exc:
            raise ServerError("the server cannot write the voice to its cache") from exc
        finally:
            with self._changed:
                self._fetching.discard(voice)
                self._changed.notify_all()

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


def download(url: str) -> bytes:
    """Fetch a voice. Redirects are not followed, since the settings allow only this host."""
    from voice_cli.backends.remote.curl import pycurl
    from voice_cli.backends.remote.http import trust_system_certificates

    body = bytearray()

    def take(data: bytes) -> int:
        body.extend(data)
        return len(data) if len(body) <= MOST_BYTES else 0

    easy = pycurl.Curl()
    try:
        easy.setopt(pycurl.URL, url)
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.FOLLOWLOCATION, 0)
        easy.setopt(pycurl.TIMEOUT_MS, int(1000 * FETCH_SECONDS))
        easy.setopt(pycurl.WRITEFUNCTION, take)
        if url.startswith("https"):
            trust_system_certificates(easy)
        easy.perform()
        status = easy.getinfo(pycurl.RESPONSE_CODE)
    except pycurl.error as exc:
        if len(body) > MOST_BYTES:
            raise ServerError(f"the voice is larger than {MOST_BYTES} bytes") from exc
        raise NetworkError("the voice server was not reached") from exc
    finally:
        easy.close()
    if status in (403, 404, 410):
        raise VoiceNotFoundError
    if status != 200 or not body:
        raise ServerError(f"the voice server answered {status}")
    return bytes(body)
