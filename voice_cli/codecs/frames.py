"""A stream's bytes in frames of one size, as a telephone line wants them."""

from voice_cli.pcm.g711 import SILENCE


class Frames:
    """Cuts across whatever pieces the bytes come in. Only the very last frame is filled up."""

    def __init__(self, size: int = 160, *, fill: int | None = SILENCE) -> None:
        """Take the bytes of a frame: 160 are 20 ms of µ-law; and what fills up the last (None: it is left short)."""
        self._size = size
        self._fill = b"" if fill is None else bytes([fill])
        self._rest = b""

    def cut(self, data: bytes) -> list[bytes]:
        """Take the next bytes; give the frames that are whole."""
        data = self._rest + data
        whole = len(data) - len(data) % self._size
        self._rest = data[whole:]
        return [data[at : at + self._size] for at in range(0, whole, self._size)]

    def finish(self) -> list[bytes]:
        """Give what is left as one frame, filled up, or nothing where nothing is left."""
        rest, self._rest = self._rest, b""
        return [rest + self._fill * (self._size - len(rest))] if rest else []
