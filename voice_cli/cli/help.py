"""`voice say --help` without typer, whose import takes a quarter of a second. It is built from `options`."""

import shutil
import sys
import textwrap

from voice_cli.cli.console import is_styled, write_stdout
from voice_cli.cli.options import EXAMPLES, SUMMARY, options

MAX_COLUMNS = 100
FLAGS_COLUMNS = 34


def print_say_help() -> None:
    """Write the help to standard output, in color on a terminal, and in as many columns as it has."""
    bold, dim, plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if is_styled(sys.stdout) else ("", "", "")
    columns = max(60, min(MAX_COLUMNS, shutil.get_terminal_size().columns - 1))
    lines = [
        f"{bold}Usage:{plain} voice say [OPTIONS] [TEXT]...",
        "",
        SUMMARY,
        "",
        "The text: arguments, --file, or standard input ('-', or no text and a pipe).",
    ]
    panel = None
    for name, option in options().items():
        if option.panel != panel:
            panel = option.panel
            lines += ["", f"{bold}{panel}{plain}"]
        flags = ", ".join(reversed(option.flags(name))) + (f" {option.metavar}" if option.metavar else "")
        described = textwrap.wrap(option.help, columns - FLAGS_COLUMNS - 2)
        if len(flags) > FLAGS_COLUMNS - 2:
            lines.append(f"  {flags}")
            flags = ""
        for index, part in enumerate(described):
            lines.append(f"  {flags if index == 0 else '':{FLAGS_COLUMNS - 2}}  {part}".rstrip())
    lines += ["", f"{bold}Examples{plain}"]
    for line, what in EXAMPLES:
        lines += [f"  {line}", f"      {dim}{what}{plain}"]
    write_stdout("\n".join(lines))
