"""`LiveText`: text from an event loop, read in a thread."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.loops import run
from support.threads import in_thread
from voice_cli.script.pauses import Flush, LiveText

LONG = 60.0
"""A pause in seconds that no test reaches."""


def all_of(text):
    """Read the text in a thread; return a function that waits for the pieces."""
    return in_thread(lambda: list(text.pieces()))


@given(st.lists(st.text(max_size=5) | st.builds(Flush, st.text(max_size=5))), st.integers(1, 10))
def test_pieces_are_read_in_order(pieces, capacity):
    async def main():
        text = LiveText(capacity, LONG)
        read = all_of(text)
        for piece in pieces:
            text.put_nowait(piece)
            await text.room()
        text.close()
        return await asyncio.to_thread(read)

    assert run(main) == pieces


def test_a_pause_after_text_yields_none_once():
    async def main():
        text = LiveText(100, 0.01)
        waits = []
        changed = text._changed
        wait_for = changed.wait_for

        def noted(is_so, timeout):
            waits.append(timeout)
            return wait_for(is_so, timeout)

        changed.wait_for = noted
        pieces = text.pieces()
        text.put_nowait("a")
        text.put_nowait("b")
        assert await asyncio.to_thread(lambda: list(itertools.islice(pieces, 3))) == ["a", "b", None]
        text.put_nowait("c")
        text.close()
        assert await asyncio.to_thread(list, pieces) == ["c"]
        assert waits == [None, 0.01, 0.01, None, 0.01], "it waits forever before text and after a pause"

    run(main)


def test_a_flush_keeps_its_place():
    async def main():
        text = LiveText(100, LONG)
        text.put_nowait(Flush())
        text.put_nowait("a")
        text.put_nowait(Flush())
        text.put_nowait("b")
        text.close()
        return await asyncio.to_thread(all_of(text))

    assert run(main) == [Flush(), "a", Flush(), "b"]


def test_text_after_the_end_is_dropped():
    async def main():
        text = LiveText(100, LONG)
        text.put_nowait("a")
        text.close()
        text.close()
        text.put_nowait("b")
        text.put_nowait(Flush())
        return await asyncio.to_thread(all_of(text))

    assert run(main) == ["a"]


@pytest.mark.parametrize("piece", ["ten chars.", "", Flush(), Flush("ten chars.")])
def test_waiting_pieces_of_every_kind_are_bounded(piece):
    async def main():
        text = LiveText(40, LONG)
        fed = 0
        waiting = None
        while waiting is None:
            assert fed <= 40, "pending text is unbounded"
            text.put_nowait(piece)
            fed += 1
            room = asyncio.ensure_future(text.room())
            await asyncio.sleep(0)
            if not room.done():
                waiting = room
        pieces = text.pieces()
        assert await asyncio.to_thread(next, pieces) == piece
        await waiting

    run(main)


def test_room_returns_at_once_after_the_end():
    async def main():
        text = LiveText(1, LONG)
        text.put_nowait("full")
        room = asyncio.ensure_future(text.room())
        await asyncio.sleep(0)
        assert not room.done()
        in_thread(text.close)()
        await room

    run(main)


def test_the_reader_works_after_the_loop_has_closed():
    async def main():
        text = LiveText(1, LONG)
        text.put_nowait("full")
        return text

    text = run(main)
    read = all_of(text)
    text.close()
    assert read() == ["full"]
