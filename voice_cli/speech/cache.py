"""The cache of utterances: one file each in a private folder, which all processes of the user share.

A file is complete when it appears (it is renamed from a temporary one), and is never changed. It has three lines of
ASCII, and then the bytes as the backend sent them::

    voice-cache 1 CRC32 LENGTH            the checksum and the number of the bytes after this line
    CODEC SAMPLES RATE CHANNELS EXTERNAL  the encoding ("-" and 0: not announced), and 1 for bytes of another process
    START:LENGTH:SECONDS:ESTIMATED …      the words, as `WordEvent`

A file that is not valid counts as missing, and one that cannot be written is left out.
"""

import os
from binascii import crc32
from collections.abc import Collection
from typing import NamedTuple

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import WordEvent
from voice_cli.folders import write_atomically
from voice_cli.kept_files import KeptFiles

MAGIC = b"voice-cache 1"
LARGEST_PART = 4
"""An utterance may take a fourth of the cache."""
TRIM_PART = 16
"""After a sixteenth of the limit was written, the files are counted again."""


class Entry(NamedTuple):
    """The stream of one utterance."""

    encoding: Encoding
    is_external: bool
    words: tuple[WordEvent, ...]
    data: bytes


class Cache(KeptFiles):
    """The utterances in a folder."""

    def __init__(self, folder: str, limit: int) -> None:
        super().__init__(folder, limit)
        self._written = 0
        """Bytes since `trim`."""
        self._is_usable = True

    @property
    def largest(self) -> int:
        """The most bytes of an utterance."""
        return self.limit // LARGEST_PART

    def has(self, key: str) -> bool:
        """Return whether there is a file, which may not be valid."""
        return os.path.exists(self.path(key))

    def read(self, key: str) -> Entry | None:
        """Return an entry, and note that it was used; None: there is none."""
        try:
            with open(self.path(key), "rb") as file:
                entry = parse(file.read())
        except (OSError, ValueError):
            return None
        self.use(key)
        return entry

    def write(self, key: str, entry: Entry) -> bool:
        """Store an entry, and return whether it was stored."""
        data = serialized(entry)
        if not self._is_usable or len(data) > self.largest:
            return False
        try:
            self.create()
            write_atomically(self.path(key), data, 0o600)
        except OSError:  # the disk is full, or the folder cannot be written
            self._is_usable = False
            return False
        self._written += len(data)
        if self._written > self.limit // TRIM_PART:
            self.trim()
        return True

    def trim(self, keep: Collection[str] = ()) -> None:
        """Delete what exceeds the limit, if anything was written."""
        if self._written:
            self._written = 0
            super().trim(keep)


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
