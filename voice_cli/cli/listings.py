"""Lists: a table on a terminal, tab-separated lines in a pipe, or JSON; and `voice devices`."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from voice_cli.cli.console import silence_libraries, write_json, write_stdout
from voice_cli.printable import escaped


def list_devices(*, as_json: bool) -> None:
    """Print the output devices."""
    from voice_cli.playback.sinks.device import output_devices

    silence_libraries()
    rows = output_devices()
    if not as_json:
        rows = [
            {
                "device": f"{row['index']}{' *' if row['default'] else ''}",
                "name": row["name"],
                "host": row["host"],
                "channels": row["channels"],
                "rate": f"{row['rate']} Hz",
                "latency": f"{1000 * row['latency']:.0f} ms",
            }
            for row in rows
        ]
    print_rows(rows, as_json=as_json)


def print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print rows with the same keys, without empty columns except in JSON."""
    if as_json:
        write_json(list(rows))
        return
    keys = [key for key in (rows[0] if rows else ()) if any(row[key] not in ("", None) for row in rows)]
    if sys.stdout is None or not sys.stdout.isatty():
        if rows:
            write_stdout("\n".join("\t".join(escaped(str(row[key])) for key in keys) for row in rows))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for key in keys:
        table.add_column(key, overflow="fold")
    for row in rows:
        table.add_row(*(Text(escaped(str(row[key]))) for key in keys))
    Console(highlight=False).print(table)
