"""The HTML page of `voice bench`: one file without scripts or external resources, made from `page.html`.

All text from settings, servers and users is escaped; a Content-Security-Policy keeps the page from loading anything.
"""

import os
import platform
import string
import time
from collections.abc import Sequence

from voice_cli import __version__
from voice_cli.bench.charts import KINDS, bars_of, buffer_curve, comparison, waterfall
from voice_cli.bench.figures import FIGURES, Measured, figure, shown, shown_summary
from voice_cli.bench.runs import Run
from voice_cli.printable import to_html

MAX_TEXT = 400
"""Characters of the text on the page."""


def conditions(*, warm: bool) -> str:
    """Return the mode of the runs, the time and this machine as text."""
    return (
        f"{'warm: one process, connections kept' if warm else 'cold: a new process for each run'} · "
        f"{time.strftime('%Y-%m-%d %H:%M %z')} · {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} processors, Python {platform.python_version()}, voice {__version__}"
    )


def page(measured: Sequence[Measured], text: str, about: str, *, interrupted: bool) -> str:
    """Return the page. `about`: the conditions of the runs."""
    with open(os.path.join(os.path.dirname(__file__), "page.html"), encoding="utf-8") as file:
        frame = string.Template(file.read())
    text = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"
    return frame.substitute(
        text=to_html(text),
        about=to_html(about),
        warning="<p><b>The benchmark was interrupted; these are the runs before that.</b></p>" if interrupted else "",
        heads="".join(
            f'<th><abbr title="{to_html(column.meaning)}">{column.title}</abbr>{column.unit_suffix}</th>'
            for column in FIGURES
        ),
        rows="\n".join(_row(each) for each in measured),
        comparison=_comparison(measured),
        targets="\n".join(_target(each) for each in measured),
        meanings="".join(f"<dt>{column.title}</dt><dd>{to_html(column.meaning)}</dd>" for column in FIGURES),
    )


def _row(measured: Measured) -> str:
    target = measured.target
    count = f"{len(measured.complete)} of {len(measured.runs)}"
    cells = [to_html(cell) for cell in (target.name, target.format, count)]
    cells += [f"{found[0]}<i>{found[1]}</i>" if found else "–" for found in shown_summary(measured)]
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    if not measured.remarks:
        return f"<tr>{row}</tr>"
    remarks = to_html("; ".join(measured.remarks))
    return f'<tr class="has-error">{row}</tr><tr class="error"><td colspan="{len(cells)}">{remarks}</td></tr>'


def _comparison(measured: Sequence[Measured]) -> str:
    rows = [(each.target.label, run) for each in measured if (run := each.typical) is not None and bars_of(run)]
    if not rows:
        return ""
    drawing = comparison(rows, "From the start to the first sound, the median run of each target")
    return (
        "<h2>From the start to the first sound <small>the median run of each target</small></h2>"
        f'<section class="card">{_legend("ours", "network", "server", "silence")}'
        f'<div class="scroll">{drawing}</div></section>'
    )


def _legend(*kinds: str) -> str:
    square = '<svg viewBox="0 0 12 12" aria-hidden="true"><rect class="{}" width="12" height="12" rx="3"/></svg>'
    return f'<ul class="legend">{"".join(f"<li>{square.format(kind)}{KINDS[kind]}</li>" for kind in kinds)}</ul>'


def _target(measured: Measured) -> str:
    target = measured.target
    described = " · ".join(filter(None, (target.settings.profile.backend, target.where)))
    typical = measured.typical
    runs = [
        _run(run, number, target.label, is_open=run is typical) for number, run in enumerate(measured.runs, start=1)
    ]
    return f"<h2>{to_html(target.label)} <small>{to_html(described)}</small></h2>{''.join(runs)}"


def _run(run: Run, number: int, name: str, *, is_open: bool) -> str:
    facts = [f"<b>Run {number}</b>"]
    for column in FIGURES:
        value = figure(run, column.key)
        if value is not None and (column.unit or value):
            facts.append(f"<span>{column.title} {shown(value, column.unit)} {column.unit}</span>")
    if is_open:
        facts.append("<span>the median run</span>")
    if run.exit_code:
        error = run.report["error"]
        facts.append(f'<span class="bad">{to_html(run.report["outcome"])}: {to_html(error["message"])}</span>')
    drawings = ""
    if bars_of(run):
        drawing = waterfall(run, f"Waterfall of run {number}, {name}")
        drawings += _figure("Where the time to the first sound went", drawing)
    if run.trace.curve:
        drawing = buffer_curve(run, f"Buffer of run {number}, {name}")
        caption = "Audio received and heard; the area between is the buffer"
        caption += "; red: underruns" if run.trace.underruns else ""
        caption += "; triangles: device underflows" if run.trace.underflows else ""
        drawings += _figure(caption, drawing)
    inside = f'<div class="drawings">{drawings}</div>' if drawings else ""
    return f"<details{' open' if is_open else ''}><summary>{''.join(facts)}</summary>{inside}</details>"


def _figure(caption: str, drawing: str) -> str:
    return f"<figure><figcaption>{caption}</figcaption>{drawing}</figure>"
