"""The benchmark page in a browser: layout and contrast, light and dark, wide and narrow."""

import subprocess

import numpy as np
import pytest

from support.browser import SCHEMES, contrast, find_browser, rgb
from support.server import Answer, SpeechServer
from support.sound import VOICE, speech

pytestmark = pytest.mark.e2e

WIDE = (1200, 2400)
NARROW = (500, 2400)

PROBE = """
(() => {
  const box = e => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
  const each = (root, what, how) => [...root.querySelectorAll(what)].map(how);
  const drawing = svg => ({
    kind: svg.getAttribute("class"), box: box(svg),
    bars: each(svg, "rect", e => ({kind: e.getAttribute("class"), box: box(e), fill: getComputedStyle(e).fill})),
    lines: each(svg, "path", e => ({
      kind: e.getAttribute("class"), length: e.getTotalLength(), stroke: getComputedStyle(e).stroke,
      fill: getComputedStyle(e).fill, box: box(e)})),
    texts: each(svg, "text", e => ({
      kind: e.getAttribute("class"), text: e.textContent, box: box(e), fill: getComputedStyle(e).fill,
      size: parseFloat(getComputedStyle(e).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width})),
  });
  return {
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    card: getComputedStyle(document.querySelector(".card")).backgroundColor,
    inks: each(document, "h1, h2, h2 small, p, th, td, td i, summary span, summary b, dt, dd, figcaption, li",
               e => [e.textContent, getComputedStyle(e).color]),
    width: [document.documentElement.scrollWidth, document.documentElement.clientWidth],
    drawings: each(document, "main svg[role=img]", drawing),
  };
})()
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    return find_browser(tmp_path_factory.mktemp("browser"))


@pytest.fixture(scope="module")
def page(browser, audio, tmp_path_factory):
    """Create a page with a fast, a slow and an unreachable backend, and expand all runs."""
    folder = tmp_path_factory.mktemp("page")
    quick = Answer(speech(1.0).tobytes(), first_byte=0.15, chunk=4800, byte_rate=96000)
    slow = Answer(speech(1.5).tobytes(), first_byte=0.1, chunk=2400, byte_rate=0.7 * 48000)
    # An unrecorded sink does not keep time.
    with audio.record(), SpeechServer(quick) as first, SpeechServer(slow) as second:
        (folder / "config.toml").write_text(
            f'[profiles.quick]\nbase_url = "{first.url}"\n[profiles.slow]\nbase_url = "{second.url}"\n'
            '[profiles."<b>gone"]\nbase_url = "http://127.0.0.1:1/v1"\n'
        )
        done = subprocess.run(
            [*VOICE, "bench", "Hi", "--all", "-n", "2", "--html", "bench.html", "--smooth", "off"],
            env={**audio.environment(), "VOICE_CONFIG": str(folder / "config.toml")},
            cwd=folder,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 6, done.stderr
    path = folder / "bench.html"
    path.write_text(path.read_text("utf-8").replace("<details>", "<details open>"), "utf-8")
    return path


@pytest.fixture(scope="module", params=list(SCHEMES))
def scheme(request):
    return request.param


@pytest.fixture(scope="module")
def probed(browser, page, scheme):
    return browser.ask(page, scheme, PROBE, WIDE)


def size(box):
    return box[2] - box[0], box[3] - box[1]


def test_browser_reports_script_errors(browser, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<script>nothing()</script>")
    assert browser.look(bad, "light", (300, 300)).console


def test_waterfalls_and_curves_are_drawn(probed, scheme):
    assert probed["dark"] == (scheme == "dark")
    card = rgb(probed["card"])
    kinds = [drawing["kind"] for drawing in probed["drawings"]]
    assert kinds.count("comparison") == 1
    assert kinds.count("curve") == 4
    assert kinds.count("waterfall") >= 4  # failed runs have one only if they reached the player
    for drawing in probed["drawings"]:
        assert min(size(drawing["box"])) > 50, drawing["kind"]
        for bar in drawing["bars"]:
            assert min(size(bar["box"])) > 0.5, bar
            assert rgb(bar["fill"]) != card
    for drawing in probed["drawings"]:
        bars = {bar["kind"] for bar in drawing["bars"]}
        if drawing["kind"] == "comparison":
            assert {"ours", "server"} <= bars
        elif drawing["kind"] == "curve":
            lines = {line["kind"]: line for line in drawing["lines"]}
            for kind in ("received", "heard"):
                assert lines[kind]["length"] > 300
                assert contrast(rgb(lines[kind]["stroke"]), card) >= 3
            assert min(size(lines["buffered"]["box"])) > 50
    played = [drawing for drawing in probed["drawings"] if drawing["kind"] == "waterfall"][:4]
    assert all({"ours", "server", "sound"} <= {bar["kind"] for bar in drawing["bars"]} for drawing in played)
    assert sum(bar["kind"] == "underrun" for drawing in probed["drawings"] for bar in drawing["bars"]) >= 2


def test_texts_have_sufficient_contrast_and_size(probed):
    card = rgb(probed["card"])
    for text, colour in probed["inks"]:
        assert contrast(rgb(colour), card) >= 4.5, text
    for drawing in probed["drawings"]:
        for text in drawing["texts"]:
            assert contrast(rgb(text["fill"]), card) >= 4.5, text
            assert text["size"] >= 10, text


def test_texts_do_not_overlap_or_leave_their_drawing(probed):
    for drawing in probed["drawings"]:
        left, _, right, _ = drawing["box"]
        texts = drawing["texts"]
        for text in texts:
            assert left - 4 <= text["box"][0], text
            assert text["box"][2] <= right + 4, text
        for index, one in enumerate(texts):
            for other in texts[index + 1 :]:
                a, b = one["box"], other["box"]
                across = min(a[2], b[2]) - max(a[0], b[0])
                down = min(a[3], b[3]) - max(a[1], b[1])
                assert across < 1 or down < 4, (drawing["kind"], one["text"], other["text"])


def test_screenshot_shows_the_drawings_without_console_messages(browser, page, scheme, probed):
    look = browser.look(page, scheme, WIDE)
    assert look.console == []
    assert look.pixels.shape == (WIDE[1], WIDE[0], 3)
    brightness = look.pixels[:8].mean()
    assert brightness < 60 if scheme == "dark" else brightness > 200
    fills = {bar["kind"]: rgb(bar["fill"]) for drawing in probed["drawings"] for bar in drawing["bars"]}
    for kind in ("ours", "server", "sound"):
        assert np.all(look.pixels == fills[kind], axis=2).sum() > 500, kind


def test_page_does_not_scroll_horizontally_in_a_narrow_window(browser, page):
    width, window = browser.ask(page, "light", PROBE, NARROW)["width"]
    assert width <= window
