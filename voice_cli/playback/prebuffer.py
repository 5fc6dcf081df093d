"""How much sound has to be there before it starts, or goes on."""

from typing import NamedTuple

RING_SECONDS = 30.0
"""How far the backend may run ahead of the ear."""

MARGIN_SECONDS = 0.005
"""What is in the ring besides when the device starts."""


class Prebuffer(NamedTuple):
    """How much must be there before the gate opens."""

    seconds: float | None = None
    """A fixed amount; None: as little as holds."""

    def needed(self, device_latency: float, dry_runs: int) -> float:
        """Give the seconds to gather, at first and after the ring ran dry that many times.

        At first what the device holds, since that is what it takes when it starts, and a little for the time until
        more comes. A backend that was too slow once will be again: then twice as much each time, so that there are few
        long holes and not many short ones.
        """
        if self.seconds is not None:
            return min(self.seconds, RING_SECONDS / 2)  # more than the ring holds would never be there
        if not dry_runs:
            return device_latency + MARGIN_SECONDS
        return min(0.25 * 2.0**dry_runs, RING_SECONDS / 4)
