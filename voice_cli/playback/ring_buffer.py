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

    def skip(self, count: int) -> None:
        """Remove `count` bytes, which are buffered. The reader's thread."""
        self._read += count

    def peek(self, count: int) -> bytes:
        """Return up to `count` bytes without removing them. The reader's thread."""
        count = min(count, self.readable)
        start = self._read % self._capacity
        head = bytes(self._memory[start : start + count])
        return head + bytes(self._memory[: count - len(head)])


class LastBytes(RingBuffer):
    """The last `capacity` bytes of a stream. One thread at a time."""

    def append(self, data: memoryview) -> None:
        """Append; the oldest bytes make room."""
        data = data[-self._capacity :]
        self.skip(max(0, len(data) - self.writable))
        self.write(data)

    def remove(self, count: int) -> None:
        """Remove the last `count` bytes, or all."""
        self._written -= min(count, self.readable)

    def take(self, count: int) -> bytes:
        """Return up to `count` of the last bytes, and remove all."""
        self.skip(max(0, self.readable - count))
        data = self.peek(count)
        self.skip(len(data))
        return data


NEVER = 1 << 62


class Segment(RingBuffer):
    """The PCM that continues a speech, behind a gate that the writer opens and the reader closes."""

    def __init__(self, capacity: int, *, start: int | None = 0, speed: float = 1.0, jump: int = 0) -> None:
        """Set where the segment begins in the speech.

        Args:
            capacity: bytes.
            start: the number in the speech of the first frame; None: nothing follows until the next segment.
            speed: frames of the speech for each frame.
            jump: the number of jumps up to it. After another number, playback continues with the first frame; after
                the same one, with the frame that is due.

        """
        super().__init__(capacity)
        self.start = start
        self.speed = speed
        self.jump = jump
        self.is_open = False
        self.is_complete = False
        """Nothing more will be written."""
        self.hold = NEVER
        """The reader stops after so many bytes, unless it has read more. The writer's thread sets it."""

    @property
    def taken(self) -> int:
        """Bytes that were read or removed. Any thread."""
        return self._read

    @property
    def is_held(self) -> bool:
        """Whether the reader has stopped at the hold point. The reader's thread."""
        return self._read == self.hold

    def read_into(self, out: memoryview) -> int:
        """Read as `RingBuffer` does, up to the hold point."""
        left = self.hold - self._read
        return super().read_into(out[:left] if 0 <= left < len(out) else out)

    @property
    def is_playable(self) -> bool:
        return self.is_open or self.is_complete
