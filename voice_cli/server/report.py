"""Outcome, counts and stage timings of one stream."""

import time
from collections.abc import Mapping

from voice_cli.errors import TruncatedAudio, VoiceError

STAGES = ("voice", "queued", "generated", "encoded", "sent")
"""In order: voice ready; engine started; first sound generated; first bytes encoded; first bytes sent."""


class Report:
    """Timestamps and counts of one stream. Its thread and the event loop write different fields."""

    def __init__(self, protocol: str, codec: str) -> None:
        self.protocol = protocol
        self.codec = codec
        self.began = time.monotonic()
        self.timestamps: dict[str, float] = {}
        """`time.monotonic` at which each of `STAGES` was first reached."""
        self.outcome: str | None = None
        """None (active or complete), `cancelled`, `failed` or `truncated`."""
        self.reason = ""
        """Why it was cancelled, or the error's kind; never text of the client."""
        self.characters = 0
        self.utterances = 0
        self.audio_seconds = 0.0
        self.generation_seconds = 0.0
        """Time in the engine."""
        self.generated_seconds = 0.0
        """Audio of completed utterances."""
        self.bytes = 0

    def mark(self, stage: str, at: float | None = None) -> None:
        """Record when a stage was first reached."""
        self.timestamps.setdefault(stage, time.monotonic() if at is None else at)

    def ended_utterance(self, timestamps: Mapping[str, float], seconds: float) -> None:
        self.utterances += 1
        ready, last = timestamps.get("engine_ready"), timestamps.get("last_byte")
        if ready is not None and last is not None:
            self.generation_seconds += last - ready
            self.generated_seconds += seconds

    def stop(self, reason: str) -> None:
        """Record a cancellation. The first reason counts."""
        if self.outcome is None:
            self.outcome, self.reason = "cancelled", reason

    def fail(self, error: VoiceError) -> None:
        if self.outcome is None:
            self.outcome = "truncated" if isinstance(error, TruncatedAudio) or self.bytes else "failed"
            self.reason = error.kind

    @property
    def real_time_factor(self) -> float | None:
        """Generation seconds per second of audio."""
        return self.generation_seconds / self.generated_seconds if self.generated_seconds else None

    @property
    def lead(self) -> float:
        """Seconds of generated audio that a real-time listener has not played yet.

        A client that reads in real time may read nothing for so long, because socket buffers can hold minutes.
        """
        sent = self.timestamps.get("sent")
        return 0.0 if sent is None else max(0.0, self.audio_seconds - (time.monotonic() - sent))

    @property
    def first_byte_seconds(self) -> float | None:
        """Seconds from the order to the first bytes sent (TTFB)."""
        return self.timestamps["sent"] - self.began if "sent" in self.timestamps else None

    def latency(self) -> dict[str, float]:
        """Return the milliseconds of each stage before the first sound, and the total so far."""
        stages = {}
        at = self.began
        for stage in STAGES:
            if stage in self.timestamps:
                until = max(at, self.timestamps[stage])
                stages[stage] = round(1000 * (until - at), 1)
                at = until
        stages["total"] = round(1000 * (time.monotonic() - self.began), 1)
        return stages
