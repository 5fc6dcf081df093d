"""Files that can be made again, in a private folder of the user's cache that several processes share.

The modification time of a file is that of its last use. When the files are larger than a limit, those are deleted that
were not used for the longest time.
"""

import os
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import NamedTuple

STALE_SECONDS = 86_400.0
"""The age of a temporary file whose process has died."""


class Usage(NamedTuple):
    """What is kept."""

    files: int
    size: int
    """Bytes."""
    oldest: float | None
    """When the file was used that would be deleted first, in seconds since the epoch."""


class KeptFiles:
    """The files of a folder whose names end with `suffix`, at most `limit` bytes. Any thread, several processes.

    Files whose name begins with a dot or ends with `.partial` are temporary ones.
    """

    def __init__(self, folder: str, limit: int, suffix: str = "") -> None:
        self.folder = folder
        self.limit = limit
        self._suffix = suffix

    def create(self) -> None:
        """Create the folder, which only the user may read.

        Raises:
            OSError: it cannot be created, or is another user's.

        """
        os.makedirs(self.folder, 0o700, exist_ok=True)
        os.chmod(self.folder, 0o700)

    def path(self, key: str) -> str:
        """Return the path of a file, which may not be there."""
        return os.path.join(self.folder, f"{key}{self._suffix}")

    def use(self, key: str) -> bool:
        """Return whether a file is there, and note that it was used."""
        try:
            os.utime(self.path(key))
        except OSError:
            return False
        return True

    def usage(self) -> Usage:
        found = list(self._files())
        return Usage(len(found), sum(size for _, size, _ in found), min((at for at, _, _ in found), default=None))

    def trim(self, keep: Collection[str] = ()) -> None:
        """Delete what exceeds the limit. `keep`: keys whose files stay."""
        found = sorted(self._files())
        kept = {self.path(key) for key in keep}
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self.limit:
                break
            if path not in kept:
                with suppress(OSError):
                    os.unlink(path)
                total -= size

    def clear(self) -> Usage:
        """Delete all, and return what was deleted.

        Raises:
            OSError: a file cannot be deleted.

        """
        before = self.usage()
        for _, _, path in self._files():
            with suppress(FileNotFoundError):
                os.unlink(path)
        return before

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Yield time of the last use, size and path of each file. Delete temporary ones of processes that died."""
        with suppress(OSError), os.scandir(self.folder) as entries:
            for each in entries:
                with suppress(OSError):
                    found = each.stat(follow_symlinks=False)
                    if each.name.startswith(".") or each.name.endswith(".partial"):
                        if time.time() - found.st_mtime > STALE_SECONDS:
                            os.unlink(each.path)
                    elif each.name.endswith(self._suffix):
                        yield found.st_mtime, found.st_size, each.path
