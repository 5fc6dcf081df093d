"""The ring buffer: a FIFO of bytes between one writer and one reader."""

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.threads import WAIT, in_thread
from voice_cli.playback.ring_buffer import RingBuffer


@pytest.fixture
def fast_switching():
    """Switch threads after every few instructions."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@given(
    st.integers(1, 64),
    st.lists(st.one_of(st.binary(max_size=80), st.integers(0, 80))),
)
def test_writes_and_reads_are_a_fifo(capacity, operations):
    ring = RingBuffer(capacity)
    model = bytearray()
    for operation in operations:
        if isinstance(operation, bytes):
            count = ring.write(operation)
            assert count == min(len(operation), capacity - len(model))
            model += operation[:count]
        else:
            out = bytearray(b"\xaa" * operation)
            count = ring.read_into(memoryview(out))
            assert count == min(operation, len(model))
            assert out == model[:count] + b"\xaa" * (operation - count)
            del model[:count]
        assert ring.readable == len(model)
        assert ring.writable == capacity - len(model)
        for peeked in (0, 1, capacity, capacity + 1):
            assert ring.peek(peeked) == model[:peeked]


@pytest.mark.parametrize("offset", range(9))
def test_wrapping_at_every_offset(offset):
    ring = RingBuffer(8)
    ring.write(bytes(offset % 8))
    ring.read_into(memoryview(bytearray(offset % 8)))
    assert ring.write(b"abcdefgh") == 8
    assert ring.peek(8) == b"abcdefgh"
    out = bytearray(8)
    assert ring.read_into(memoryview(out)) == 8
    assert out == b"abcdefgh"


def test_write_accepts_a_memoryview():
    ring = RingBuffer(4)
    assert ring.write(memoryview(b"abcdef")[1:]) == 4
    assert ring.peek(9) == b"bcde"


def test_full_and_empty_rings():
    ring = RingBuffer(3)
    assert ring.read_into(memoryview(bytearray(3))) == 0
    assert ring.write(b"abc") == 3
    assert ring.write(b"d") == 0
    assert ring.peek(3) == b"abc"


@pytest.mark.parametrize(("capacity", "write", "read"), [(7, 5, 3), (64, 64, 1), (64, 1, 64), (1000, 333, 480)])
def test_a_writer_and_a_reader_on_two_threads(fast_switching, capacity, write, read):
    sent = (bytes(range(251)) * 400)[: 100 * capacity]
    ring = RingBuffer(capacity)
    deadline = time.monotonic() + WAIT

    def write_all():
        at = 0
        while at < len(sent) and time.monotonic() < deadline:
            at += ring.write(sent[at : at + write])
        return at

    writing = in_thread(write_all)
    got = bytearray()
    out = bytearray(read)
    while len(got) < len(sent) and time.monotonic() < deadline:
        got += out[: ring.read_into(memoryview(out))]
    assert writing() == len(sent)
    assert got == sent


class Watched:
    """Memory that calls `seen` after each copy."""

    def __init__(self, memory, seen):
        self._memory = memory
        self._seen = seen

    def __len__(self):
        return len(self._memory)

    def __getitem__(self, where):
        return self._memory[where]

    def __setitem__(self, where, data):
        self._memory[where] = data
        self._seen()


def test_bytes_are_readable_only_after_the_copy():
    ring = RingBuffer(8)
    ring.write(b"12345")
    ring.read_into(memoryview(bytearray(5)))
    seen = []
    ring._memory = Watched(ring._memory, lambda: seen.append(ring.readable))
    ring.write(b"abcdef")  # in two parts, around the end of the memory
    assert seen == [0, 0]
    assert ring.readable == 6


def test_space_is_writable_only_after_the_copy():
    ring = RingBuffer(8)
    ring.write(b"12345")
    ring.read_into(memoryview(bytearray(5)))
    ring.write(b"abcdef")
    seen = []
    out = Watched(bytearray(6), lambda: seen.append(ring.writable))
    ring.read_into(out)
    assert seen == [2, 2]
    assert bytes(out[:]) == b"abcdef"
