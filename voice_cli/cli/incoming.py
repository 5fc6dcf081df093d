"""Text that arrives through a pipe."""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress

from voice_cli.errors import FileError
from voice_cli.script.pauses import LiveText, Piece
from voice_cli.script.text_encoding import TextDecoder

PIECE_BYTES = 4096
WAITING_CHARACTERS = 16 * PIECE_BYTES
"""Characters to buffer before the writer is blocked."""


class Incoming:
    """Iterates over pieces of text, and None when none arrived for `flush_after` seconds.

    A daemon thread reads, since a read cannot be cancelled. The iteration raises FileError if the bytes are not text.
    """

    def __init__(self, descriptor: int, flush_after: float) -> None:
        self._descriptor = descriptor
        self._pieces = LiveText(WAITING_CHARACTERS, flush_after)
        threading.Thread(target=self._read, name="voice-text", daemon=True).start()

    def __iter__(self) -> Iterator[Piece | None]:
        return self._pieces.pieces()

    def stop(self) -> None:
        """End the iteration after the buffered text. Any thread."""
        self._pieces.close()

    def _read(self) -> None:
        decoder = TextDecoder("standard input")
        try:
            with suppress(OSError):
                while data := os.read(self._descriptor, PIECE_BYTES):
                    text = decoder.decode(data)
                    if text and not self._pieces.put(text):
                        return
            if rest := decoder.decode(b"", final=True):
                self._pieces.put(rest)
        except FileError as exc:
            self._pieces.close(exc)
        else:
            self._pieces.close()
