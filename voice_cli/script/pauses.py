"""Pieces of text that is still arriving, and the pauses between them."""

from collections.abc import Iterator
from typing import NamedTuple

from voice_cli.queues import BoundedQueue


class Flush(NamedTuple):
    """A piece of text that ends a sentence."""

    text: str = ""


Piece = str | Flush


def pieces_and_pauses(queue: BoundedQueue[Piece], seconds: float) -> Iterator[Piece | None]:
    """Yield the pieces, and None when no piece arrived for `seconds` after one that was not flushed."""
    flushed = True
    while True:
        try:
            piece: Piece | None = queue.get(None if flushed else seconds)
        except TimeoutError:
            piece = None
        except StopIteration:
            return
        flushed = not isinstance(piece, str)
        yield piece


def cost_of_piece(piece: Piece) -> int:
    """Return the code points of a piece, and one more, so that empty pieces are bounded, too."""
    return 1 + len(piece.text if isinstance(piece, Flush) else piece)
