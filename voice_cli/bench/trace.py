"""The whole account of one `voice say`, for a program that starts it: every moment, and the curve of the buffer.

`--json` prints one documented object, and what is in it is a promise; a trace is for `voice bench`, and may change. So
it goes another way: to the file that the environment variable VOICE_TRACE names. A variable, because a hidden option
would have to stand in `options.SayOptions`, which is the command line that people see, or send the run through typer,
which is not the run to be measured; a file, because Windows passes no descriptors on. It is read when the request has
left and written when the last frame was heard, so a run that is traced is as fast as one that is not.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.timeline import PlaybackMetrics, Timeline

if TYPE_CHECKING:
    from voice_cli.playback.curve import Hole, Point

TRACE_ENV = "VOICE_TRACE"


class Trace(NamedTuple):
    """What happened when, in seconds on `time.monotonic`."""

    timestamps: dict[str, float]
    """`timeline.TIMESTAMPS`, as far as they came."""
    curve: "list[Point]"
    underruns: "list[Hole]"
    underflows: "list[Hole]"


class TracedTimeline(Timeline):
    """A timeline that keeps what a curve needs, and hands the trace over when its figures are worked out."""

    def __init__(self, give: Callable[[Trace], None]) -> None:
        super().__init__(arrivals=[])
        self._give = give

    def metrics(self, feed: SinkSource | None) -> PlaybackMetrics:
        from voice_cli.playback.curve import curve, underflows, underruns

        metrics = super().metrics(feed)
        self._give(
            Trace(
                dict(self.timestamps),
                curve(self.arrivals or [], feed),
                underruns(feed) if feed is not None else [],
                underflows(feed) if feed is not None else [],
            )
        )
        return metrics


def traced_timeline() -> Timeline:
    """Make the timeline of a `voice say` whose trace goes to the file that VOICE_TRACE names."""
    path = os.environ[TRACE_ENV]
    return TracedTimeline(lambda trace: _write(path, trace))


def _write(path: str, trace: Trace) -> None:
    import json

    # Who asked for it sees that it is missing; whoever listens has nothing to do with it.
    with suppress(OSError), open(path, "w", encoding="utf-8") as file:
        json.dump(trace._asdict(), file)


def read(path: str) -> Trace | None:
    """Read a trace that was written; None if there is none."""
    import json

    from voice_cli.playback.curve import Hole, Point

    try:
        with open(path, encoding="utf-8") as file:
            tree: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    return Trace(
        tree["timestamps"],
        [Point(*point) for point in tree["curve"]],
        [Hole(*hole) for hole in tree["underruns"]],
        [Hole(*hole) for hole in tree["underflows"]],
    )
