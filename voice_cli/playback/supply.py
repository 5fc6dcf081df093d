"""Whether what is buffered is enough, by how fast the speech arrives.

A speech that arrives faster than it is played needs the small prebuffer of `Prebuffer`. One that arrives more slowly
needs a reserve: the part of the rest that playback would overtake. It is gathered before the start, or while playback
waits in a pause of the speech.
"""

import time
from collections.abc import Callable

from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.sink_source import SinkSource

BEARABLE_SECONDS = 10.0
"""The longest delay of the start that `auto` chooses instead of waits in pauses."""

MOST_SECONDS = 15.0
"""The largest reserve that is gathered in a pause, and MOST_AT_START before the start; the ring holds 30 s."""
MOST_AT_START = 24.0

MOST_BURST = 1.0
"""Seconds: the longest gap between two bursts that is taken into account after a wait."""

MARGIN = 1.07
"""How much more than the estimate is gathered."""

SCARCE = 0.6
"""Playback waits in the next pause, or does not start, if less than this part of the reserve is buffered."""

PHRASE_SECONDS = 6.0
"""Seconds of speech in which a pause is expected."""

LEAD_SECONDS = 0.25
"""How long nothing must arrive, at least, before playback waits in a pause although the speech arrives fast enough."""
LEAD_SHARE = 0.2
"""The same as a share of the buffered seconds, if that is longer: more is likely to arrive while they are played."""

PRIOR_SECONDS = 30.0
"""The learned rate has the weight of a measurement of so many seconds."""

STALL_SECONDS = 2.0
"""A single gap of this length, twice the next longest, is a stall, and says nothing about the rate."""


class Arrivals:
    """When the audio of a speech arrived. One thread writes; any thread may read."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        """Seconds between the first and the last arrival, without those in which text was awaited."""
        self.low: float | None = None
        """The rate, in seconds of audio a second. Within a burst it stays what it was before the burst."""
        self.lag: float | None = None
        """Seconds from the first arrival to the earliest start with which playback would not have waited, except for a
        single stall."""
        self._audio = 0.0
        self._first = self._last = (0.0, 0.0)
        self._is_first = True
        self._gaps = (0.0, 0.0)

    def note(self, now: float, seconds: float, position: float) -> None:
        """Note that data arrived, after `seconds` of audio; `position`: seconds that could be played."""
        if self._is_first:
            self._first, self._is_first = (self.elapsed, position), False
        else:
            gap = now - self._last[0]
            self.elapsed += gap
            self._audio += seconds - self._last[1]
            self._gaps = max(gap, self._gaps[0]), max(min(gap, self._gaps[0]), self._gaps[1])
            late = self.elapsed - self._stall - self._first[0] - (position - self._first[1])
            self.lag = max(self.lag or 0.0, late)
            rate = self.rate
            if rate is not None:
                rise = gap / self._gaps[0] if self._gaps[0] else 1.0
                self.low = rate if self.low is None or rate < self.low else self.low + (rate - self.low) * rise
        self._last = now, seconds

    def rest(self) -> None:
        """Do not measure until the next arrival: more text is awaited."""
        self._is_first = True

    @property
    def gap(self) -> float:
        """Seconds of the longest gap, except a single stall."""
        return self._gaps[1] if self._stall else self._gaps[0]

    @property
    def _stall(self) -> float:
        longest, second = self._gaps
        return longest if longest > max(STALL_SECONDS, 2 * second) else 0.0

    def waited(self, now: float) -> float:
        """Return the seconds since the first arrival, without those in which text was awaited."""
        return self.elapsed + (0.0 if self._is_first else now - self._last[0])

    @property
    def rate(self) -> float | None:
        """Seconds of audio a second, without a single stall; None: not measured."""
        elapsed = self.elapsed - self._stall
        return self._audio / elapsed if elapsed > 0 and self._audio > 0 else None


class Supply:
    """The supply of one speech. `left` returns the seconds that have not arrived; None: not known."""

    def __init__(
        self, prebuffer: Prebuffer, left: Callable[[], float | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.arrivals = Arrivals()
        self.latency = 0.0
        """Of the device, in seconds."""
        self.gap: float | None = None
        """Seconds of the longest wait for a chunk while the gate was closed; None: fewer than two chunks arrived."""
        self.arrived_at: float | None = None
        """When data arrived last; None: text is awaited."""
        self.ready_at: float | None = None
        """When enough was buffered for a speech that arrives fast enough."""
        self.is_smooth = prebuffer.seconds is None and prebuffer.smooth != "off"
        self._prebuffer = prebuffer
        self._left = left
        self._clock = clock

    @property
    def rate(self) -> float | None:
        """Seconds of audio a second, as measured and learned; None: not known."""
        measured, learned, weight = self.arrivals.low, self._prebuffer.rate, self.arrivals.elapsed
        if learned is None or measured is None:
            return learned if measured is None else measured
        return (learned * PRIOR_SECONDS + measured * weight) / (PRIOR_SECONDS + weight)

    def is_enough(self, source: SinkSource, ahead: float, speed: float, *, has_pause: bool, is_jump: bool) -> bool:
        """Return whether the gate may open with `ahead` seconds of playback at `speed`.

        `has_pause`: there is a pause in them. `is_jump`: playback continues elsewhere.
        """
        is_dry = source.is_dry and not is_jump
        needed = self._prebuffer.needed(self.latency, source.underrun_count + 1 if is_dry else 0, self.gap)
        if ahead < needed or (is_dry and self.is_smooth and self._is_stalled):
            return False
        if self.ready_at is None:
            self.ready_at = self._clock()
        short = self._short(speed)
        if short <= 0:
            return True
        left = self._left()
        if left is not None:
            reserve = MARGIN * short * (ahead + left / speed)
            if is_dry:
                burst = min(self.arrivals.gap, MOST_BURST)  # until the next one, as much is played
                return ahead >= self.latency + burst + min(MOST_SECONDS, reserve)
            delay = reserve / (1 - short)
            if source.started_at is None and not is_jump and self._may_delay(delay):
                if reserve > MOST_AT_START:
                    return ahead >= MOST_AT_START
                is_late = self.arrivals.waited(self._clock()) >= self.latency + delay
                return is_late and ahead >= self.latency + SCARCE * reserve
        return has_pause or ahead >= short * PHRASE_SECONDS

    def _may_delay(self, seconds: float) -> bool:
        smooth = self._prebuffer.smooth
        return smooth == "start" or (smooth == "auto" and seconds <= BEARABLE_SECONDS)

    def lasts(self, ahead: float, lead: float, speed: float) -> bool:
        """Return whether playback need not wait in a pause that is `lead` seconds ahead."""
        short, left = self._short(speed), self._left()
        if short > 0 and (left is None or ahead < SCARCE * short * (ahead + left / speed)):
            return False
        return lead < max(self._patience, LEAD_SHARE * ahead)

    @property
    def _patience(self) -> float:
        """Seconds in which data arrives, unless the speech stalls."""
        return max(LEAD_SECONDS, 1.5 * self.arrivals.gap)

    @property
    def _is_stalled(self) -> bool:
        return self.arrived_at is not None and self._clock() - self.arrived_at >= self._patience

    def _short(self, speed: float) -> float:
        """Return how many of the seconds that are played do not arrive meanwhile; 0 or less: none."""
        rate = self.rate if self.is_smooth else None
        return 0.0 if rate is None else 1 - rate / speed
