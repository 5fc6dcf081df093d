"""A bounded buffer of bytes between one writer and one reader, without a lock.

Each side updates only its own counter, after the bytes are copied, so the reader (the audio thread) never waits.
"""


class RingBuffer:
    """A FIFO of at most `capacity` bytes."""

    def __init__(self, capacity: int) -> None:
        self._memory = memoryview(bytearray(capacity))
        self._capacity = capacity
        self._written = 0
        self._read = 0

    @property
    def readable(self) -> int:
        """Bytes buffered. Any thread; for the reader it can only grow, for the writer only shrink."""
        return self._written - self._read

    @property
    def writable(self) -> int:
        return self._capacity - self.readable

    def write(self, data: bytes | memoryview) -> int:
        """Write what fits and return the number of bytes. The writer's thread."""
        count = min(len(data), self.writable)
        start = self._written % self._capacity
        before_wrap = min(count, self._capacity - start)
        self._memory[start : start + before_wrap] = data[:before_wrap]
        if before_wrap < count:
            self._memory[: count - before_wrap] = data[before_wrap:count]
        self._written += count
        return count

    def read_into(self, out: memoryview) -> int:
        """Read up to `len(out)` bytes and return the number of bytes. The reader's thread."""
        count = min(len(out), self.readable)
        start = self._read % self._capacity
        before_wrap = min(count, self._capacity - start)
        out[:before_wrap] = self._memory[start : start + before_wrap]
        if before_wrap < count:
            out[before_wrap:count] = self._memory[: count - before_wrap]
        self._read += count
        return count

    def peek(self, count: int) -> bytes:
        """Return up to `count` bytes without removing them. The reader's thread."""
        count = min(count, self.readable)
        start = self._read % self._capacity
        head = bytes(self._memory[start : start + count])
        return head + bytes(self._memory[: count - len(head)])
