"""A clock that a test puts forward, as if the process had been stopped."""

import time


class JumpingClock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.ahead = 0.0
        """Seconds."""
        self.calls = 0

    def monotonic(self) -> float:
        self.calls += 1
        return time.monotonic() + self.ahead
