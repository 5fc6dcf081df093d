"""A bounded buffer of bytes between one writer and one reader, without a lock.

Each side writes its own counter alone, and moves it only after the bytes are copied, so the reader (the audio thread)
never waits for the writer. The memory is taken once.
"""


class RingBuffer:
    """Bytes in, the same bytes out, in order; `capacity` bytes at the most."""

    def __init__(self, capacity: int) -> None:
        self._memory = memoryview(bytearray(capacity))
        self._capacity = capacity
        self._written = 0
        self._read = 0

    @property
    def readable(self) -> int:
        """Bytes that wait to be read. Any thread; to the reader it can only grow, to the writer only shrink."""
        return self._written - self._read

    @property
    def writable(self) -> int:
        return self._capacity - self.readable

    def write(self, data: bytes | memoryview) -> int:
        """Copy in what fits and return how many bytes that was. The writer's thread."""
        count = min(len(data), self.writable)
        start = self._written % self._capacity
        before_wrap = min(count, self._capacity - start)
        self._memory[start : start + before_wrap] = data[:before_wrap]
        if before_wrap < count:
            self._memory[: count - before_wrap] = data[before_wrap:count]
        self._written += count
        return count

    def read_into(self, out: memoryview) -> int:
        """Copy out what is there, up to `len(out)` bytes, and return how many that was. The reader's thread."""
        count = min(len(out), self.readable)
        start = self._read % self._capacity
        before_wrap = min(count, self._capacity - start)
        out[:before_wrap] = self._memory[start : start + before_wrap]
        if before_wrap < count:
            out[before_wrap:count] = self._memory[: count - before_wrap]
        self._read += count
        return count

    def peek(self, count: int) -> bytes:
        """Give the next `count` bytes without taking them; fewer if there are fewer. The reader's thread."""
        count = min(count, self.readable)
        start = self._read % self._capacity
        head = bytes(self._memory[start : start + count])
        return head + bytes(self._memory[: count - len(head)])
