"""The progress bar and the table of `voice bench`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from voice_cli.bench.figures import FIGURES, Measured, shown_summary, tsv
from voice_cli.printable import escaped

if TYPE_CHECKING:
    from rich.progress import Progress


def progress_bar() -> "Progress":
    """Return a bar on standard error, without output if that is no terminal. It is drawn only at updates."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    is_shown = sys.stderr.isatty()
    console = Console(file=sys.stderr, quiet=not is_shown)  # rich < 15 ends a disabled bar with a newline
    return Progress(*columns, console=console, auto_refresh=False, transient=True, disable=not is_shown)


def print_table(measured: Sequence[Measured]) -> None:
    """Print medians with interquartile ranges, in a pipe as lines with tabs."""
    if not sys.stdout.isatty():
        for line in tsv(measured):
            print(line)  # noqa: T201
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("target", overflow="fold")
    table.add_column("format")
    table.add_column("runs", justify="right")
    for column in FIGURES:
        title = (column.title + column.unit_suffix).replace("under", "under-\n")
        table.add_column(title, justify="right", no_wrap=True)
    for each in measured:
        count = f"{len(each.complete)}/{len(each.runs)}"
        cells = [Text(escaped(cell)) for cell in (each.target.name, each.target.format, count)]
        for found in shown_summary(each):
            dash = Text("–", style="dim")
            cells.append(Text.assemble(found[0], (f"\n{found[1]}", "dim")) if found else dash)
        table.add_row(*cells)
    console.print(table)
    for each in measured:
        for remark in each.remarks:
            console.print(Text(escaped(f"{each.target.label}: {remark}"), style="red"))
    console.print(Text("median, and below it the interquartile range, of the complete runs", style="dim"))
