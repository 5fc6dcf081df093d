"""The drawings of the benchmark's page, as inline SVG: waterfalls and buffer curves.

The page's style sets colours by class, in a light and a dark scheme. All text is escaped.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from voice_cli.bench.figures import shown
from voice_cli.bench.runs import Run
from voice_cli.playback.curve import Point
from voice_cli.printable import to_html

WIDTH, FULL_WIDTH = 520, 1040
"""Widths of a drawing on half the page and on all of it, in units that the page scales."""

ROW = 22
"""Height of a line of the waterfall."""

MAX_POINTS = 600
"""Points of a curve; more would not be visible."""


class Phase(NamedTuple):
    """The time between two timestamps of a run."""

    name: str
    kind: str
    """A class of the page's style: ours, network, server, silence, sound."""
    first: tuple[str, ...]
    """It begins at the latest of these timestamps before its end."""
    last: tuple[str, ...]
    """It ends at the first of these that the run has."""


PHASES = (
    Phase("start of the program", "ours", ("process_start",), ("resolved", "connected", "tls", "request_sent")),
    Phase("connection", "network", ("resolved",), ("connected",)),
    Phase("TLS", "network", ("connected", "resolved"), ("tls",)),
    Phase("request", "network", ("tls", "connected", "resolved"), ("request_sent",)),
    Phase("device opens meanwhile", "aside", ("request_sent",), ("device_open",)),
    Phase("server or engine", "server", ("request_sent",), ("first_byte",)),
    Phase("first frame decoded", "ours", ("first_byte",), ("first_frame",)),
    Phase("prebuffer", "ours", ("first_frame",), ("prebuffered",)),
    Phase("device", "ours", ("prebuffered", "device_open"), ("started",)),
    Phase("leading silence", "silence", ("started",), ("first_audible",)),
    Phase("sound", "sound", ("first_audible",), ("last_frame",)),
)

KINDS = {
    "ours": "this program and the device",
    "network": "network",
    "server": "server or engine",
    "silence": "leading silence from the backend",
    "aside": "meanwhile",
    "sound": "sound",
}


class Bar(NamedTuple):
    """A phase of one run, in milliseconds from the run's start."""

    phase: Phase
    first: float
    last: float


def bars_of(run: Run) -> list[Bar]:
    """Return the phases of a run."""
    timestamps = run.timestamps_ms
    bars = []
    for phase in PHASES:
        ends = [timestamps[name] for name in phase.last if name in timestamps]
        begins = [timestamps[name] for name in phase.first if name in timestamps]
        if ends and begins:
            bars.append(Bar(phase, min(max(begins), ends[0]), ends[0]))
    return bars


def first_sound(run: Run) -> float:
    """Return the milliseconds, 1 or more, to the first sound, or else to the first byte or the last timestamp."""
    timestamps = run.timestamps_ms
    names = [name for name in ("first_audible", "first_frame", "first_byte") if name in timestamps]
    return max(1.0, timestamps[names[0]] if names else max(timestamps.values(), default=0.0))


def waterfall(run: Run, title: str) -> str:
    """Draw a line for each phase up to the first sound, with an arrow if the phase continues."""
    end = 1.12 * first_sound(run)
    bars = bars_of(run)
    left, right = 160.0, 76.0
    scale = (WIDTH - left - right) / end
    height = len(bars) * ROW + 34
    parts = [_axis(left, end, scale, height - 20, WIDTH, "ms")]
    labels = []
    for row, bar in enumerate(bars):
        y = row * ROW + 8
        x, far = left + bar.first * scale, left + min(bar.last, end) * scale
        width = max(1.5, far - x)
        took = f"{shown(bar.last - bar.first, 'ms')} ms"
        described = f"{bar.phase.name}: {took}, from {shown(bar.first, 'ms')} ms on"
        parts.append(_text("name", left - 10, y + 11, bar.phase.name, "end"))
        parts.append(_rect(bar.phase.kind, x, y, width, 14, described, 3))
        labels.append(_text("took", x + width + 6, y + 11, took if bar.last <= end else f"{took} →"))
    audible = run.timestamps_ms.get("first_audible")
    if audible is not None:
        x = left + audible * scale
        parts.append(_line("mark", x, 2, x, height - 20))
    return _svg("waterfall", WIDTH, height, title, [*parts, *labels])


def comparison(rows: Sequence[tuple[str, Run]], title: str) -> str:
    """Draw one line for each run up to the first sound, on one scale."""
    end = max(first_sound(run) for _, run in rows)
    left, right, row_height = 220.0, 90.0, 36
    scale = (FULL_WIDTH - left - right) / end
    height = len(rows) * row_height + 26
    parts = [_axis(left, end, scale, height - 20, FULL_WIDTH, "ms")]
    for row, (name, run) in enumerate(rows):
        y = row * row_height + 6
        parts.append(_text("name", left - 10, y + 14, to_html(name if len(name) <= 30 else f"{name[:29]}…"), "end"))
        reached = 0.0
        for bar in bars_of(run):
            first, last = max(bar.first, reached), min(bar.last, end)
            if bar.phase.kind in ("aside", "sound") or last <= first:
                continue
            reached = last
            width = max(0.8, (last - first) * scale - 1.5)
            described = f"{bar.phase.name}: {shown(last - first, 'ms')} ms"
            parts.append(_rect(bar.phase.kind, left + first * scale, y, width, 20, described, 2))
        parts.append(_text("total", left + reached * scale + 8, y + 15, f"{shown(reached, 'ms')} ms"))
    return _svg("comparison", FULL_WIDTH, height, title, parts)


def buffer_curve(run: Run, title: str) -> str:
    """Draw the received and heard audio of a run with a curve, the buffer between them, underruns and underflows."""
    trace = run.trace
    points = thinned(trace.curve)
    is_played = points[-1].heard is not None
    last = max(points[-1].at, *(hole.at + hole.seconds for hole in trace.underruns), 1e-3)
    most = max(points[-1].received, 1e-3)
    left, right, top, height = 36.0, 68.0, 22.0, 256
    bottom = height - 24.0
    across, up = (WIDTH - left - right) / last, (bottom - top) / most
    parts = [_axis(left, last, across, bottom, WIDTH, "s"), _levels(left, WIDTH - right, bottom, most, up)]
    for hole in trace.underruns:
        x, width = left + hole.at * across, max(2.0, hole.seconds * across)
        took = f"{shown(1000 * hole.seconds, 'ms')} ms"
        described = f"underrun of {took} at {hole.position:.2f} s of the audio"
        parts.append(_rect("underrun", x, top, width, bottom - top, described))
        parts.append(_text("underrun-name", x + width / 2, top - 6, took, "middle"))
    edge = left + last * across
    (x, y), *later = [(left + p.at * across, bottom - p.received * up) for p in points]
    received = f"{x:.1f} {y:.1f}" + "".join(f" H{x:.1f} V{y:.1f}" for x, y in later) + f" H{edge:.1f}"
    if is_played:
        line = [(left + p.at * across, bottom - (p.heard or 0.0) * up) for p in points]
        heard = " L".join(f"{x:.1f} {y:.1f}" for x, y in line)
        back = " L".join(f"{x:.1f} {y:.1f}" for x, y in reversed(line))
        parts.append(f'<path class="buffered" d="M{received} L{edge:.1f} {line[-1][1]:.1f} L{back} Z"/>')
        parts.append(f'<path class="heard" d="M{heard}"/>')
        parts.append(_text("heard-name", edge + 6, line[-1][1] + 14, "heard"))
    parts.append(f'<path class="received" d="M{received}"/>')
    parts.append(_text("received-name", edge + 6, bottom - most * up - 2, "received"))
    for hole in trace.underflows:
        x = left + hole.at * across
        parts.append(
            f'<path class="underflow" d="M{x:.1f} {bottom - 9:.1f} l5 9 h-10 Z">'
            f"<title>device underflow at {hole.position:.2f} s of the audio</title></path>"
        )
    return _svg("curve", WIDTH, height, title, parts)


def thinned(points: Sequence[Point]) -> list[Point]:
    """Return at most `MAX_POINTS` points, and the last one."""
    step = math.ceil(len(points) / MAX_POINTS)
    return [point for index, point in enumerate(points) if not index % step or index == len(points) - 1]


def ticks(end: float, most: int = 6) -> list[float]:
    """Return round numbers from 0 to `end`, at most `most` and one more."""
    step = 10.0 ** math.floor(math.log10(end / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * most >= end)
    return [index * step for index in range(int(end / step * (1 + 1e-9)) + 1)]


def _axis(left: float, end: float, scale: float, bottom: float, width: float, unit: str) -> str:
    parts = []
    for value in ticks(end):
        x = left + value * scale
        parts += [_line("grid", x, 0, x, bottom), _text("tick", x, bottom + 15, f"{value:g}", "middle")]
    return "".join([*parts, _text("tick", width - 4, bottom + 15, unit, "end")])


def _levels(left: float, right: float, bottom: float, most: float, up: float) -> str:
    parts = []
    for value in ticks(most, 4):
        y = bottom - value * up
        parts += [_line("grid", left, y, right, y), _text("tick", left - 7, y + 4, f"{value:g} s", "end")]
    return "".join(parts)


def _text(kind: str, x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(kind: str, x: float, y: float, width: float, height: float, title: str, radius: float = 0) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:g}"'
    return f'<rect class="{kind}" {place}><title>{title}</title></rect>'


def _svg(kind: str, width: float, height: float, title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:.0f}" role="img" aria-label="{to_html(title)}">'
        f"{''.join(parts)}</svg>"
    )
