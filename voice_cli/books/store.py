"""The sound of chapters, in the user's cache folder: a file each, which is named after its key.

A file is complete if it is there. It stays after the book is complete, so that a changed book needs only the chapters
that have changed, until newer ones need the space.
"""

import hashlib
import json
import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from voice_cli.books.book import Chapter
from voice_cli.errors import FileError
from voice_cli.folders import user_folder

VERSION = 1
"""Changes if the same text and settings are to sound otherwise."""
KEPT_BYTES = 1 << 30
"""Of all files that are kept when a book is complete: some 35 hours."""
STALE_SECONDS = 86_400.0
"""After which a partial file is one that a crash has left."""


def key_of(chapter: Chapter, settings: Mapping[str, Any]) -> str:
    """Return the key of a chapter: SHA-256 of its text, and of the settings that its sound depends on."""
    parts = [VERSION, chapter.text, chapter.markdown, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Store:
    """The folder. Several processes may use it."""

    def __init__(self, folder: str | None = None) -> None:
        """Create the folder, which only the user may read; None: in the user's cache.

        Raises:
            FileError: it cannot be created.

        """
        self.folder = folder or os.path.join(user_folder("cache"), "books")
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
        except OSError as exc:
            raise FileError(f"cannot create {self.folder}: {exc.strerror}") from exc

    def path(self, key: str) -> str:
        """Return the path of a chapter's file, which may not be there."""
        return os.path.join(self.folder, f"{key}.m4a")

    def use(self, key: str) -> bool:
        """Return whether a chapter's file is there, and note that it was used."""
        try:
            os.utime(self.path(key))
        except OSError:
            return False
        return True

    def tidy(self, keep: Collection[str] = (), limit: int = KEPT_BYTES) -> None:
        """Remove what crashes have left, and the files used least recently that are beyond `limit` bytes.

        `keep`: keys whose files stay.
        """
        found = []
        with suppress(OSError):
            for entry in os.scandir(self.folder):
                with suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(".partial"):
                        if time.time() - stat.st_mtime > STALE_SECONDS:
                            os.unlink(entry.path)
                    elif entry.name.endswith(".m4a"):
                        found.append((stat.st_mtime, stat.st_size, entry))
        total = 0
        for _, size, entry in sorted(found, key=lambda each: each[0], reverse=True):
            total += size
            if total > limit and entry.name.removesuffix(".m4a") not in keep:
                with suppress(OSError):
                    os.unlink(entry.path)
