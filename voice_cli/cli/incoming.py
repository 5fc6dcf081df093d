"""Text from a pipe, while it arrives."""

import codecs
import contextlib
import os
import queue
import threading
from collections.abc import Iterator

PIECE_BYTES = 4096
WAITING_PIECES = 16
"""Pieces buffered before the writer is blocked."""


class Incoming:
    """An iterator over pieces of text; None: nothing arrived for `flush_after` seconds.

    A daemon thread reads, since a read cannot be cancelled. Invalid UTF-8 becomes replacement characters.
    """

    def __init__(self, descriptor: int, flush_after: float) -> None:
        self._descriptor = descriptor
        self._flush_after = flush_after
        self._pieces: queue.Queue[str | None] = queue.Queue(WAITING_PIECES)
        self._stopped = threading.Event()
        threading.Thread(target=self._read, name="voice-text", daemon=True).start()

    def __iter__(self) -> Iterator[str | None]:
        flushed = True
        while True:
            try:
                piece = self._pieces.get(timeout=None if flushed else self._flush_after)
            except queue.Empty:
                flushed = True
                yield None
                continue
            if piece is None:
                return
            flushed = False
            yield piece
            if self._stopped.is_set() and self._pieces.empty():
                return

    def stop(self) -> None:
        """End the iteration after the buffered pieces. Any thread may call it."""
        self._stopped.set()
        with contextlib.suppress(queue.Full):
            self._pieces.put_nowait(None)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        try:
            while data := os.read(self._descriptor, PIECE_BYTES):
                text = decoder.decode(data)
                if self._stopped.is_set():
                    return
                if text:
                    self._pieces.put(text)
            rest = decoder.decode(b"", final=True)
            if rest:
                self._pieces.put(rest)
        except OSError:
            rest = ""
        self._pieces.put(None)
