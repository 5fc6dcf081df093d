"""How much audio is buffered before playback starts or continues."""

from typing import NamedTuple

RING_SECONDS = 30.0
"""How far decoding may run ahead of playback."""

DEVICE_SHARE = 1.5
"""What a device takes when it starts, in latencies. A latency is four of its periods (PortAudio on ALSA); it pulls five
of them at once, and a sixth before the next period is over."""

UNKNOWN_GAP = 0.04
"""Seconds assumed between chunks until the second one has arrived."""
MAX_GAP = 0.1
"""Seconds. A longer gap between chunks is not bridged here, but may be learned (`learned.py`)."""


class Prebuffer(NamedTuple):
    """How much must be buffered before the gate opens."""

    seconds: float | None = None
    """A fixed amount; None: chosen from the device's latency and the gaps between chunks."""
    head_start: float = 0.0
    """Seconds to buffer in addition at the start, if the amount is not fixed."""
    smooth: str = "auto"
    """Where a speech that arrives too slowly waits: `start`, `pauses`, `auto`; `off`: where the ring runs empty."""
    rate: float | None = None
    """Seconds of audio that arrived a second in earlier runs; None: not known."""
    chars_per_second: float | None = None
    """Code points of the text for each second of audio in earlier runs; None: not known."""

    def needed(self, device_latency: float, dry_runs: int, gap: float | None = None) -> float:
        """Return the seconds to buffer, at first or after the ring ran empty `dry_runs` times.

        At first: what the device takes when it starts, and `gap`, the longest time between two chunks so far, in
        seconds. After the first underrun: 0.2 s; then twice as much each time, so that there are few long pauses
        instead of many short ones.
        """
        if self.seconds is not None:
            return min(self.seconds, RING_SECONDS / 2)  # the ring cannot hold more
        if not dry_runs:
            bridge = UNKNOWN_GAP if gap is None else min(gap, MAX_GAP)
            return DEVICE_SHARE * device_latency + bridge + self.head_start
        return min(0.2 if dry_runs == 1 else 0.25 * 2.0**dry_runs, RING_SECONDS / 4)
