"""Tempo without a change of pitch: libavfilter's atempo, which overlaps and adds pieces of the sound (WSOLA)."""

from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.pcm.av_libraries import preload
from voice_cli.pcm.convert import from_av, layout_of, to_av

SLOWEST, FASTEST = 0.5, 2.0
"""What one atempo does well: it does not go below the first, and leaves samples out above the second."""

_WINDOW_SECONDS = 0.25
"""Longer than all windows of atempo that a chain holds at its end, in seconds of its input at the factor 1."""


class Tempo:
    """Changes the tempo of one stream by a factor. PyAV is loaded when one is made.

    The duration is kept to the frame: frame n of the result is frame n * factor of the stream, within some 20 ms.
    """

    def __init__(self, audio_format: AudioFormat, factor: float) -> None:
        preload()
        from av.filter import Graph

        self.factor = factor
        self._format = audio_format
        self._received = 0
        """Frames of the stream."""
        self._returned = 0
        """Frames of the result."""
        self._graph: Any = Graph()
        node = self._graph.add_abuffer(
            sample_rate=audio_format.rate, format="s16", layout=layout_of(audio_format.channels)
        )
        for step in _steps(factor):
            following = self._graph.add("atempo", f"{step:.6f}")
            node.link_to(following)
            node = following
        node.link_to(self._graph.add("abuffersink"))
        self._graph.configure()

    def process(self, data: bytes | memoryview) -> bytes:
        """Return the frames of the result that are certain after more whole frames of the stream."""
        self._received += len(data) // self._format.frame_bytes
        changed = self._push(data)
        self._returned += len(changed) // self._format.frame_bytes
        return changed

    def flush(self) -> bytes:
        """End the stream and return the frames that the filter still holds."""
        silence = bytes(self._format.frames(_WINDOW_SECONDS * max(1.0, self.factor)) * self._format.frame_bytes)
        rest = self._push(silence) + self._push(None)
        due = round(self._received / self.factor) - self._returned
        return rest[: max(0, due) * self._format.frame_bytes]

    def _push(self, data: bytes | memoryview | None) -> bytes:
        frame = None
        if data is not None:
            if not data:
                return b""
            frame = to_av(bytes(data), self._format)
        self._graph.push(frame)
        parts = []
        while (changed := self._pull()) is not None:
            parts.append(from_av(changed, self._format))
        return b"".join(parts)

    def _pull(self) -> Any:
        try:
            return self._graph.pull()
        except (BlockingIOError, EOFError):  # it needs more, or has ended
            return None


def _steps(factor: float) -> list[float]:
    """Return factors within the limits whose product is the factor."""
    steps = []
    for limit in (SLOWEST, FASTEST):
        while factor < SLOWEST if limit == SLOWEST else factor > FASTEST:
            steps.append(limit)
            factor /= limit
    return [*steps, factor]
