"""The page of `voice bench --html`: complete, with all external text escaped."""

import re
from html.parser import HTMLParser

import pytest

from support.runs import CURVE, TRACE, failed, run, target
from voice_cli.bench.charts import buffer_curve, comparison, first_sound, thinned, ticks, waterfall
from voice_cli.bench.figures import Measured
from voice_cli.bench.page import page
from voice_cli.bench.trace import Trace
from voice_cli.playback.curve import Point

NASTY = "<script>alert(1)</script>\"'&"


def page_of(measured, text="Hello", about="cold · today · a machine", *, interrupted=False):
    return page(measured, text, about, interrupted=interrupted)


class Page(HTMLParser):
    """Parses a page: its elements, and all attributes that load resources or run scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes).get("class")))
        self.loads += [f"{name}={value}" for name, value in attributes if name in ("src", "href", "srcset", "action")]
        self.loads += [name for name, _ in attributes if name.startswith("on")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_has_a_waterfall_and_a_curve_for_each_complete_run():
    text = page_of([Measured(target(), [run(), run(), failed()]), Measured(target("other"), [run()])])
    tags = Page(text).tags
    assert tags.count(("svg", "waterfall")) == 3
    assert tags.count(("svg", "curve")) == 3
    assert tags.count(("svg", "comparison")) == 1
    assert tags.count(("rect", "underrun")) == 3
    assert tags.count(("path", "underflow")) == 3
    assert tags.count(("details", None)) == 4
    assert "2 of 3" in text
    assert "nothing answers" in text


def test_page_says_that_requests_were_sent_again():
    assert "2 requests were sent again" in page_of([Measured(target(), [run(retries=2)])])


def test_page_has_no_external_resources_or_scripts():
    text = page_of([Measured(target(), [run()])])
    assert Page(text).loads == []
    assert not {tag for tag, _ in Page(text).tags} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)


def test_external_text_is_escaped():
    measured = [Measured(target(NASTY, f"http://{NASTY}/v1"), [run(), failed(message=NASTY, hint=NASTY)])]
    text = page_of(measured, NASTY, f"{NASTY} · {NASTY}")
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 7
    assert "script" not in {tag for tag, _ in Page(text).tags}


def test_credentials_are_not_on_the_page():
    assert "hunter2" not in page_of([Measured(target(), [run(), failed()])])


def test_page_without_runs_is_marked_interrupted_and_shortens_text():
    text = page_of([Measured(target(), [])], "x" * 1000, interrupted=True)
    assert "interrupted" in text
    assert "0 of 0" in text
    assert "x" * 401 not in text


def test_missing_timestamps_are_left_out_of_drawings():
    silent = run(TRACE._replace(timestamps={}, curve=[]))
    assert 'class="curve"' not in page_of([Measured(target(), [run(Trace()), silent])])
    assert "<rect" not in waterfall(silent, "x")
    assert "NaN" not in waterfall(run(TRACE._replace(timestamps={"process_start": 5.0, "odd": 6.0})), "x")
    unheard = [point._replace(heard=None) for point in CURVE]
    drawn = buffer_curve(run(TRACE._replace(curve=unheard, underruns=[], underflows=[])), "x")
    assert 'class="received"' in drawn
    assert 'class="heard"' not in drawn
    assert "ms</text>" in comparison([("a", run())], "x")


def test_a_long_curve_is_thinned_and_keeps_its_ends():
    points = [Point(float(at), float(at), float(at)) for at in range(10_001)]
    assert len(thinned(points)) <= 602
    assert thinned(points)[0] == points[0]
    assert thinned(points)[-1] == points[-1]
    assert thinned(points[:5]) == points[:5]


@pytest.mark.parametrize("end", [1e-3, 0.7, 1.0, 3.3, 60.0, 212.8, 99_999.0])
def test_axes_have_round_ticks(end):
    marks = ticks(end)
    assert 3 <= len(marks) <= 8
    assert marks[0] == 0
    assert marks[-1] <= end * (1 + 1e-9)


def test_the_first_sound_is_the_first_audible_frame_or_the_last_timestamp():
    assert first_sound(run()) == pytest.approx(210)
    assert first_sound(run(TRACE._replace(timestamps={"process_start": 0.0, "resolved": 0.5}))) == 500
    assert first_sound(run(Trace())) == 1.0
