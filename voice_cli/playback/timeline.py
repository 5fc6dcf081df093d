"""Timestamps and counters of one playback, and the metrics computed from them.

Timestamps are seconds on `time.monotonic`. What was not measured is None, never 0.
"""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from voice_cli.playback.device_watch import Reopening
from voice_cli.playback.sink_source import Gap, SinkSource

TIMESTAMPS = {
    "process_start": "process start",
    "cached": "read from the cache",
    "resolved": "name resolved",
    "connected": "connected",
    "tls": "TLS ready",
    "request_sent": "request sent",
    "device_open": "device open",
    "first_byte": "first byte",
    "first_frame": "first decodable frame",
    "prebuffered": "prebuffer reached",
    "started": "first frame at the DAC",
    "first_audible": "first audible frame at the DAC",
    "last_byte": "last byte",
    "last_frame": "last frame at the DAC",
}
"""What each timestamp marks, by name, in the usual order."""


class PlaybackMetrics(NamedTuple):
    """The metrics of a playback. Times are in milliseconds."""

    ttfa_ms: float | None = None
    """Process start to the first audible frame at the DAC."""
    ttfb_ms: float | None = None
    """Request sent to the first byte of the body."""
    leading_silence_ms: float | None = None
    """Audio from the backend before the first frame above -60 dBFS."""
    generation_ms: float | None = None
    """Request sent to the last byte, without the time in which the ring was full (back-pressure)."""
    playback_ms: float | None = None
    """First frame to last frame at the DAC, with underruns and times without a device, and without pauses."""
    paused_ms: float | None = None
    """How long playback was paused after its first frame."""
    audio_ms: float | None = None
    """Decoded audio."""
    real_time_factor: float | None = None
    """Generation time divided by audio duration: below 1 is faster than real time."""
    underruns: int | None = None
    underrun_ms: float | None = None
    rebuffers: int | None = None
    """How many of the underruns waited in a pause of the speech, not inside a word."""
    rebuffer_ms: float | None = None
    """How long those were."""
    start_delay_ms: float | None = None
    """How long the start waited for a reserve, because the speech arrived too slowly."""
    arrival_rate: float | None = None
    """Seconds of audio that arrived a second, after the first byte."""
    arrival_lag_ms: float | None = None
    """First byte to the earliest start with which playback would never have waited for audio."""
    learned_rate: float | None = None
    """That rate as earlier runs had it, when the speech started; None: not known."""
    chars_per_second: float | None = None
    """Code points of the text for each second of audio, of a speech that is complete."""
    underrun_positions_ms: tuple[float, ...] = ()
    device_underflows: int | None = None
    device_underflow_ms: float | None = None
    device_underflow_positions_ms: tuple[float, ...] = ()
    device_reopened: int | None = None
    """How often the device was lost and opened again."""
    device_away_ms: float | None = None
    """How long there was no device meanwhile."""
    device_repeated_ms: float | None = None
    """What was then heard twice, at most."""
    chunks_received: int = 0
    chunks_played: int | None = None
    bytes_received: int = 0
    buffer_peak_ms: float | None = None
    """Maximum fill of the ring."""


class Timeline:
    """Timestamps and counters. Each attribute is written by one thread.

    `arrivals`: a list to record (time, seconds of audio decoded so far) for each chunk in, for a `curve`.
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
        """Position of the first audible frame."""
        self.held_back_seconds = 0.0
        """How long the pump waited for space in the ring."""
        self.buffer_peak_seconds: float | None = None
        self.arrivals = arrivals
        self.start_delay_seconds: float | None = None
        self.arrival_rate: float | None = None
        self.arrival_lag: float | None = None
        """Seconds."""
        self.learned_rate: float | None = None
        self.chars_per_second: float | None = None

    def mark(self, moment: str, at: float | None = None) -> None:
        """Set a timestamp, unless it is set, to `at` or to now."""
        self.timestamps.setdefault(moment, time.monotonic() if at is None else at)

    def between(self, first: str, last: str) -> float | None:
        """Return the milliseconds between two timestamps; None if one is not set."""
        if first not in self.timestamps or last not in self.timestamps:
            return None
        return _ms(self.timestamps[last] - self.timestamps[first])

    def metrics(self, source: SinkSource | None, reopenings: Sequence[Reopening] = ()) -> PlaybackMetrics:
        """Compute the metrics, with the counters of the source that was played from and of its device, if any."""
        began, ended = self.timestamps.get("request_sent"), self.timestamps.get("last_byte")
        generation = None
        if began is not None and ended is not None and self.bytes_received:
            generation = max(0.0, ended - began - self.held_back_seconds)
        audio = self.audio_seconds or None
        playback = self.between("started", "last_frame")
        if playback is not None and source is not None:
            playback = round(playback - 1000 * source.paused_seconds, 2)
        return PlaybackMetrics(
            ttfa_ms=self.between("process_start", "first_audible"),
            ttfb_ms=self.between("request_sent", "first_byte"),
            leading_silence_ms=_ms(self.audible_seconds),
            generation_ms=_ms(generation),
            playback_ms=playback,
            paused_ms=_ms(source.paused) if source else None,
            audio_ms=_ms(audio),
            real_time_factor=round(generation / audio, 4) if generation is not None and audio else None,
            underruns=source.underrun_count if source else None,
            underrun_ms=_ms(source.underrun_seconds) if source else None,
            rebuffers=source.rebuffer_count if source else None,
            rebuffer_ms=_ms(source.rebuffer_seconds) if source else None,
            start_delay_ms=_ms(self.start_delay_seconds),
            arrival_rate=None if self.arrival_rate is None else round(self.arrival_rate, 4),
            arrival_lag_ms=_ms(self.arrival_lag),
            learned_rate=self.learned_rate,
            chars_per_second=None if self.chars_per_second is None else round(self.chars_per_second, 2),
            underrun_positions_ms=_positions(source.underruns) if source else (),
            device_underflows=source.underflow_count if source else None,
            device_underflow_ms=_ms(source.underflow_seconds) if source else None,
            device_underflow_positions_ms=_positions(source.underflows) if source else (),
            device_reopened=len(reopenings) if source else None,
            device_away_ms=_ms(sum(each.away for each in reopenings)) if source else None,
            device_repeated_ms=_ms(sum(each.repeated for each in reopenings)) if source else None,
            chunks_received=self.chunks_received,
            chunks_played=self.chunks_played,
            bytes_received=self.bytes_received,
            buffer_peak_ms=_ms(self.buffer_peak_seconds),
        )


def _positions(gaps: Iterable[Gap]) -> tuple[float, ...]:
    return tuple(round(1000 * gap.position, 1) for gap in gaps)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 2)
