"""The curve of a playback: how much had been received and heard over time; the difference was buffered.

It is computed afterwards from `Timeline.arrivals` and the source's counters; no thread samples anything. It is that of
a playback without controls, as in `voice bench`.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from voice_cli.playback.sink_source import Gap, SinkSource


class Point(NamedTuple):
    """One point of the curve."""

    at: float
    """Seconds, on `time.monotonic`."""
    received: float
    """Seconds of audio decoded; constant until the next point."""
    heard: float | None
    """Seconds that had left the device; linear to the next point. None: there is no device."""


class Hole(NamedTuple):
    """An underrun or a device underflow."""

    at: float
    """When it began at the DAC: seconds, on `time.monotonic`."""
    seconds: float
    position: float
    """Seconds of the stream that were played before."""


def curve(arrivals: Sequence[tuple[float, float]], source: SinkSource | None) -> list[Point]:
    """Return a point for each arrival, and for each corner of the line of what was heard."""
    corners = _heard(source) if source is not None else []
    points = []
    for at in sorted({at for at, _ in (*arrivals, *corners)}):
        arrived = bisect_right(arrivals, at, key=lambda arrival: arrival[0])
        points.append(Point(at, arrivals[arrived - 1][1] if arrived else 0.0, _height(corners, at)))
    return points


def underruns(source: SinkSource) -> list[Hole]:
    """Return the underruns that the source keeps, in order."""
    return _holes(source, source.underruns)


def underflows(source: SinkSource) -> list[Hole]:
    """Return the device underflows that the source keeps, in order."""
    return _holes(source, source.underflows)


def _holes(source: SinkSource, gaps: Iterable[Gap]) -> list[Hole]:
    """Return the place of each gap; skip one that no frame follows."""
    holes = []
    for gap in gaps:
        ended = source.history.time_of(gap.frame)
        if ended is not None:
            holes.append(Hole(ended - gap.seconds, gap.seconds, gap.position))
    return holes


def _heard(source: SinkSource) -> list[tuple[float, float]]:
    """Return the corners of what was heard: (time, seconds of the speech); the line is level in an underrun."""
    last = source.history.time_of(source.position - 1) if source.position else None
    if source.started_at is None or last is None:
        return []
    corners = [(source.started_at, 0.0)]
    for hole in underruns(source):
        corners += [(hole.at, hole.position), (hole.at + hole.seconds, hole.position)]
    return [*corners, (last + source.format.seconds(1), source.history.seconds)]


def _height(corners: Sequence[tuple[float, float]], at: float) -> float | None:
    """Interpolate between the corners; the line is level before the first and after the last."""
    if not corners:
        return None
    after = bisect_right(corners, at, key=lambda corner: corner[0])
    if after in (0, len(corners)):
        return corners[max(0, after - 1)][1]
    (left, low), (right, high) = corners[after - 1], corners[after]
    return low + (high - low) * (at - left) / (right - left)
