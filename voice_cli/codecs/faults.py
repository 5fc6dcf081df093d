"""Frames that a codec refuses: counted, skipped, and reported at the end."""

from voice_cli.errors import DecodeError

_MOST_IN_A_ROW = 16
"""Refused frames in a row after which decoding fails: a third of a second of MP3."""
_MOST_GARBAGE = 1 << 16
"""Bytes without a frame after which decoding fails, as in libavformat."""


class Faults:
    """Counts what was skipped of one stream.

    A bad frame does not end a stream: what follows is decoded. But the speech is then not complete, so `check`, called
    by the decoder's `flush`, raises when everything else has been returned. Many bad frames in a row raise at once.
    """

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._good = 0
        self._frames = 0
        self._row = 0
        self._garbage = 0
        self._garbage_row = 0

    @property
    def good(self) -> int:
        """Frames that were decoded."""
        return self._good

    def frame_decoded(self) -> None:
        self._good += 1
        self._row = 0
        self._garbage_row = 0

    def frame_refused(self, cause: Exception | None = None) -> None:
        """Count a frame that is skipped.

        Raises:
            DecodeError: too many in a row.

        """
        self._frames += 1
        self._row += 1
        if self._row >= _MOST_IN_A_ROW:
            raise DecodeError(f"{self._row} {self._codec} frames in a row do not decode") from cause

    def garbage(self, count: int) -> None:
        """Count bytes that belong to no frame.

        Raises:
            DecodeError: too many in a row.

        """
        self._garbage += count
        self._garbage_row += count
        if self._garbage_row > _MOST_GARBAGE:
            raise DecodeError(f"more than {_MOST_GARBAGE} bytes in a row are not {self._codec}")

    def check(self, *, empty: bool = False) -> None:
        """Check a stream at its end; `empty`: it may have no frames.

        Raises:
            DecodeError: something was skipped, or there was no frame.

        """
        if not self._good and not empty:
            raise DecodeError(f"the server sent no {self._codec} frame")
        if self._frames or self._garbage:
            parts = [f"{self._frames} corrupt frames" if self._frames else ""]
            parts += [f"{self._garbage} bytes that are no frame" if self._garbage else ""]
            raise DecodeError(f"skipped in the {self._codec} stream: {', '.join(filter(None, parts))}")
