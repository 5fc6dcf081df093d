"""The bytes of a file or a pipe, as a stream that a speech can have."""

import os
import select
import sys
from collections.abc import Iterator, Sequence

from voice_cli.audio import Encoding
from voice_cli.backends.base import SpeechStream
from voice_cli.errors import FileError, Interrupted

BLOCK_BYTES = 1 << 14
"""The most bytes of a chunk."""

POLL_SECONDS = 0.05
"""Seconds between two looks whether a stream that waits for its pipe is cancelled."""


class FileStream(SpeechStream):
    """A file, in blocks, or a pipe, as its bytes arrive. It is never in memory as a whole."""

    end_is_marked = False  # a file may have been cut, too

    def __init__(
        self, path: str | int, name: str, expected: Encoding, *, is_external: bool = True, marks: Sequence[float] = ()
    ) -> None:
        """Open the file.

        Args:
            path: the file, or a descriptor, which is not closed.
            name: what messages call it.
            expected: the encoding that its name or the user states.
            is_external: as `SpeechStream.is_external`.
            marks: as `SpeechStream.marks`.

        Raises:
            FileError: it cannot be read, or is a folder.

        """
        self.expected = expected
        self.is_external = is_external
        self.marks = marks
        self.timestamps = {}
        self._name = name
        self._is_cancelled = False
        try:
            self._file = open(path, "rb", buffering=0, closefd=isinstance(path, str))  # noqa: SIM115  closed by __iter__
        except OSError as exc:
            raise self._cannot_read(exc) from exc

    def __iter__(self) -> Iterator[bytes]:
        is_empty = True
        with self._file as file:
            while True:
                self._wait(file.fileno())
                try:
                    data = os.read(file.fileno(), BLOCK_BYTES)
                except OSError as exc:
                    raise self._cannot_read(exc) from exc
                if self._is_cancelled:
                    raise Interrupted("interrupted")
                if not data:
                    break
                is_empty = False
                yield data
        if is_empty:
            raise FileError(f"{self._name} is empty")

    def _wait(self, descriptor: int) -> None:
        """Wait until there is something to read. On Windows, only sockets can be waited for: there, a read waits."""
        while sys.platform != "win32" and not self._is_cancelled:
            if select.select([descriptor], [], [], POLL_SECONDS)[0]:
                return

    def _cannot_read(self, exc: OSError) -> FileError:
        return FileError(f"cannot read {self._name}: {exc.strerror}")

    def cancel(self) -> None:
        self._is_cancelled = True
