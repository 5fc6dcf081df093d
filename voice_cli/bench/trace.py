"""The trace of one `voice say`: its timestamps, and the curve of the buffer.

`voice say` writes it for `voice bench` to the file that the environment variable VOICE_TRACE names. It is no part of
the documented `--json` object, and may change. A variable, because a hidden option would be parsed by typer, which is
not what is measured; a file, because Windows does not inherit descriptors. The variable is read after the request and
the file written after the last frame, so tracing does not slow the run.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from voice_cli.playback.device_watch import Reopening
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.timeline import PlaybackMetrics, Timeline

if TYPE_CHECKING:
    from voice_cli.playback.curve import Hole, Point

TRACE_ENV = "VOICE_TRACE"


class Trace(NamedTuple):
    """Timestamps, buffer and underruns of a run; times are seconds from its start."""

    timestamps: Mapping[str, float] = {}
    """By the names of `timeline.TIMESTAMPS`."""
    curve: "Sequence[Point]" = ()
    underruns: "Sequence[Hole]" = ()
    underflows: "Sequence[Hole]" = ()


class TracedTimeline(Timeline):
    """A timeline that records arrivals, and writes its trace to the file of VOICE_TRACE with its metrics."""

    def __init__(self) -> None:
        super().__init__(arrivals=[])
        self._path = os.environ[TRACE_ENV]

    def metrics(self, source: SinkSource | None, reopenings: Sequence[Reopening] = ()) -> PlaybackMetrics:
        import json

        from voice_cli.playback.curve import curve, underflows, underruns

        trace = {
            "timestamps": dict(self.timestamps),  # another thread may set one meanwhile
            "curve": curve(self.arrivals or [], source),
            "underruns": underruns(source) if source is not None else [],
            "underflows": underflows(source) if source is not None else [],
        }
        # Without a trace, the page has no drawings of this run.
        with suppress(OSError), open(self._path, "w", encoding="utf-8") as file:
            json.dump(trace, file)
        return super().metrics(source, reopenings)


def read(path: str) -> Trace:
    """Return the trace in a file; an empty one if there is none."""
    import json

    from voice_cli.playback.curve import Hole, Point

    try:
        with open(path, encoding="utf-8") as file:
            tree: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return Trace()
    timestamps = tree["timestamps"]
    start = timestamps.get("process_start", min(timestamps.values(), default=0.0))
    return Trace(
        {name: at - start for name, at in timestamps.items()},
        [Point(at - start, *values) for at, *values in tree["curve"]],
        [Hole(at - start, *values) for at, *values in tree["underruns"]],
        [Hole(at - start, *values) for at, *values in tree["underflows"]],
    )
