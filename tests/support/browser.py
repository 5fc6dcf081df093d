"""Headless Chromium."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from support.tab import Tab

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
)

SCHEMES = {"dark": 0, "light": 1}
"""Blink's values for the preferred colour scheme."""


class Look(NamedTuple):
    """A page's screenshot and console output."""

    pixels: np.ndarray
    """(height, width, 3) uint8."""
    console: list[str]
    """Lines written to the console, including errors in the page."""


class Browser:
    """Chromium, started with a new profile each time."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._starts = 0

    def look(self, page: Path, scheme: str, size: tuple[int, int]) -> Look:
        """Open the page in a window of that size and take a screenshot."""
        picture = self._folder / f"{page.stem}-{scheme}.png"
        done = self._start(page, scheme, f"--window-size={size[0]},{size[1]}", f"--screenshot={picture}")
        with av.open(str(picture)) as container:
            pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
        return Look(pixels, [line for line in done.stderr.splitlines() if "CONSOLE" in line])

    def ask(self, page: Path, scheme: str, question: str, size: tuple[int, int]) -> object:
        """Evaluate a JavaScript expression in a copy of the page that may run scripts, and return its value."""
        copy = self._folder / f"{page.stem}-asked.html"
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
        script = (
            "<script>addEventListener('load', () => { const answer = document.createElement('pre');"
            f"answer.id = 'answer'; answer.textContent = JSON.stringify({question});"
            "document.body.append(answer); })</script>"
        )
        copy.write_text(text.replace("</body>", f"{script}</body>"), "utf-8")
        done = self._start(copy, scheme, f"--window-size={size[0]},{size[1]}", "--dump-dom")
        answer = re.search(r'<pre id="answer">(.*?)</pre>', done.stdout, re.DOTALL)
        assert answer, done.stderr
        return json.loads(unescape(answer[1]))

    def open(self, *flags: str) -> Tab:
        """Open an empty page for a test to control, with audio output disabled."""
        self._starts += 1
        return Tab([self._program, *FLAGS, "--disable-audio-output", *flags], self._folder / f"profile-{self._starts}")

    def _start(self, page: Path, scheme: str, *flags: str) -> subprocess.CompletedProcess[str]:
        self._starts += 1
        profile = self._folder / f"profile-{self._starts}"
        settings = f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}"
        command = [self._program, *FLAGS, f"--user-data-dir={profile}", settings, *flags, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)


def find_browser(folder: Path) -> Browser:
    """Return the browser. If none is installed, skip the test, or fail it on CI."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        reason = "Chromium is not installed (apt install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return Browser(program, folder)


def rgb(colour):
    """Parse `rgb(1, 2, 3)`."""
    return tuple(int(float(part)) for part in colour.partition("(")[2].rstrip(")").split(",")[:3])


def contrast(one, other):
    """Compute WCAG 2.2's contrast ratio, 1 to 21."""

    def luminance(colour):
        parts = [value / 255 for value in colour]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
