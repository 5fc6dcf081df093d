"""Moments and counts of one playback, and the figures that follow from them. Arithmetic only; prints nothing.

All timestamps are on `time.monotonic`, in seconds. What was not measured is None, never 0.
"""

import time
from collections.abc import Iterable
from typing import NamedTuple

from voice_cli.playback.sink_source import Gap, SinkSource

TIMESTAMPS = (
    "process_start",
    "request_sent",
    "resolved",
    "connected",
    "tls",
    "first_byte",
    "first_frame",
    "prebuffered",
    "device_open",
    "started",
    "first_audible",
    "last_byte",
    "last_frame",
)
"""Every moment there is. `first_frame`: the first decoded one; `prebuffered`: the gate opened; `device_open`: there
is one, awake; `started`, `first_audible` and `last_frame`: at the DAC."""


class PlaybackMetrics(NamedTuple):
    """What a playback was like. Times in milliseconds."""

    ttfa_ms: float | None = None
    """Process start to the first audible frame at the DAC."""
    ttfb_ms: float | None = None
    """Request sent to the first byte of the body."""
    leading_silence_ms: float | None = None
    """What the backend sent before the first frame above -60 dBFS."""
    generation_ms: float | None = None
    """Request sent to the last byte, less the time in which a full ring held the backend back."""
    playback_ms: float | None = None
    """First frame to last frame at the DAC, holes included."""
    audio_ms: float | None = None
    """What was decoded."""
    real_time_factor: float | None = None
    """Generation time a second of audio: under 1 is faster than speech."""
    underruns: int | None = None
    underrun_ms: float | None = None
    underrun_positions_ms: tuple[float, ...] = ()
    device_underflows: int | None = None
    device_underflow_ms: float | None = None
    device_underflow_positions_ms: tuple[float, ...] = ()
    chunks_received: int = 0
    chunks_played: int | None = None
    bytes_received: int = 0
    buffer_peak_ms: float | None = None
    """The most that ever waited in the ring."""


class Timeline:
    """Where the parts write down what happened. Each attribute has one writing thread.

    `arrivals`: a list, for who wants to draw a `curve`: (when, seconds of audio decoded by then), an entry a chunk.
    """

    def __init__(
        self, timestamps: dict[str, float] | None = None, *, arrivals: list[tuple[float, float]] | None = None
    ) -> None:
        self.timestamps = timestamps or {}
        self.bytes_received = 0
        self.chunks_received = 0
        self.chunks_played: int | None = None
        self.audio_seconds = 0.0
        self.audible_seconds: float | None = None
        """How far into the audio the first audible frame is."""
        self.held_back_seconds = 0.0
        """How long the pump waited for room in the ring."""
        self.buffer_peak_seconds: float | None = None
        self.arrivals = arrivals

    def mark(self, moment: str, at: float | None = None) -> None:
        """Write down that it happened, now unless `at` says when; the first time counts."""
        if at is None:
            at = time.monotonic()
        self.timestamps.setdefault(moment, at)

    def between(self, first: str, last: str) -> float | None:
        """Milliseconds from one moment to another; None if one of them did not come."""
        if first not in self.timestamps or last not in self.timestamps:
            return None
        return _ms(self.timestamps[last] - self.timestamps[first])

    def metrics(self, source: SinkSource | None) -> PlaybackMetrics:
        """Work out the figures, with the account of the source that was played from, if any was."""
        began, ended = self.timestamps.get("request_sent"), self.timestamps.get("last_byte")
        generation = None
        if began is not None and ended is not None and self.bytes_received:
            generation = max(0.0, ended - began - self.held_back_seconds)
        audio = self.audio_seconds or None
        return PlaybackMetrics(
            ttfa_ms=self.between("process_start", "first_audible"),
            ttfb_ms=self.between("request_sent", "first_byte"),
            leading_silence_ms=_ms(self.audible_seconds),
            generation_ms=_ms(generation),
            playback_ms=self.between("started", "last_frame"),
            audio_ms=_ms(audio),
            real_time_factor=round(generation / audio, 4) if generation is not None and audio else None,
            underruns=source.underrun_count if source else None,
            underrun_ms=_ms(source.underrun_seconds) if source else None,
            underrun_positions_ms=_positions(source, source.underruns) if source else (),
            device_underflows=source.underflow_count if source else None,
            device_underflow_ms=_ms(source.underflow_seconds) if source else None,
            device_underflow_positions_ms=_positions(source, source.underflows) if source else (),
            chunks_received=self.chunks_received,
            chunks_played=self.chunks_played,
            bytes_received=self.bytes_received,
            buffer_peak_ms=_ms(self.buffer_peak_seconds),
        )


def _positions(source: SinkSource, gaps: Iterable[Gap]) -> tuple[float, ...]:
    return tuple(round(1000 * source.format.seconds(gap.frame), 1) for gap in gaps)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)
