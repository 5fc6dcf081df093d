"""`voice bench`: its arithmetic, its table, its page, its exit codes. No device: nothing is played here."""

import json
import re
import signal
import subprocess
from html.parser import HTMLParser

import pytest

from support.command import VOICE, environment_in, on_terminal, screen_of
from support.server import Answer
from voice_cli.cli import quick, trace
from voice_cli.cli.bench import BenchOptions, check_writable, make_targets
from voice_cli.cli.bench_charts import buffer_curve, comparison, horizon, thinned, ticks, waterfall
from voice_cli.cli.bench_figures import Measured, figure, shown, spread, summary, tsv
from voice_cli.cli.bench_page import About, page
from voice_cli.cli.bench_runs import Run, Target, clean, command_line, known_secrets
from voice_cli.config import Config, Profile, settle
from voice_cli.errors import ConfigError, FileError, UsageError
from voice_cli.playback.curve import Hole, Point
from voice_cli.playback.timeline import Timeline

REPORT = {
    "outcome": "complete", "ttfa_ms": 210.0, "ttfb_ms": 150.0, "leading_silence_ms": 10.0, "generation_ms": 900.0,
    "playback_ms": 3000.0, "audio_ms": 3000.0, "real_time_factor": 0.3, "underruns": 1, "underrun_ms": 20.0,
    "device_underflows": 2, "chunks_received": 3, "chunks_played": 3, "bytes_received": 144000, "backend": "http",
    "format": "pcm", "rate": 24000, "channels": 1, "saved": None, "error": None,
}  # fmt: skip
TIMESTAMPS = {
    "process_start": 100.0, "resolved": 100.03, "connected": 100.031, "request_sent": 100.032, "device_open": 100.1,
    "first_byte": 100.182, "first_frame": 100.183, "prebuffered": 100.19, "started": 100.2, "first_audible": 100.21,
    "last_byte": 101.0, "last_frame": 103.2,
}  # fmt: skip
CURVE = [Point(100.183, 1.0, 0.0), Point(100.2, 1.0, 0.0), Point(101.0, 3.0, 0.8), Point(103.2, 3.0, 3.0)]
TRACE = trace.Trace(TIMESTAMPS, CURVE, [Hole(101.5, 0.02, 1.2)], [Hole(102.0, 0.01, 1.8)])
NASTY = "<script>alert(1)</script>\"'&"


def run(traced=TRACE, error=None, **report):
    return Run({**REPORT, **report, "error": error}, traced)


def failed(code=6, message="nothing answers", hint=None):
    error = {"kind": "network", "message": message, "hint": hint, "exit_code": code}
    nothing = {key: None for key in REPORT if key not in ("outcome", "error")}
    return run(None, error, **nothing, outcome="failed")


def target(name="kokoro", url="http://user:hunter2@localhost:8880/v1", fault=None, **flags):
    profile = Profile(backend="http", base_url=url)
    defaults = settle(Config(""), {"backend": "http"}, {})
    return Target(name, flags, defaults._replace(profile_name=name, profile=profile), fault)


ABOUT = About("Hello", "cold", "today", "a machine", interrupted=False)


# Arithmetic.


@pytest.mark.parametrize(
    ("values", "median", "p95"),
    [
        ([5.0], 5.0, 5.0),
        ([3.0, 1.0, None, 2.0], 2.0, 3.0),
        ([1.0, 2.0], 1.5, 2.0),
        ([float(value) for value in range(1, 101)], 50.5, 95.0),
        ([float(value) for value in range(1, 21)], 10.5, 19.0),
    ],
)
def test_median_and_95th_percentile(values, median, p95):
    assert spread(values) == (median, p95)


def test_nothing_measured_is_nothing_and_not_0():
    assert spread([]) is None
    assert spread([None]) is None
    assert figure(run(ttfa_ms=None), "added_ms") is None
    assert figure(run(ttfb_ms=None), "added_ms") is None


def test_added_is_without_the_server_and_without_its_silence():
    assert figure(run(), "added_ms") == 50.0
    assert figure(run(leading_silence_ms=None), "added_ms") == 60.0


def test_only_complete_runs_count():
    measured = Measured(target(), [run(), failed(), run(ttfa_ms=230.0), failed(8, "it broke off", "ask again")])
    assert summary(measured)["ttfa_ms"] == (220.0, 230.0)
    assert measured.exit_code == 8
    assert measured.error == "2 of 4 failed: it broke off (ask again)"
    assert measured.typical.report["ttfa_ms"] == 210.0
    assert Measured(target(), []).exit_code == 0
    assert Measured(target(), []).typical is None
    assert Measured(target(), [run(ttfa_ms=None, ttfb_ms=2.0), run(ttfa_ms=None, ttfb_ms=1.0)]).typical is not None


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (203.4, "ms", "203"), (50.04, "ms", "50.0"), (0.04, "ms", "0.0"), (0.0029, "", "0.0029"), (1.4177, "", "1.42"),
        (0.0, "", "0"), (2.0, "", "2"),
    ],
)  # fmt: skip
def test_figures_for_people(value, unit, text):
    assert shown(value, unit) == text


def test_the_plain_table_has_a_dash_where_nothing_was_measured():
    lines = tsv([Measured(target("a\tb"), [run(ttfa_ms=None)]), Measured(target(), [failed(message="a\nb")])])
    rows = [line.split("\t") for line in lines]
    assert {len(row) for row in rows} == {17}
    first, second = (dict(zip(rows[0], row, strict=True)) for row in rows[1:])
    assert (first["target"], first["complete"], first["ttfa_ms"], first["added_ms_p95"]) == ("a b", "1", "-", "-")
    assert (first["ttfb_ms"], first["underruns"], first["error"]) == ("150", "1", "-")
    assert (second["complete"], second["ttfb_ms"], second["error"]) == ("0", "-", "1 of 1 failed: a b")


# What is run.


def test_a_run_is_one_that_the_quick_reader_takes():
    flags = {"profile": "-p", "format": "mp3", "speed": 1.5, "no_play": True, "voice": None, "prebuffer": "auto"}
    options = quick.parse(command_line(target(**flags), "--help"))
    assert options is not None
    assert options.text == ("--help",)
    assert options.json
    assert {name: getattr(options, name) for name in flags} == flags


def targets(formats=None, every_profile=False, profiles=(), **flags):
    config = Config("config.toml", True, None, dict(profiles))
    return make_targets(BenchOptions(flags=flags, formats=formats, every_profile=every_profile), config)


def test_each_profile_in_each_format(monkeypatch):
    monkeypatch.delenv("VOICE_PROFILE", raising=False)
    profiles = {"a": Profile(backend="espeak"), "b": Profile(backend="nothing"), "c": Profile(format="opus")}
    found = targets("mp3, pcm,mp3", True, profiles)
    assert [(each.name, each.flags["format"]) for each in found] == [(n, f) for n in "abc" for f in ("mp3", "pcm")]
    assert [each.fault is None for each in found] == [True, True, False, False, True, True]
    (alone,) = targets(None, False, profiles, profile="c")
    assert (alone.name, alone.format) == ("c", "opus")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"formats": "mp3,ogg"}, UsageError),
        ({"formats": ""}, UsageError),
        ({"speed": 9.0}, UsageError),
        ({"every_profile": True}, ConfigError),
        ({"every_profile": True, "profile": "a", "profiles": {"a": Profile()}}, UsageError),
        ({"every_profile": True, "base_url": "http://x", "profiles": {"a": Profile()}}, UsageError),
        ({"profile": "b", "profiles": {"b": Profile(backend="nothing")}}, ConfigError),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(options, error):
    with pytest.raises(error):
        targets(**options)


def test_the_page_must_be_writable_before_the_first_run(tmp_path):
    check_writable(str(tmp_path / "new.html"))
    for path in (tmp_path, tmp_path / "none" / "new.html"):
        with pytest.raises(FileError):
            check_writable(str(path))


# Secrets.


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("Incorrect API key provided: sk-proj-1234abcd", "Incorrect API key provided: …"),
        ("Bearer abc was refused", "Bearer … was refused"),
        ("base_url 'ftp://user:pass@host/v1' is none", "base_url 'ftp://…@host/v1' is none"),
        ("token 0123456789abcdef0123456789abcdef is wrong", "token … is wrong"),
        ("my own secret is wrong", "… is wrong"),
        ("$AZURE_OPENAI_API_KEY, which it names, is not set", "$AZURE_OPENAI_API_KEY, which it names, is not set"),
        ("nothing answers at 127.0.0.1:9", "nothing answers at 127.0.0.1:9"),
    ],
)
def test_secrets_are_taken_out_of_what_servers_say(words, left):
    error = clean(failed(message=words, hint=words).report, ["my own secret"])["error"]
    assert (error["message"], error["hint"]) == (left, left)


def test_keys_are_known_by_the_names_that_profiles_give_them():
    environment = {"OPENAI_API_KEY": "one", "MINE": "another", "OTHER": "public"}
    assert set(known_secrets([Profile(api_key_env="MINE"), Profile()], environment)) == {"one", "another"}


def test_a_server_is_shown_without_credentials_and_path():
    assert target().where == "localhost:8880"
    assert target(url=None).where == "api.openai.com"
    assert Target("e", {}, settle(Config(""), {"backend": "espeak"}, {})).where == ""


# The trace.


def test_a_trace_goes_to_the_file_that_the_environment_names(tmp_path, monkeypatch):
    path = tmp_path / "trace.json"
    monkeypatch.setenv(trace.TRACE_ENV, str(path))
    timeline = trace.traced_timeline()
    assert isinstance(timeline, Timeline)
    timeline.mark("process_start", 1.0)
    timeline.arrivals.append((2.0, 0.5))
    assert timeline.metrics(None) == Timeline(timestamps={"process_start": 1.0}).metrics(None)
    assert trace.read(str(path)) == trace.Trace({"process_start": 1.0}, [Point(2.0, 0.5, None)], [], [])


def test_a_trace_that_cannot_be_written_is_no_harm(tmp_path, monkeypatch):
    monkeypatch.setenv(trace.TRACE_ENV, str(tmp_path / "none" / "trace.json"))
    trace.traced_timeline().metrics(None)
    assert trace.read(str(tmp_path / "none" / "trace.json")) is None


# The page.


class Page(HTMLParser):
    """Reads a page as a browser does: its elements, and whatever in it would load something."""

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


def test_the_page_has_the_table_a_waterfall_and_a_curve_for_each_run():
    text = page([Measured(target(), [run(), run(), failed()]), Measured(target("other"), [run()])], ABOUT)
    tags = Page(text).tags
    assert tags.count(("svg", "waterfall")) == 3
    assert tags.count(("svg", "curve")) == 3
    assert tags.count(("svg", "comparison")) == 1
    assert tags.count(("rect", "underrun")) == 3
    assert tags.count(("path", "underflow")) == 3
    assert tags.count(("details", None)) == 4
    assert "2 of 3" in text
    assert "nothing answers" in text


def test_the_page_loads_nothing_and_runs_nothing():
    text = page([Measured(target(), [run()])], ABOUT)
    assert Page(text).loads == []
    assert not {tag for tag, _ in Page(text).tags} & {"script", "link", "img", "iframe", "object", "embed", "base"}
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert not re.search(r"https?://", text)


def test_whatever_strangers_wrote_is_escaped():
    measured = [Measured(target(NASTY, f"http://{NASTY}/v1"), [run(), failed(message=NASTY, hint=NASTY)])]
    text = page(measured, ABOUT._replace(text=NASTY, mode=NASTY, machine=NASTY))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") >= 7
    assert "script" not in {tag for tag, _ in Page(text).tags}


def test_credentials_are_not_on_the_page():
    assert "hunter2" not in page([Measured(target(), [run(), failed()])], ABOUT)


def test_a_page_of_nothing():
    text = page([Measured(target(), [])], ABOUT._replace(interrupted=True, text="x" * 1000))
    assert "broken off" in text
    assert "0 of 0" in text
    assert "x" * 401 not in text


def test_drawings_of_runs_that_lack_what_others_have():
    silent = run(TRACE._replace(timestamps={}, curve=[]))
    assert buffer_curve(run(None), "x") == ""
    assert buffer_curve(silent, "x") == ""
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


def test_a_waterfall_shows_a_little_more_than_the_first_sound():
    assert horizon([run()]) == pytest.approx(1.12 * 210)
    assert horizon([]) == 1.0


# The command.


PCM = Answer(b"\1\2" * 4800, chunk=960)


def test_formats_side_by_side(voice, serve):
    server = serve(PCM)
    said = voice("bench", "Hi", "-n", "2", "--no-play", "--base-url", server.url, "--format", "pcm,wav", "--json")
    assert said.code == 0, said.err
    assert said.err == ""
    assert (said.json["text"], said.json["mode"], said.json["played"]) == ("Hi", "cold", False)
    assert [each["format"] for each in said.json["targets"]] == ["pcm", "wav"]
    assert [request.json["response_format"] for request in server.requests] == ["pcm", "wav"] * 2
    for each in said.json["targets"]:
        assert each["summary"]["ttfa_ms"] is None
        assert each["summary"]["ttfb_ms"]["median"] > 0
        assert len(each["runs"]) == 2
        for one in each["runs"]:
            assert one["outcome"] == "complete"
            assert 0 < one["moments_ms"]["request_sent"] < one["moments_ms"]["first_byte"]
            assert one["curve"][-1][1:] == [0.2, None]


def test_warm_keeps_the_connection_and_begins_with_a_run_that_does_not_count(voice, serve):
    server = serve(PCM)
    said = voice("bench", "-n", "2", "--warm", "--no-play", "--base-url", server.url, "--json")
    assert said.code == 0, said.err
    assert len(server.requests) == 3
    assert server.connections == 1
    (each,) = said.json["targets"]
    assert len(each["runs"]) == 2
    assert all(one["moments_ms"]["process_start"] == 0 for one in each["runs"])


CONFIG = """
[profiles.good]
base_url = "{good}"
[profiles.bad]
base_url = "{bad}"
api_key_env = "BAD_KEY"
[profiles."<i>none</i>"]
backend = "nothing"
"""


@pytest.fixture
def three_profiles(tmp_path, serve):
    """One that works, one whose server refuses the key and repeats it, one that cannot be."""
    refusal = json.dumps({"error": {"message": "Incorrect API key provided: topsecret"}}).encode()
    good, bad = serve(PCM), serve(Answer(refusal, "application/json", status=401))
    (tmp_path / "config.toml").write_text(CONFIG.format(good=good.url, bad=bad.url))
    return {"VOICE_CONFIG": str(tmp_path / "config.toml"), "BAD_KEY": "topsecret"}, good, bad


@pytest.mark.parametrize("mode", [(), ("--warm",)])
def test_what_fails_is_told_in_its_row_and_the_worst_is_the_exit_code(voice, three_profiles, tmp_path, mode):
    environment, good, bad = three_profiles
    said = voice("bench", "--all", "-n", "2", "--no-play", "--html", "p.html", *mode, environment=environment)
    assert said.code == 4
    rows = [line.split("\t") for line in said.out.decode().splitlines()]
    by_name = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    assert by_name["good"]["complete"] == "2"
    # What asking again does not mend is not asked again.
    assert by_name["bad"]["error"] == "1 of 1 failed: " + by_name["bad"]["error"].partition("failed: ")[2]
    assert "Incorrect API key provided: …" in by_name["bad"]["error"]
    assert "no backend 'nothing'" in by_name["<i>none</i>"]["error"]
    assert len(bad.requests) == 1
    assert len(good.requests) == 2 + len(mode)
    text = (tmp_path / "p.html").read_text("utf-8")
    assert "topsecret" not in text + said.out.decode() + said.err
    assert "&lt;i&gt;none" in text


def test_usage_and_files(voice, tmp_path):
    assert voice("bench", "--format", "ogg").code == 2
    assert voice("bench", "-n", "0").code == 2
    assert voice("bench", "--backend", "none").code == 3
    assert voice("bench", "--html", "none/p.html").code == 10
    assert voice("bench", "-", text=b" ").code == 2


def test_on_a_terminal(serve, tmp_path):
    server = serve(PCM)
    code, drawn, _ = on_terminal(
        "bench", "-n", "2", "--no-play", "--base-url", server.url, folder=tmp_path, also=("stdout",)
    )
    assert code == 0
    assert "2/2" in drawn
    lines = screen_of(drawn)
    assert lines[0].split()[:3] == ["target", "format", "runs"]
    assert lines[1].split()[:4] == ["http", "pcm", "2/2", "–"]
    assert len(lines) == 3


@pytest.mark.parametrize("mode", [(), ("--warm",)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_broken_off_it_keeps_what_was_measured(serve, tmp_path, number, mode):
    count = 1 + len(mode)
    server = serve(lambda _request: PCM if len(server.requests) <= count else Answer(b"xx", first_byte=60))
    process = subprocess.Popen(
        [*VOICE, "bench", "-n", "5", "--no-play", "--base-url", server.url, "--json", "--html", "p.html", *mode],
        env=environment_in(tmp_path),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    server.wait_for(count + 1)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    (each,) = json.loads(out)["targets"]
    assert [one["outcome"] for one in each["runs"]] == ["complete"]
    assert json.loads(out)["exit_code"] == 130
    assert "broken off" in (tmp_path / "p.html").read_text("utf-8")
    assert server.client_left.wait(5)
