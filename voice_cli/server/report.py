"""What became of one stream, and how long each of its stages took."""

import time
from collections.abc import Mapping

from voice_cli.errors import TruncatedAudio, VoiceError

STAGES = ("voice", "queued", "generated", "encoded", "sent")
"""In their order: the voice is there; the engine turned to it; its first sound; the first bytes; they went out."""


class Report:
    """Moments and counts of one stream. The thread that makes it and the event loop each write their own."""

    def __init__(self, protocol: str, codec: str) -> None:
        self.protocol = protocol
        self.codec = codec
        self.began = time.monotonic()
        self.timestamps: dict[str, float] = {}
        """When which of `STAGES` was reached first."""
        self.outcome: str | None = None
        """None: under way, or complete. `cancelled`, `failed`, `truncated`."""
        self.reason = ""
        """Why it was cancelled, or how it failed: a word of our own, never the client's text."""
        self.characters = 0
        self.utterances = 0
        self.audio_seconds = 0.0
        self.generation_seconds = 0.0
        """What the engine worked."""
        self.generated_seconds = 0.0
        """The sound of the utterances that it came through with."""
        self.bytes = 0

    def mark(self, stage: str, at: float | None = None) -> None:
        """Note a moment, the first time."""
        if stage not in self.timestamps:
            self.timestamps[stage] = time.monotonic() if at is None else at

    def began_utterance(self, timestamps: Mapping[str, float]) -> None:
        self.mark("queued", timestamps.get("engine_ready"))
        self.mark("generated", timestamps.get("first_byte"))

    def ended_utterance(self, timestamps: Mapping[str, float], seconds: float) -> None:
        self.utterances += 1
        ready, last = timestamps.get("engine_ready"), timestamps.get("last_byte")
        if ready is not None and last is not None:
            self.generation_seconds += last - ready
            self.generated_seconds += seconds

    def stop(self, reason: str) -> None:
        """Somebody ended it. The first reason counts."""
        if self.outcome is None:
            self.outcome, self.reason = "cancelled", reason

    def fail(self, error: VoiceError) -> None:
        if self.outcome is None:
            self.outcome = "truncated" if isinstance(error, TruncatedAudio) or self.bytes else "failed"
            self.reason = error.kind

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of the engine's work a second of sound."""
        return self.generation_seconds / self.generated_seconds if self.generated_seconds else None

    @property
    def lead(self) -> float:
        """Seconds by which the sound that was made is ahead of a listener who heard it from its beginning.

        For so long one who takes it at its own pace may take nothing at all: what was sent waits in the systems'
        buffers, where it may be minutes.
        """
        sent = self.timestamps.get("sent")
        return 0.0 if sent is None else max(0.0, self.audio_seconds - (time.monotonic() - sent))

    @property
    def first_byte_seconds(self) -> float | None:
        """From the order to the first bytes that went out."""
        return self.timestamps["sent"] - self.began if "sent" in self.timestamps else None

    def latency(self) -> dict[str, float]:
        """Give the milliseconds that each stage took until the first sound, and all of it so far."""
        stages: dict[str, float] = {}
        at = self.began
        for stage in STAGES:
            if stage in self.timestamps:
                until = max(at, self.timestamps[stage])
                stages[stage] = round(1000 * (until - at), 1)
                at = until
        stages["total"] = round(1000 * (time.monotonic() - self.began), 1)
        return stages
