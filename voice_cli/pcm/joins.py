"""Joins utterances: replaces the silence between two of them, whatever its length, by a pause.

Only frames below -60 dBFS are removed or inserted, and only at a join: silence inside an utterance, before the first
and after the last one stays.
"""

from collections.abc import Callable

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.pcm.levels import first_audible, last_audible

ONSET_SECONDS = 0.01
"""Silence to keep before the first audible frame: a soft onset is below the threshold."""


class Joins:
    """Processes the chunks of consecutive utterances. Silence that may be at an end is held until more arrives."""

    def __init__(self, rested: Callable[[], float] = lambda: 0.0) -> None:
        """`rested` returns the seconds of silence that were already played before the utterance."""
        self._held: list[PcmChunk] = []
        self._rested = rested
        self._gap: float | None = None
        """Seconds of silence to insert before the next audible frame; None: keep the silence as it is."""
        self.lead = 0.0
        """Seconds that were removed at the start of this utterance."""
        self.pause = 0.0
        """Seconds of silence that were inserted before the rest of it."""
        self._dropped = 0.0

    def begin(self, gap: float | None) -> None:
        """Start an utterance, `gap` seconds after the one before; None: it is the first."""
        self._gap = gap
        self.lead = self.pause = self._dropped = 0.0
        if gap is not None:
            self._held.clear()

    def push(self, chunk: PcmChunk) -> list[PcmChunk]:
        """Process frames; return those that are certain to stay."""
        first = first_audible(chunk.data)
        if self._gap is None:
            kept = [*self._held, chunk]
            self._held = kept if first is None else []
            return [] if first is None else self._hold_tail(kept)
        audio_format = chunk.format
        data = b"".join([*(held.data for held in self._held), chunk.data])
        end = len(data) // audio_format.frame_bytes
        if first is not None:
            end += first // audio_format.channels - chunk.frames
        # Keep as much of the silence before frame `end` as may be a soft onset.
        start = max(0, end - audio_format.frames(ONSET_SECONDS))
        self._dropped += audio_format.seconds(start)
        rest = PcmChunk(audio_format, data[start * audio_format.frame_bytes :])
        if first is None:
            self._held = [rest]
            return []
        wanted = self._gap - self._rested() - audio_format.seconds(end - start)
        pause = silence(audio_format, max(0.0, wanted))
        self.lead = self._dropped
        self.pause = pause.seconds
        self._gap = None
        self._held = []
        return self._hold_tail([pause, rest] if pause.data else [rest])

    def _hold_tail(self, chunks: list[PcmChunk]) -> list[PcmChunk]:
        *before, chunk = chunks
        last = last_audible(chunk.data)
        if last is None:
            return chunks
        end = (last // chunk.format.channels + 1) * chunk.format.frame_bytes
        if end < len(chunk.data):
            self._held.append(PcmChunk(chunk.format, chunk.data[end:]))
            chunk = PcmChunk(chunk.format, chunk.data[:end])
        return [*before, chunk]

    def finish(self) -> list[PcmChunk]:
        """Return what is held, after the last utterance."""
        held, self._held = self._held, []
        return held if self._gap is None else []


def silence(audio_format: AudioFormat, seconds: float) -> PcmChunk:
    return PcmChunk(audio_format, bytes(audio_format.frames(seconds) * audio_format.frame_bytes))
