"""The sound of chapters, in the user's cache folder: a file each, which is named after its key.

A file is complete if it is there. It stays after the book is complete, so that a changed book needs only the chapters
that have changed, until newer ones need the space.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from voice_cli.books.book import Chapter
from voice_cli.errors import FileError
from voice_cli.folders import user_folder
from voice_cli.kept_files import KeptFiles

VERSION = 1
"""Changes if the same text and settings are to sound otherwise."""
KEPT_BYTES = 1 << 30
"""Of all files that are kept when a book is complete: some 35 hours."""


def key_of(chapter: Chapter, settings: Mapping[str, Any]) -> str:
    """Return the key of a chapter: SHA-256 of its text, and of the settings that its sound depends on."""
    parts = [VERSION, chapter.text, chapter.markdown, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Store(KeptFiles):
    """The chapters of all books."""

    def __init__(self, folder: str | None = None, limit: int = KEPT_BYTES) -> None:
        """Set the folder; None: in the user's cache."""
        super().__init__(folder or os.path.join(user_folder("cache"), "books"), limit, ".m4a")

    def create(self) -> None:
        """Create the folder.

        Raises:
            FileError: it cannot be created.

        """
        try:
            super().create()
        except OSError as exc:
            raise FileError(f"cannot create {self.folder}: {exc.strerror}") from exc
