"""How much sound has to be there before it starts, or goes on."""

from typing import NamedTuple

RING_SECONDS = 30.0
"""How far the backend may run ahead of the ear."""

MARGIN_SECONDS = 0.008
"""What is in the ring besides when the device starts: about a period of the device's, which it takes at a time."""

UNKNOWN_GAP = 0.04
"""Seconds until the second chunk, while there is but one."""
MOST_GAP = 0.1
"""Seconds. A backend that waits longer between two chunks is not bridged, but may be learned of."""


class Prebuffer(NamedTuple):
    """How much must be there before the gate opens."""

    seconds: float | None = None
    """A fixed amount; None: as little as holds."""
    head_start: float = 0.0
    """Seconds to gather besides, where as little as holds is gathered."""

    def needed(self, device_latency: float, dry_runs: int, gap: float | None = None) -> float:
        """Give the seconds to gather, at first and after the ring ran dry that many times.

        At first what the device holds, since that is what it takes when it starts, and what bridges the time until more
        comes: `gap` is the longest, in seconds, that there was between two chunks so far. After the ring ran dry once,
        which may have been an accident, 0.2 s; a backend that was too slow twice will be again: then twice as much each
        time, so that there are few long holes and not many short ones.
        """
        if self.seconds is not None:
            return min(self.seconds, RING_SECONDS / 2)  # more than the ring holds would never be there
        if not dry_runs:
            bridge = UNKNOWN_GAP if gap is None else min(gap, MOST_GAP)
            return device_latency + MARGIN_SECONDS + bridge + self.head_start
        return min(0.2 if dry_runs == 1 else 0.25 * 2.0**dry_runs, RING_SECONDS / 4)
