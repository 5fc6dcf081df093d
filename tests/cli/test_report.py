"""The JSON object, and the latency report."""

import io
import json
import re
from pathlib import Path
from typing import ClassVar

import pytest

from support.player import FakeStream, Rig, numbered
from voice_cli.cli import report
from voice_cli.cli.options import SayOptions
from voice_cli.config import Config, settle
from voice_cli.errors import ConfigError, Hint, Interrupted, TruncatedAudio
from voice_cli.playback.device_watch import Reopening

REQUIRED = {
    "outcome", "ttfa_ms", "ttfb_ms", "generation_ms", "playback_ms", "audio_ms", "underruns", "underrun_ms",
    "device_underflows", "chunks_received", "chunks_played", "bytes_received", "backend", "format", "rate", "saved",
    "error",
}  # fmt: skip
"""The keys that issue 2 requires."""

ADDITIONAL = {
    "heard_ms", "leading_silence_ms", "real_time_factor", "channels", "notes", "paused_ms", "device_reopened",
    "device_away_ms", "device_repeated_ms", "rebuffers", "rebuffer_ms", "start_delay_ms", "arrival_rate",
    "arrival_lag_ms", "learned_rate", "chars_per_second", "cached",
}  # fmt: skip

SETTINGS = settle(Config("config.toml"), {"backend": "http"}, {})


def as_json(result, error=None, saved=None, settings=SETTINGS):
    return report.outcome_object(settings, result, error) | {"saved": saved}


@pytest.fixture
def played():
    with Rig([FakeStream(numbered(800), end=True)]) as rig:
        rig.player.timeline.mark("process_start", 0.0)
        return rig.play_out()


def test_the_page_lists_every_key(played):
    keys = set(as_json(played))
    assert keys == REQUIRED | ADDITIONAL
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text("utf-8")
    paragraph = page[page.index("`--json` prints one object") :].partition("\n\n")[0]
    for key in keys:
        assert f"`{key}`" in paragraph
    assert as_json(None, ConfigError("x"), settings=None).keys() == keys


def test_json_has_the_figures_of_a_playback(played):
    data = as_json(played, saved="a.wav")
    assert data["outcome"] == "complete"
    assert data["error"] is None
    assert (data["backend"], data["format"], data["rate"], data["channels"]) == ("http", "pcm", 8000, 1)
    assert data["saved"] == "a.wav"
    assert data["audio_ms"] == 100
    assert data["playback_ms"] == pytest.approx(100)
    assert data["ttfa_ms"] > 0
    assert (data["underruns"], data["underrun_ms"], data["device_underflows"]) == (0, 0, 0)
    assert data["chunks_received"] == data["chunks_played"] == 1
    assert data["bytes_received"] == 1600


def test_a_device_that_was_opened_again_is_noted(played):
    result = played._replace(reopenings=(Reopening(0.26, 0.0204),))
    assert as_json(result)["notes"] == [
        "the output device stopped and was reopened after 0.3 s; at most 20 ms were repeated"
    ]


class TestNotes:
    """Notes of the backend: each is printed once, for any number of utterances."""

    NOTES: ClassVar = [["it does not stream"], ["it does not stream", "no s3gen_steps"], []]

    @pytest.fixture
    def result(self):
        streams = [FakeStream(numbered(800), end=True) for _ in self.NOTES]
        for stream, notes in zip(streams, self.NOTES, strict=True):
            stream.notes = notes
        with Rig(streams) as rig:
            return rig.play_out()

    def reported(self, result, **options):
        report.report(SayOptions(**options), report.account_of(SETTINGS, None, result, None))

    def test_each_note_is_a_line_on_standard_error(self, capsys, result):
        self.reported(result)
        assert capsys.readouterr() == ("", "voice: it does not stream\nvoice: no s3gen_steps\n")

    def test_quiet_hides_notes(self, capsys, result):
        self.reported(result, quiet=True)
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("quiet", [True, False])
    def test_json_has_the_notes(self, capsys, result, quiet):
        self.reported(result, json=True, quiet=quiet)
        assert json.loads(capsys.readouterr().out)["notes"] == ["it does not stream", "no s3gen_steps"]

    def test_no_notes_are_an_empty_list(self, played):
        assert as_json(played)["notes"] == []


def test_unmeasured_figures_are_null(played):
    data = as_json(None, ConfigError("no such thing", hint=Hint("see {list_engines}")), settings=None)
    assert data.pop("outcome") == "failed"
    assert data.pop("error") == {
        "kind": "config",
        "message": "no such thing",
        "hint": "see voice engines",
        "exit_code": 3,
    }
    assert set(data.values()) == {None}
    assert as_json(played)["ttfb_ms"] is None, "this stream has no request"


@pytest.mark.parametrize(
    ("error", "outcome", "kind", "code"),
    [
        (TruncatedAudio("broke"), "truncated", "truncated", 8),
        (Interrupted("interrupted"), "cancelled", "interrupted", 130),
        (KeyboardInterrupt(), "cancelled", "interrupted", 130),
        (ZeroDivisionError("x"), "failed", "error", 1),
    ],
)
def test_each_error_has_its_outcome_and_exit_code(error, outcome, kind, code):
    data = as_json(None, error)
    assert data["outcome"] == outcome
    assert (data["error"]["kind"], data["error"]["exit_code"]) == (kind, code)


def test_the_report_shows_every_figure(capsys, played):
    report.print_report(played.outcome.value, **report.account_of(SETTINGS, None, played, None)["debug"])
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("complete · http pcm 8000 Hz mono")
    for words in ("TTFA", "TTFB", "leading silence", "audio", "underruns", "device underflows"):
        assert re.search(rf"^{words}.* +\S", err, re.MULTILINE)
    assert re.search(r"^process start +0\.0", err, re.MULTILINE)
    assert "last frame at the DAC" in err


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(
    "timestamps",
    [
        {"process_start": 1.0},
        {"process_start": 1.0, "device_open": 1.1, "last_byte": 31.0},
        {"process_start": 1.0, "request_sent": 1.1, "first_byte": 1.2, "first_audible": 1.25, "last_frame": 61.0},
        {"process_start": 1.0, "request_sent": 1.1, "first_byte": 99.0, "first_audible": 99.1, "last_frame": 99.2},
        {"process_start": 1.0, "first_audible": 1.0, "last_byte": 1.0, "last_frame": 1.0},
    ],
)
def test_every_phase_has_a_bar_within_the_width(capsys, monkeypatch, played, width, timestamps):
    monkeypatch.setenv("COLUMNS", str(width))
    debug = report.account_of(SETTINGS, None, played, None)["debug"]
    report.print_report("complete", **debug | {"timestamps": timestamps})
    lines = capsys.readouterr().err.splitlines()
    _, header, *phases = lines[: 2 + len(timestamps)]
    assert header.split() == ["phase", "at,", "ms", "took,", "ms"]
    assert "…" not in "".join(phases)
    assert all(re.search(r"\d\.\d +[━┄]+$", line) for line in phases)
    assert max(map(len, phases)) <= max(width, len("first audible frame at the DAC") + 2 * 8 + 3 + report.LEAST_BAR)
    # Each bar begins where the one before ends.
    starts = [re.search("[━┄]", line).start() for line in phases]
    assert starts == sorted(starts)


def test_the_report_shows_what_was_recovered(capsys, played):
    debug = report.account_of(SETTINGS, None, played, None)["debug"]
    recovered = {"retries": 2, "resumed": [{"at_ms": 10.0, "by": "http"}], "fallback": "other"}
    report.print_report("complete", **debug | {"recovered": recovered})
    err = capsys.readouterr().err
    assert re.search(r"^requests sent again +2 *$", err, re.MULTILINE)
    assert re.search(r"^continued after a cut +1 time *$", err, re.MULTILINE)
    assert re.search(r"^spoken by the fallback +other *$", err, re.MULTILINE)


def test_the_report_of_a_failure_shows_only_what_was_measured(capsys, played):
    debug = report.account_of(SETTINGS, None, played, None)["debug"]
    nothing = dict.fromkeys(debug["metrics"]) | {"underrun_positions_ms": (), "device_underflow_positions_ms": ()}
    report.print_report("failed", **debug | {"metrics": nothing})
    err = capsys.readouterr().err
    assert re.search(r"^TTFA.* not measured *$", err, re.MULTILINE)
    assert "generation" not in err


NOISE = b"first\n" * 3 + b"sec\x1bond\n" + b"x" * 90 + b"\n"


def test_the_output_of_libraries_is_one_line_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    report.print_noise(io.BytesIO(NOISE))
    err = capsys.readouterr().err
    assert re.fullmatch(r"libraries: 5 lines .*, the last: x+…\n", err)
    assert len(err) == 81


def test_the_output_of_libraries_is_complete_in_a_file(capsys):
    report.print_noise(io.BytesIO(NOISE))
    assert capsys.readouterr().err == f"library: first (3 times)\nlibrary: sec\\x1bond\nlibrary: {90 * 'x'}\n"


def test_the_report_shows_the_positions_of_underruns(capsys):
    with Rig([FakeStream()]) as rig:
        for at in range(10):
            rig.give(numbered(4000, first=4000 * at + 1))
            rig.step(2.0)
        rig.end()
        result = rig.play_out()
    assert result.metrics.underruns > 1
    report.print_report(result.outcome.value, **report.account_of(SETTINGS, None, result, None)["debug"])
    assert f" ({result.metrics.underrun_ms:g} ms in all; at " in capsys.readouterr().err
