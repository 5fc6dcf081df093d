"""What a decoder does with a frame that its codec refuses."""

from voice_cli.errors import DecodeError

_MOST_IN_A_ROW = 16
"""Refused frames, with no good one between them, after which the stream is given up: a third of a second of
MP3."""
_MOST_GARBAGE = 1 << 16
"""Bytes without a frame after which the stream is given up, as libavformat does."""


class Faults:
    """Counts what had to be left out of one stream.

    A bad frame does not end a stream: what follows is decoded and heard. But speech with a hole in it is not
    complete, so `check`, called by the decoder's `flush`, says so when all the rest has been given. A
    stream of nothing but bad frames is given up at once.
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
        """Frames that decoded."""
        return self._good

    def frame_decoded(self) -> None:
        self._good += 1
        self._row = 0
        self._garbage_row = 0

    def frame_refused(self, cause: Exception | None = None) -> None:
        """Count a frame that is left out.

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
        """Say what was left out of a stream that is over; `empty`: it may have had no frames.

        Raises:
            DecodeError: something was, or there was nothing else.

        """
        if not self._good and not empty:
            raise DecodeError(f"there is no {self._codec} frame in what the server sent")
        if self._frames or self._garbage:
            parts = [f"{self._frames} corrupt frames" if self._frames else ""]
            parts += [f"{self._garbage} bytes that are no frame" if self._garbage else ""]
            raise DecodeError(f"left out of the {self._codec} stream: {', '.join(filter(None, parts))}")
