"""The last minutes of a speech's PCM, so that playback can go back to it."""

from collections import deque

BLOCK_SECONDS = 1.0


class Store:
    """Frames by their number in the speech. The oldest are dropped. One thread at a time."""

    def __init__(self, frame_bytes: int, block_frames: int, blocks: int) -> None:
        """Keep `blocks` blocks of `block_frames` frames."""
        self._frame_bytes = frame_bytes
        self._block_frames = block_frames
        self._blocks: deque[memoryview] = deque(maxlen=blocks)
        self.end = 0
        """Frames that were appended."""

    @property
    def oldest(self) -> int:
        """The first frame that is kept."""
        last_block = -(-self.end // self._block_frames)
        return (last_block - len(self._blocks)) * self._block_frames

    def append(self, data: memoryview) -> None:
        """Append whole frames."""
        size, at = self._frame_bytes, 0
        while at < len(data):
            used = self.end % self._block_frames
            if not used:
                self._blocks.append(memoryview(bytearray(self._block_frames * size)))
            count = min(len(data) - at, (self._block_frames - used) * size)
            self._blocks[-1][used * size : used * size + count] = data[at : at + count]
            at += count
            self.end += count // size

    def read(self, frame: int, most: int) -> memoryview:
        """Return up to `most` frames from a kept `frame` on, but not beyond its block."""
        block, first = divmod(frame - self.oldest, self._block_frames)
        count = max(0, min(most, self._block_frames - first, self.end - frame))
        if not count:
            return memoryview(b"")
        return self._blocks[block][first * self._frame_bytes : (first + count) * self._frame_bytes]
