"""Frames that a codec refuses: counted, skipped, and reported at the end."""

from voice_cli.errors import DecodeError

_MAX_IN_A_ROW = 16
"""Refused frames in a row after which decoding fails: a third of a second of MP3."""
_MAX_GARBAGE = 1 << 16
"""Bytes without a frame after which decoding fails, as in libavformat."""


class Faults:
    """Counts what was skipped of one stream.

    A bad frame does not end a stream: what follows is decoded. But the speech is then not complete, so `check`, called
    by the decoder's `flush`, raises when everything else has been returned. Many bad frames in a row raise at once.
    """

    def __init__(self, codec: str) -> None:
        self.good = 0
        """Frames that were decoded."""
        self._codec = codec
        self._refused = 0
        self._refused_in_a_row = 0
        self._garbage = 0
        self._garbage_in_a_row = 0

    def frame_decoded(self) -> None:
        self.good += 1
        self._refused_in_a_row = 0
        self._garbage_in_a_row = 0

    def frame_refused(self, cause: Exception | None = None) -> None:
        """Count a frame that is skipped; raise DecodeError if there are too many in a row."""
        self._refused += 1
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= _MAX_IN_A_ROW:
            raise DecodeError(f"{self._refused_in_a_row} {self._codec} frames in a row do not decode") from cause

    def garbage(self, count: int) -> None:
        """Count bytes that belong to no frame; raise DecodeError if there are too many in a row."""
        self._garbage += count
        self._garbage_in_a_row += count
        if self._garbage_in_a_row > _MAX_GARBAGE:
            raise DecodeError(f"more than {_MAX_GARBAGE} bytes in a row are not {self._codec}")

    def forgive(self, count: int) -> None:
        """Take back so many bytes of garbage, which were something else."""
        self._garbage -= count

    def check(self, *, empty: bool = False) -> None:
        """Raise DecodeError if something was skipped, or if there was no frame; `empty`: there may be none."""
        if not self.good and not empty:
            raise DecodeError(f"the server sent no {self._codec} frame")
        if self._refused or self._garbage:
            parts = [f"{self._refused} corrupt frames"] if self._refused else []
            parts += [f"{self._garbage} bytes that are no frame"] if self._garbage else []
            raise DecodeError(f"skipped in the {self._codec} stream: {', '.join(parts)}")
