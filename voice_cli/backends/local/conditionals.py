"""A cache of the conditionals that a cloning model computes from a recording."""

import os
from collections import OrderedDict
from typing import Any

MAX_VOICES = 32
MAX_BYTES = 128 << 20


class Conditionals:
    """A least-recently-used cache, bounded in number and bytes. Not thread-safe."""

    def __init__(self, most_voices: int = MAX_VOICES, most_bytes: int = MAX_BYTES) -> None:
        self.own: Any = None
        """The model's own conditionals: not counted, and dropped only by `clear`."""
        self._most_voices = most_voices
        self._most_bytes = most_bytes
        self._kept: OrderedDict[object, tuple[Any, int]] = OrderedDict()

    @staticmethod
    def key(path: str) -> object:
        """Return a key that changes with the file's content."""
        status = os.stat(path)
        return os.path.realpath(path), status.st_mtime_ns, status.st_size

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: object) -> Any:
        """Return the cached value, or None."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][0]

    def put(self, key: object, conds: Any) -> None:
        """Cache a value, unless it alone exceeds the limit."""
        self._kept[key] = (conds, size_of(conds))
        self._kept.move_to_end(key)
        while self._kept and (len(self._kept) > self._most_voices or self.bytes > self._most_bytes):
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
        self.own = None


def size_of(value: Any) -> int:
    """Return the bytes of all tensors and arrays in a value."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(size_of, value))
    return size_of(vars(value)) if hasattr(value, "__dict__") else 0
