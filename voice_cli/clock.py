"""The start time of the process."""

import os
import sys
import time


def process_start() -> float:
    """Return the time at which this process started, on `time.monotonic`.

    It is estimated from the CPU time used so far, and on Linux limited to the tick of 10 ms in proc(5), `starttime`.
    Call it early: on other systems, each wait before the call adds to the error.
    """
    now = time.monotonic()
    guess = now - time.process_time()
    if sys.platform == "linux":
        try:
            with open("/proc/self/stat", "rb") as stat:
                ticks = int(stat.read().rpartition(b")")[2].split()[19])
            tick = 1 / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return guess
        began = now - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks * tick)
        return min(max(guess, began), began + tick)
    return guess
