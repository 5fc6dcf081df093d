"""The figures of `voice bench`: medians, interquartile ranges and 95th percentiles of its runs."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from voice_cli.bench.runs import Run, Target
from voice_cli.printable import escaped


class Figure(NamedTuple):
    """One column of the table."""

    key: str
    title: str
    unit: str
    meaning: str

    @property
    def unit_suffix(self) -> str:
        """The unit, as it follows the title of a column."""
        return f", {self.unit}" if self.unit else ""


FIGURES = (
    Figure("ttfa_ms", "TTFA", "ms", "time to first audio: from the start to the first audible frame at the device"),
    Figure("ttfb_ms", "TTFB", "ms", "time to first byte: from the request to the first byte of the answer"),
    Figure("added_ms", "added", "ms", "time in this program and the device: TTFA less TTFB less leading silence"),
    Figure("real_time_factor", "RTF", "", "generation seconds per second of audio: playback needs less than 1"),
    Figure("underruns", "underruns", "", "how often playback waited for the backend or the network"),
    Figure("device_underflows", "underflows", "", "how often this machine delivered sound to the device too late"),
)


class Spread(NamedTuple):
    """A figure of several runs."""

    median: float
    q1: float
    """The first quartile, which a quarter of the runs is below."""
    q3: float
    """The third quartile; the interquartile range is from the first to this one."""
    p95: float


class Measured(NamedTuple):
    """A target and its runs, in order."""

    target: Target
    runs: list[Run]

    @property
    def complete(self) -> list[Run]:
        """The runs that ended without an error."""
        return [run for run in self.runs if not run.exit_code]

    @property
    def exit_code(self) -> int:
        """The highest exit code of the runs."""
        return max((run.exit_code for run in self.runs), default=0)

    @property
    def error(self) -> str | None:
        """The error with the highest exit code, and the number of failed runs."""
        failed = [run.report["error"] for run in self.runs if run.exit_code]
        if not failed:
            return None
        worst = max(failed, key=lambda error: int(error["exit_code"]))
        words = worst["message"] + (f" ({worst['hint']})" if worst["hint"] else "")
        return f"{len(failed)} of {len(self.runs)} failed: {words}"

    @property
    def retries(self) -> int:
        """Requests that were sent again. Their waits are in the figures."""
        return sum(run.report.get("retries") or 0 for run in self.runs)

    @property
    def remarks(self) -> list[str]:
        """What qualifies the figures: the failed runs, and the requests that were sent again."""
        retries = self.retries
        again = f"{retries} request{'s were' if retries > 1 else ' was'} sent again, and the times include it"
        return [*filter(None, [self.error]), *([again] if retries else [])]

    @property
    def typical(self) -> Run | None:
        """The complete run with the median TTFA, or TTFB if nothing was played."""
        key = "ttfa_ms" if any(figure(run, "ttfa_ms") is not None for run in self.complete) else "ttfb_ms"
        runs = sorted(self.complete, key=lambda run: (figure(run, key) is None, figure(run, key) or 0.0))
        return runs[(len(runs) - 1) // 2] if runs else None


def figure(run: Run, key: str) -> float | None:
    """Return one figure of a run; None: not measured."""
    report = run.report
    if key != "added_ms":
        return None if report[key] is None else float(report[key])
    if report["ttfa_ms"] is None or report["ttfb_ms"] is None:
        return None
    return round(float(report["ttfa_ms"]) - float(report["ttfb_ms"]) - float(report["leading_silence_ms"] or 0.0), 2)


def spread(values: Sequence[float | None]) -> Spread | None:
    """Return median, quartiles and 95th percentile of the values that are not None; None if there are none.

    The quartiles are interpolated between the values. The percentile is the nearest rank, so one of the values: the
    largest of fewer than 20.
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    q1, median, q3 = statistics.quantiles(known, n=4, method="inclusive") if len(known) > 1 else 3 * known
    return Spread(round(median, 4), round(q1, 4), round(q3, 4), known[math.ceil(0.95 * len(known)) - 1])


def summary(measured: Measured) -> dict[str, Spread | None]:
    """Return each figure's spread over the complete runs."""
    return {column.key: spread([figure(run, column.key) for run in measured.complete]) for column in FIGURES}


def shown(value: float, unit: str) -> str:
    """Return a figure as text: whole milliseconds from 100 on, else with a few digits."""
    if unit == "ms":
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.2f}".rstrip("0").rstrip(".")


def shown_summary(measured: Measured) -> list[tuple[str, str] | None]:
    """Return the median and the interquartile range of each figure as text; None: not measured."""
    return [
        None
        if found is None
        else (shown(found.median, column.unit), f"{shown(found.q1, column.unit)}–{shown(found.q3, column.unit)}")
        for column, found in zip(FIGURES, summary(measured).values(), strict=True)
    ]


def tsv(measured: Sequence[Measured]) -> list[str]:
    """Return the table as lines with tabs, the names first; `-`: not measured."""
    names = ["target", "format", "runs", "complete"]
    for column in FIGURES:
        names += [column.key, *(f"{column.key}_{name}" for name in Spread._fields[1:])]
    lines = ["\t".join([*names, "retries", "error"])]
    for each in measured:
        cells: list[Any] = [each.target.name, each.target.format, len(each.runs), len(each.complete)]
        for found in summary(each).values():
            cells += len(Spread._fields) * ["-"] if found is None else [f"{value:g}" for value in found]
        cells += [each.retries, each.error or "-"]
        lines.append("\t".join(escaped(str(cell)) for cell in cells))
    return lines


def as_object(measured: Measured) -> dict[str, Any]:
    """Return a target and its runs as JSON values; times are milliseconds from the start of each run."""
    target = measured.target
    return {
        "target": target.name,
        "profile": target.settings.profile_name,
        "backend": target.settings.profile.backend,
        "server": target.where or None,
        "format": target.format,
        "exit_code": measured.exit_code,
        "retries": measured.retries,
        "summary": {key: found and found._asdict() for key, found in summary(measured).items()},
        "runs": [_run_object(run) for run in measured.runs],
    }


def _run_object(run: Run) -> Mapping[str, Any]:
    timestamps = {name: round(at, 2) for name, at in run.timestamps_ms.items()}
    curve = [
        [round(1000 * point.at, 2), round(point.received, 4), point.heard and round(point.heard, 4)]
        for point in run.trace.curve
    ]
    return {**run.report, "added_ms": figure(run, "added_ms"), "moments_ms": timestamps, "curve": curve}
