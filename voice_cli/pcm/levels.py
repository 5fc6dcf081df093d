"""The threshold of audible samples."""

AUDIBLE = 33
"""The smallest magnitude of an audible sample: -60 dBFS (32768 / 1000), rounded up."""


def first_audible(data: bytes) -> int | None:
    """Return the index of the first sample (not frame) of s16 data at or above -60 dBFS, or None."""
    if not any(data):
        return None
    samples = memoryview(data).cast("h")
    return next((i for i, sample in enumerate(samples) if sample >= AUDIBLE or sample <= -AUDIBLE), None)


def last_audible(data: bytes) -> int | None:
    """Return the index of the last sample (not frame) of s16 data at or above -60 dBFS, or None."""
    samples = memoryview(data).cast("h")
    return next((i for i in reversed(range(len(samples))) if not -AUDIBLE < samples[i] < AUDIBLE), None)
