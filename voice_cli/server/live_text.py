"""Text that a client sends piece by piece, on its way from the event loop to the thread that reads it."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Iterator

from voice_cli.script.reading import Flush


class LiveText:
    """Fed by the event loop, iterated over by one thread: pieces, and None: none came for `flush_after` seconds.

    What waits to be read is bounded: `room` is awaited before more is taken from the client.
    """

    def __init__(self, capacity: int, flush_after: float) -> None:
        """Hold about `capacity` characters."""
        self._capacity = capacity
        self._flush_after = flush_after
        self._loop = asyncio.get_running_loop()
        self._changed = threading.Condition()
        self._pieces: deque[str | Flush] = deque()
        self._held = 0
        self._ended = False
        self._room = asyncio.Event()
        self._room.set()

    def feed(self, text: str) -> None:
        """Add a piece; after the end, when nobody reads any more, it is dropped."""
        self._put(text)

    def flush(self, text: str = "") -> None:
        """Add a piece, and let all that came be spoken as it is: a sentence ends here."""
        self._put(Flush(text))

    def end(self) -> None:
        """Let the iteration end after what was fed. Any thread, any number of times."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._tell()

    @property
    def has_room(self) -> bool:
        """Less than the capacity is waiting, or it was ended."""
        return self._room.is_set()

    async def room(self) -> None:
        """Wait until less than the capacity is waiting, or it was ended."""
        await self._room.wait()

    def _put(self, piece: str | Flush) -> None:
        with self._changed:
            if self._ended:
                return
            self._pieces.append(piece)
            self._held += _cost(piece)
            if self._held >= self._capacity:
                self._room.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[str | Flush | None]:
        flushed = True
        while True:
            with self._changed:
                timeout = None if flushed else self._flush_after
                if not self._changed.wait_for(lambda: self._pieces or self._ended, timeout):
                    piece: str | Flush | None = None
                elif not self._pieces:
                    return
                else:
                    piece = self._pieces.popleft()
                    was_full = self._held >= self._capacity
                    self._held -= _cost(piece)
                    if was_full:
                        self._tell()
            flushed = not isinstance(piece, str)
            yield piece

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._tell_room)

    def _tell_room(self) -> None:
        with self._changed:
            if self._ended or self._held < self._capacity:
                self._room.set()


def _cost(piece: str | Flush | None) -> int:
    """Give what it counts for: a client that sends nothing, again and again, is held back, too."""
    return 1 + len(piece.text if isinstance(piece, Flush) else piece or "")
