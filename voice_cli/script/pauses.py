"""Text that is still arriving, in pieces, and the pauses between them."""

from collections.abc import Iterator
from typing import NamedTuple

from voice_cli.queues import BoundedQueue


class Flush(NamedTuple):
    """A piece of text that ends a sentence."""

    text: str = ""


Piece = str | Flush


class LiveText(BoundedQueue[Piece]):
    """Text that is still arriving, on its way to the thread that reads it."""

    def __init__(self, capacity: int, flush_after: float) -> None:
        """Hold about `capacity` characters. `flush_after`: how many seconds without text are a pause."""
        super().__init__(capacity, _cost)
        self.flush_after = flush_after

    def pieces(self) -> Iterator[Piece | None]:
        """Yield the pieces, and None at a pause after a piece that was not flushed."""
        flushed = True
        while True:
            try:
                piece: Piece | None = self.get(None if flushed else self.flush_after)
            except TimeoutError:
                piece = None
            except StopIteration:
                return
            flushed = not isinstance(piece, str)
            yield piece


def _cost(piece: Piece) -> int:
    """Return the code points of a piece, and one more, so that empty pieces are bounded, too."""
    return 1 + len(piece.text if isinstance(piece, Flush) else piece)
