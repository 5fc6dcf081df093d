"""What an encoder put before and behind the sound, and says that it did, left out again."""

from voice_cli.audio import PcmChunk


class Trim:
    """Keeps the frames of one stream, counted from its first decoded one as 0, that are sound.

    Those are `start` ≤ frame < `end`, and all from `resume` on. None: without end; nothing resumes. `end`
    may be set later, before the frames that it takes away are given to `keep`.
    """

    def __init__(self, start: int = 0, end: int | None = None, resume: int | None = None) -> None:
        self.start = start
        self.end = end
        self.resume = resume
        self.position = 0
        """The frame that comes next."""

    def skip(self, frames: int) -> None:
        """Count frames that could not be decoded: those after them keep their places."""
        self.position += frames

    def keep(self, chunk: PcmChunk) -> list[PcmChunk]:
        """Give what is sound of the next frames: none, one or two chunks."""
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
