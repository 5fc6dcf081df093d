"""How much had been received, and how much heard, at every moment of a playback: what lies between is in the buffer.

Arithmetic on the account that `Timeline.arrivals` and the source keep anyway; exact, and no thread samples anything.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from voice_cli.playback.sink_source import Gap, SinkSource


class Point(NamedTuple):
    """One entry of the curve."""

    at: float
    """Seconds, on `time.monotonic`."""
    received: float
    """Seconds of audio that had been decoded; stays until the next point."""
    heard: float | None
    """Seconds of it that had left the device, on a straight line to the next point; None: there is no device."""


class Hole(NamedTuple):
    """An underrun or a device underflow, placed in time."""

    at: float
    """When it began at the DAC: seconds, on `time.monotonic`."""
    seconds: float
    position: float
    """Seconds of the stream that went out before."""


def curve(arrivals: Sequence[tuple[float, float]], source: SinkSource | None) -> list[Point]:
    """Lay what came and what was heard over each other: a point for each arrival, and each corner of what was heard."""
    corners = _heard(source) if source is not None else []
    points = []
    for at in sorted({at for at, _ in (*arrivals, *corners)}):
        arrived = bisect_right(arrivals, at, key=lambda arrival: arrival[0])
        points.append(Point(at, arrivals[arrived - 1][1] if arrived else 0.0, _height(corners, at)))
    return points


def underruns(source: SinkSource) -> list[Hole]:
    """Give the underruns that are remembered, in their order."""
    return [
        Hole(ended - gap.seconds, gap.seconds, position) for gap, ended, position in _placed(source, source.underruns)
    ]


def underflows(source: SinkSource) -> list[Hole]:
    """Give the device underflows that are remembered, in their order."""
    return [Hole(at, gap.seconds, position) for gap, at, position in _placed(source, source.underflows)]


def _placed(source: SinkSource, gaps: Sequence[Gap]) -> list[tuple[Gap, float, float]]:
    """Give each gap with the time and the position of the frame that followed; without one that none followed."""
    placed = []
    for gap in gaps:
        at = source.time_of(gap.frame)
        if at is not None:
            placed.append((gap, at, source.format.seconds(gap.frame)))
    return placed


def _heard(source: SinkSource) -> list[tuple[float, float]]:
    """Give the corners of what was heard over time: (when, seconds of the stream); it is level in an underrun."""
    last = source.time_of(source.position - 1) if source.position else None
    if source.started_at is None or last is None:
        return []
    corners = [(source.started_at, 0.0)]
    for hole in underruns(source):
        corners += [(hole.at, hole.position), (hole.at + hole.seconds, hole.position)]
    return [*corners, (last + source.format.seconds(1), source.format.seconds(source.position))]


def _height(corners: Sequence[tuple[float, float]], at: float) -> float | None:
    """Read the line through these corners at one moment; level before the first and after the last."""
    if not corners:
        return None
    after = bisect_right(corners, at, key=lambda corner: corner[0])
    if after in (0, len(corners)):
        return corners[max(0, after - 1)][1]
    (left, low), (right, high) = corners[after - 1], corners[after]
    return low + (high - low) * (at - left) / (right - left)
