"""The cache of utterances: one file each in a private folder, which all processes of the user share.

A file is complete when it appears (it is renamed from a temporary one), and is never changed. It has three lines of
ASCII, and then the bytes as the backend sent them::

    voice-cache 1 CRC32 LENGTH            the checksum and the number of the bytes after this line
    CODEC SAMPLES RATE CHANNELS EXTERNAL  the encoding ("-" and 0: not announced), and 1 for bytes of another process
    START:LENGTH:SECONDS:ESTIMATED …      the words, as `WordEvent`

A file that is not valid counts as missing, and one that cannot be written is left out. When the files are larger than
the limit, those are deleted that were not used for the longest time (their modification time is that of the last use).
"""

import contextlib
import os
import time
from binascii import crc32
from collections.abc import Iterator
from typing import NamedTuple

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import WordEvent
from voice_cli.folders import write_atomically

MAGIC = b"voice-cache 1"
LARGEST_PART = 4
"""An utterance may take a fourth of the cache."""
TRIM_PART = 16
"""After a sixteenth of the limit was written, the files are counted again."""
PARTIAL_SECONDS = 3600.0
"""The age of a temporary file whose process has died."""


class Entry(NamedTuple):
    """The stream of one utterance."""

    encoding: Encoding
    is_external: bool
    words: tuple[WordEvent, ...]
    data: bytes


class Usage(NamedTuple):
    """What is in the cache."""

    utterances: int
    size: int
    """Bytes."""
    oldest: float | None
    """When the one was used that would be deleted first, in seconds since the epoch."""


class Cache:
    """The files in a folder, at most `limit` bytes. Any thread, and any number of processes."""

    def __init__(self, folder: str, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._written = 0
        """Bytes since `trim`."""
        self._is_usable = True

    @property
    def largest(self) -> int:
        """The most bytes of an utterance."""
        return self.limit // LARGEST_PART

    def has(self, key: str) -> bool:
        """Return whether there is a file, which may not be valid."""
        return os.path.exists(self._path(key))

    def read(self, key: str) -> Entry | None:
        """Return an entry, and note that it was used; None: there is none."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                entry = parse(file.read())
        except (OSError, ValueError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return entry

    def write(self, key: str, entry: Entry) -> bool:
        """Store an entry, and return whether it was stored."""
        data = serialized(entry)
        if not self._is_usable or len(data) > self.largest:
            return False
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
            os.chmod(self.folder, 0o700)  # fails if it is another user's
            write_atomically(self._path(key), data, 0o600)
        except OSError:  # the disk is full, or the folder cannot be written
            self._is_usable = False
            return False
        self._written += len(data)
        if self._written > self.limit // TRIM_PART:
            self.trim()
        return True

    def trim(self) -> None:
        """Delete what exceeds the limit, if anything was written."""
        if not self._written:
            return
        self._written = 0
        found = sorted(self._files())
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self.limit:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
            total -= size

    def usage(self) -> Usage:
        found = list(self._files())
        return Usage(len(found), sum(size for _, size, _ in found), min((at for at, _, _ in found), default=None))

    def clear(self) -> Usage:
        """Delete all, and return what was deleted.

        Raises:
            OSError: a file cannot be deleted.

        """
        before = self.usage()
        for _, _, path in self._files():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return before

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key)

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Yield time of the last use, size and path of each file. Delete temporary ones of processes that died."""
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for each in entries:
                with contextlib.suppress(OSError):
                    found = each.stat(follow_symlinks=False)
                    if not each.name.startswith("."):
                        yield found.st_mtime, found.st_size, each.path
                    elif time.time() - found.st_mtime > PARTIAL_SECONDS:
                        os.unlink(each.path)


def serialized(entry: Entry) -> bytes:
    """Return the content of an entry's file."""
    codec, audio_format, samples, _ = entry.encoding
    rate, channels = audio_format or (0, 0)
    words = [f"{word.text_start}:{word.text_length}:{word.seconds!r}:{word.estimated:d}" for word in entry.words]
    head = f"{codec or '-'} {samples} {rate} {channels} {entry.is_external:d}\n{' '.join(words)}\n"
    content = head.encode() + entry.data
    return b"%b %08x %d\n%b" % (MAGIC, crc32(content), len(content), content)


def parse(data: bytes) -> Entry:
    """Return the entry of a file's content.

    Raises:
        ValueError: it is not valid.

    """
    first, _, content = data.partition(b"\n")
    checksum, _, length = first.removeprefix(MAGIC).strip().partition(b" ")
    is_whole = first.startswith(MAGIC) and int(length) == len(content) and int(checksum, 16) == crc32(content)
    if not is_whole:
        raise ValueError("not an entry of the cache")
    head, words, sound = content.split(b"\n", 2)
    codec, samples, rate, channels, is_external = head.decode("ascii").split(" ")
    return Entry(
        Encoding(
            None if codec == "-" else codec, AudioFormat(int(rate), int(channels)) if int(rate) else None, samples
        ),
        is_external == "1",
        tuple(_word(word) for word in words.decode("ascii").split()),
        sound,
    )


def _word(text: str) -> WordEvent:
    start, length, seconds, estimated = text.split(":")
    return WordEvent(int(start), int(length), float(seconds), estimated == "1")
