"""Trims declared encoder delay and padding."""

from voice_cli.audio import PcmChunk


class Trim:
    """Keeps frames `start` ≤ n < `end` of one stream, and all from `resume` on, counted from its first decoded one.

    None: no end; no resumption. `end` may be set later, before the frames after it are passed to `keep`.
    """

    def __init__(self, start: int = 0, end: int | None = None, resume: int | None = None) -> None:
        self.start = start
        self.end = end
        self.resume = resume
        self.position = 0
        """Number of the next frame. Add the frames that could not be decoded, so that later ones keep their numbers."""

    def keep(self, chunk: PcmChunk) -> list[PcmChunk]:
        """Return the frames to keep of the next ones: none, one or two chunks."""
        first, last = self.position, self.position + chunk.frames
        self.position = last
        if first >= self.start and (self.end is None or last <= self.end):
            return [chunk]
        spans = [(max(first, self.start), last if self.end is None else min(last, self.end))]
        if self.end is not None and self.resume is not None:
            spans.append((max(first, self.resume, self.end), last))
        size = chunk.format.frame_bytes
        return [
            PcmChunk(chunk.format, chunk.data[(begin - first) * size : (stop - first) * size])
            for begin, stop in spans
            if begin < stop
        ]
