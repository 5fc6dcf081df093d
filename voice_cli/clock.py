"""The one clock is `time.monotonic`; this places the process on it."""

import os
import sys
import time


def process_start() -> float:
    """Tell when this process began, on `time.monotonic`.

    A process that starts Python is busy from its first instruction, so the CPU time that it has used places its start;
    on Linux the kernel's own record, in ticks of 10 ms (proc(5), `starttime`), bounds that from both sides. Call it
    early: every wait before makes it a worse guess elsewhere.
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
