"""Text that a client sends piece by piece, on its way from the event loop to the thread that reads it."""

from collections.abc import Iterator

from voice_cli.queues import BoundedQueue
from voice_cli.script.pauses import Flush, Piece, cost_of_piece, pieces_and_pauses


class LiveText:
    """Fed by the event loop, iterated over by one thread.

    What waits to be read is bounded: await `room` before more is read from the client.
    """

    def __init__(self, capacity: int, flush_after: float) -> None:
        """Hold about `capacity` characters."""
        self._queue: BoundedQueue[Piece] = BoundedQueue(capacity, cost_of_piece)
        self._flush_after = flush_after

    def feed(self, text: str) -> None:
        """Add a piece; after the end it is dropped."""
        self._queue.put_nowait(text)

    def flush(self, text: str = "") -> None:
        """Add a piece after which a sentence ends, so that all of it is spoken."""
        self._queue.put_nowait(Flush(text))

    def end(self) -> None:
        """End the iteration after what was fed. Any thread, any number of times."""
        self._queue.close()

    @property
    def has_room(self) -> bool:
        """Whether less than the capacity is waiting, or the text has ended."""
        return self._queue.has_room

    async def room(self) -> None:
        """Wait until `has_room`."""
        await self._queue.room()

    def __iter__(self) -> Iterator[Piece | None]:
        """Yield the pieces, and None when none came for `flush_after` seconds after a piece of text."""
        return pieces_and_pauses(self._queue, self._flush_after)
