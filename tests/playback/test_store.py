"""The store keeps the newest frames, by number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.player import numbered
from voice_cli.playback.store import Store


def all_of(store):
    data, frame = b"", store.oldest
    while part := store.read(frame, 7):
        data += part
        frame += len(part) // 4
    assert frame == store.end
    return data


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 4))
def test_the_newest_blocks_are_kept(sizes, blocks):
    store, sent = Store(4, 10, blocks), b""
    for size in sizes:
        data = numbered(size, 2, first=1 + len(sent) // 4)
        store.append(memoryview(data))
        sent += data
        assert store.end == len(sent) // 4
        assert store.end - store.oldest <= 10 * blocks
        assert store.end - store.oldest >= min(store.end, 10 * (blocks - 1))
        assert all_of(store) == sent[4 * store.oldest :]


@pytest.mark.parametrize("frame", [5, 6, 100])
def test_nothing_is_read_at_or_behind_the_end(frame):
    store = Store(2, 10, 2)
    store.append(memoryview(numbered(5)))
    assert not store.read(frame, 10)


def test_an_empty_store_has_nothing():
    store = Store(2, 10, 2)
    assert (store.oldest, store.end) == (0, 0)
    assert not store.read(0, 10)
