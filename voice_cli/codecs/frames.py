"""A stream's bytes in frames of one size, as telephony protocols need them."""

from voice_cli.pcm.g711 import SILENCE


class Frames:
    """Cuts bytes into frames. Only the last frame is padded."""

    def __init__(self, size: int = 160, *, fill: int | None = SILENCE) -> None:
        """Set the bytes of a frame (160 are 20 ms of µ-law) and of the padding (None: the last one is left short)."""
        self._size = size
        self._fill = b"" if fill is None else bytes([fill])
        self._rest = b""

    def cut(self, data: bytes) -> list[bytes]:
        """Return the whole frames after adding `data`."""
        data = self._rest + data
        whole = len(data) - len(data) % self._size
        self._rest = data[whole:]
        return [data[at : at + self._size] for at in range(0, whole, self._size)]

    def finish(self) -> list[bytes]:
        """Return the rest as one frame, padded, or nothing."""
        rest, self._rest = self._rest, b""
        return [rest + self._fill * (self._size - len(rest))] if rest else []
