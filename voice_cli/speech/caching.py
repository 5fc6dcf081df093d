"""A backend that keeps what another one has synthesised, and does not ask it again::

    Narration ─▶ CachingBackend ─▶ Cache.read ─▶ CachedStream
                        └ missing: opens the backend, if it is not open ─▶ KeepingStream ─▶ Speech
                                                                                 ▲             │
                                                                            Cache.write ◀── `keep`

`Speech` calls `keep` when it has decoded the utterance to its end, so a stream that was cut, cancelled or not valid is
not stored. A text stream (`open_text_stream`) is not cached.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from voice_cli.audio import Encoding
from voice_cli.backends.base import Backend, SpeechRequest, SpeechStream, TextStream, Voice, WordEvent
from voice_cli.errors import Interrupted
from voice_cli.speech.cache import Cache, Entry
from voice_cli.speech.speeds import synthesize

try:  # hashlib loads OpenSSL, which takes 4 ms before the request
    from _sha2 import sha256  # type: ignore[import-not-found]  # since Python 3.12
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256

FIRST_BYTES, PIECE_BYTES = 1 << 14, 1 << 16
"""The first chunk of a cached stream, which is decoded before any sound, and the others."""


def key_of(settings: object, request: SpeechRequest) -> str:
    """Return the key of an utterance: the SHA-256 of all that its sound depends on.

    `settings`: those of the backend, a value whose `repr` has all of them.
    """
    parts = (settings, request._replace(options=sorted(request.options.items()), due=None))  # type: ignore[arg-type]
    return str(sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest())


class CachedStream(SpeechStream):
    """An utterance of the cache."""

    is_cached = True

    def __init__(self, key: str, entry: Entry) -> None:
        self.cache_key = key
        self.expected = self.announced = entry.encoding
        self.words = entry.words
        self.is_external = entry.is_external
        self.timestamps = {"cached": time.monotonic()}
        self._data = entry.data
        self._is_cancelled = False

    def __iter__(self) -> Iterator[bytes]:
        data, self._data = self._data, b""  # the utterances of a long speech are not all kept in memory
        at, size = 0, FIRST_BYTES
        while at < len(data):
            if self._is_cancelled:
                raise Interrupted("interrupted")
            yield data[at : at + size]
            at, size = at + size, PIECE_BYTES

    def cancel(self) -> None:
        self._is_cancelled = True


class KeepingStream(SpeechStream):
    """The stream of a backend, stored by `keep`."""

    def __init__(self, stream: SpeechStream, cache: Cache, key: str) -> None:
        self.cache_key = ""
        self._stream = stream
        self._cache = cache
        self._key = key
        self._chunks: list[bytes] = []
        self._size = 0
        self._has_ended = False

    @property
    def expected(self) -> Encoding:  # type: ignore[override]
        return self._stream.expected

    @property
    def announced(self) -> Encoding | None:  # type: ignore[override]
        return self._stream.announced

    @property
    def timestamps(self) -> dict[str, float]:  # type: ignore[override]
        return self._stream.timestamps

    @property
    def words(self) -> Sequence[WordEvent]:  # type: ignore[override]
        return self._stream.words

    @property
    def notes(self) -> Sequence[str]:  # type: ignore[override]
        return self._stream.notes

    @property
    def is_external(self) -> bool:  # type: ignore[override]
        return self._stream.is_external

    @property
    def end_is_marked(self) -> bool:  # type: ignore[override]
        return self._stream.end_is_marked

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            self._size += len(data)
            if self._size <= self._cache.largest:
                self._chunks.append(data)
            else:
                self._chunks.clear()
            yield data
        self._has_ended = True

    def keep(self) -> None:
        chunks, self._chunks = self._chunks, []
        if not (self._has_ended and self.end_is_marked and chunks):
            return
        announced, expected = self.announced or self.expected, self.expected
        encoding = announced._replace(format=announced.format or expected.format, unsupported="")
        if self._cache.write(self._key, Entry(encoding, self.is_external, tuple(self.words), b"".join(chunks))):
            self.cache_key = self._key

    def cancel(self) -> None:
        self._stream.cancel()


class CachingBackend(Backend):
    """A backend whose utterances are cached. It is opened at the first request that the cache cannot answer."""

    def __init__(
        self,
        name: str,
        cache: Cache,
        settings: object,
        open_backend: Callable[[], AbstractContextManager[Backend]],
        *,
        is_remote: bool,
    ) -> None:
        """Set the backend.

        Args:
            name: of the backend.
            cache: where the utterances are.
            settings: the first part of the keys, as `key_of` needs it.
            open_backend: returns the backend's context, which is left by `close`. It may raise.
            is_remote: whether it uses a server.

        """
        self._name = name
        self._is_remote = is_remote
        self._cache = cache
        self._settings = settings
        self._open = open_backend
        self._lock = threading.Lock()
        self._context: AbstractContextManager[Backend] | None = None
        self._backend: Backend | None = None
        self._is_closed = False
        self._cached: Encoding | None = None
        """The encoding of the first utterance, if it was cached."""

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._name

    @property
    def is_remote(self) -> bool:  # type: ignore[override]
        return self._is_remote

    @property
    def backend(self) -> Backend:
        """The backend, which is opened now if it is not. Any thread."""
        with self._lock:
            if self._is_closed:
                raise Interrupted("interrupted")
            if self._backend is None:
                context = self._open()
                self._backend = context.__enter__()
                self._context = context
            return self._backend

    def synthesize(self, request: SpeechRequest) -> SpeechStream:
        key = key_of(self._settings, request)
        entry = self._cache.read(key)
        if entry is not None:
            self._cached = self._cached or entry.encoding
            return CachedStream(key, entry)
        return KeepingStream(synthesize(self.backend, request), self._cache, key)

    @property
    def max_requests(self) -> int | None:  # type: ignore[override]
        """That of the backend; None while it is not open, since it has no requests."""
        return self._backend.max_requests if self._backend is not None else None

    @property
    def supports_streaming_text(self) -> bool:  # type: ignore[override]
        return self.backend.supports_streaming_text

    @property
    def where(self) -> str:
        return self._backend.where if self._backend is not None else self._name

    def expected(self, codec: str) -> Encoding:
        return self._cached or self.backend.expected(codec)

    def language(self, voice: str | None) -> str:
        return "" if self._is_remote else self.backend.language(voice)  # servers have no voice whose language is known

    def check_options(self, options: Mapping[str, Any]) -> None:
        self.backend.check_options(options)

    def open_text_stream(self, request: SpeechRequest, *, ahead: int) -> TextStream:
        return self.backend.open_text_stream(request, ahead=ahead)

    def prepare(self) -> None:
        self.backend.prepare()

    def voices(self) -> list[Voice]:
        return self.backend.voices()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            context, self._context = self._context, None
        if context is not None:
            context.__exit__(None, None, None)
        self._cache.trim()
