"""Text that arrives through a pipe."""

import os
import threading
from contextlib import suppress

from voice_cli.errors import FileError
from voice_cli.script.pauses import LiveText
from voice_cli.script.text_encoding import TextDecoder

PIECE_BYTES = 4096
WAITING_CHARACTERS = 16 * PIECE_BYTES
"""Characters to buffer before the writer is blocked."""


class Incoming(LiveText):
    """The text of a pipe. Its pieces end with FileError if the bytes are not text.

    A daemon thread reads, since a read cannot be cancelled.
    """

    def __init__(self, descriptor: int, flush_after: float) -> None:
        super().__init__(WAITING_CHARACTERS, flush_after)
        self._descriptor = descriptor
        threading.Thread(target=self._read, name="voice-text", daemon=True).start()

    def _read(self) -> None:
        decoder = TextDecoder("standard input")
        try:
            with suppress(OSError):
                while data := os.read(self._descriptor, PIECE_BYTES):
                    text = decoder.decode(data)
                    if text and not self.put(text):
                        return
            if rest := decoder.decode(b"", final=True):
                self.put(rest)
        except FileError as exc:
            self.close(exc)
        else:
            self.close()
