"""Record commands in a terminal as an animated SVG: `python scripts/record.py docs/images/terminal.svg`.

The commands run in a pseudo-terminal, with PulseAudio's null sink as the device (`make recording` installs what is
needed). The output keeps its times; the typing is added. Without animation, the picture shows the last screen.
"""

import html
import os
import pty
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pyte

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.sound import AudioServer

ROOT = Path(__file__).parent.parent
SCENES = (
    'voice say "This text becomes sound while you read it." --show',
    "cat news.md | voice say --show",
    'voice say "How soon did that begin?" --json | jq .ttfa_ms',
)
NEWS = """\
# Today

- The **build** is done, and all tests pass.
- Text from a pipe is spoken while it arrives.
- Markdown is read as plain text.

```
code_is(skipped)
```
"""
COLUMNS, ROWS = 76, 12
KEY_SECONDS = 0.035
PAUSE_SECONDS = 0.9
"""After each command."""
END_SECONDS = 3.0
STEP = 0.06
"""Seconds between two pictures, at least."""

CELL, LINE, EDGE, BAR = 8.4, 20, 16, 34
"""Pixels."""
COLORS = {"default": "#d8dee9", "brown": "#ebcb8b", "white": "#eceff4"}
SHADES = {"red": "#bf616a", "green": "#a3be8c", "blue": "#81a1c1", "magenta": "#b48ead", "cyan": "#88c0d0"}

STYLE = (
    "text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;white-space:pre}"
    ".b{font-weight:bold}"
)


class Span(NamedTuple):
    """Text of one style on a line of the screen."""

    row: int
    column: int
    text: str
    color: str
    bold: bool


class Terminal:
    """A screen, and the pictures of it with their times in seconds."""

    def __init__(self) -> None:
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self.now = 0.0
        self.pictures: list[tuple[float, frozenset[Span]]] = []

    def show(self, data: bytes) -> None:
        """Interpret output at the time `now`."""
        self._stream.feed(data)
        picture = frozenset(span for row in range(ROWS) for span in self._spans(row))
        if self.pictures and self.now - self.pictures[-1][0] < STEP:
            self.pictures[-1] = (self.pictures[-1][0], picture)
        elif not self.pictures or self.pictures[-1][1] != picture:
            self.pictures.append((self.now, picture))

    def _spans(self, row: int) -> list[Span]:
        spans: list[Span] = []
        for column in range(COLUMNS):
            cell = self._screen.buffer[row][column]
            shade = SHADES.get(cell.fg) or COLORS.get(cell.fg) or (f"#{cell.fg}" if len(cell.fg) == 6 else "#d8dee9")
            last = spans[-1] if spans else None
            if last and (last.color, last.bold) == (shade, cell.bold) and last.column + len(last.text) == column:
                spans[-1] = last._replace(text=last.text + cell.data)
            else:
                spans.append(Span(row, column, cell.data, shade, cell.bold))
        stripped = [span._replace(text=span.text.rstrip()) for span in spans]
        return [span for span in stripped if span.text]


def record(environment: dict[str, str], folder: str) -> list[tuple[float, frozenset[Span]]]:
    """Run the scenes, and return the pictures of the terminal with their times."""
    terminal = Terminal()
    for line in SCENES:
        terminal.show(b"\x1b[32m$\x1b[0m ")
        for key in line:
            terminal.now += KEY_SECONDS
            terminal.show(key.encode())
        terminal.now += 5 * KEY_SECONDS
        terminal.show(b"\r\n")
        run(line, terminal, environment, folder)
        terminal.now += PAUSE_SECONDS
    terminal.show(b"\x1b[32m$\x1b[0m ")
    terminal.pictures.append((terminal.now + END_SECONDS, terminal.pictures[-1][1]))
    return terminal.pictures


def run(line: str, terminal: Terminal, environment: dict[str, str], folder: str) -> None:
    """Run a command line, and show its output at its times."""
    process, ours = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "-c", f"stty rows {ROWS} cols {COLUMNS}; {line}"], environment)
    began, before = time.monotonic(), terminal.now
    while True:
        select.select([ours], [], [])
        try:
            data = os.read(ours, 65536)
        except OSError:  # the command has ended
            break
        terminal.now = before + time.monotonic() - began
        terminal.show(data)
    os.close(ours)
    _, status = os.waitpid(process, 0)
    terminal.now = before + time.monotonic() - began
    if status:
        raise SystemExit(f"failed: {line}")


def svg(pictures: list[tuple[float, frozenset[Span]]]) -> str:
    """Return the pictures as an SVG; a span that stays is one element."""
    length = pictures[-1][0]
    width, height = round(COLUMNS * CELL + 2 * EDGE), ROWS * LINE + BAR + EDGE
    shown: dict[Span, list[list[float]]] = {}
    for index, (at, picture) in enumerate(pictures[:-1]):
        until = pictures[index + 1][0]
        for span in picture:
            times = shown.setdefault(span, [])
            if times and times[-1][1] == at:
                times[-1][1] = until
            else:
                times.append([at, until])
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        "<title>voice in a terminal</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#2e3440"/>',
        *(f'<circle cx="{20 + 18 * dot}" cy="18" r="5" fill="#4c566a"/>' for dot in range(3)),
    ]
    for span, times in sorted(shown.items()):
        x, y = EDGE + span.column * CELL, BAR + (span.row + 1) * LINE - 6
        bold = ' class="b"' if span.bold else ""
        stays = times[-1][1] == length
        start = f'<text x="{x:.0f}" y="{y}" fill="{span.color}" textLength="{len(span.text) * CELL:.1f}"{bold}'
        hidden = "" if stays else ' visibility="hidden"'
        text = html.escape(span.text, quote=False)
        lines.append(f"{start}{hidden}>{text}{animation(times, length)}</text>")
    return "\n".join([*lines, "</svg>", ""])


def animation(times: list[list[float]], length: float) -> str:
    """Return the element that shows a text at those times, of a film that repeats."""
    keys, values = [0.0], ["hidden"]
    for begin, end in times:
        for at, value in ((begin, "visible"), (end, "hidden")):
            if at == 0:
                values[0] = value
            elif at < length:
                keys.append(at / length)
                values.append(value)
    if values == ["visible"]:
        return ""
    shown = ";".join(f"{key:.4f}".rstrip("0").rstrip(".") for key in keys)
    return (
        f'<animate attributeName="visibility" calcMode="discrete" dur="{length:.2f}s" repeatCount="indefinite" '
        f'keyTimes="{shown}" values="{";".join(values)}"/>'
    )


def main(path: Path) -> None:
    """Record the scenes into a file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "news.md").write_text(NEWS)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "voice").write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m voice_cli "$@"\n')
        (programs / "voice").chmod(0o755)
        audio = AudioServer(folder)
        environment = {
            **audio.environment("ear", latency=0.02),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
        }
        try:
            with audio.record("ear"):  # the sink does not become idle
                subprocess.run(["voice", "say", "x"], env=environment, check=True, cwd=folder)  # compiles the modules
                pictures = record(environment, name)
        finally:
            audio.close()
    path.write_text(svg(pictures), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
