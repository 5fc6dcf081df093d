"""The JSON object, and the latency report."""

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

ISSUE = {
    "outcome", "ttfa_ms", "ttfb_ms", "generation_ms", "playback_ms", "audio_ms", "underruns", "underrun_ms",
    "device_underflows", "chunks_received", "chunks_played", "bytes_received", "backend", "format", "rate", "saved",
    "error",
}  # fmt: skip
"""What issue 2 asks for."""

BESIDES = {"leading_silence_ms", "real_time_factor", "channels", "notes"}

SETTINGS = settle(Config("config.toml"), {"backend": "http"}, {})


def as_json(result, error=None, saved=None, settings=SETTINGS):
    return report.outcome_object(settings, result, error, saved)


@pytest.fixture
def played():
    with Rig([FakeStream(numbered(800), end=True)]) as rig:
        rig.player.timeline.mark("process_start", 0.0)
        return rig.play_out()


def test_the_readme_lists_every_key(played):
    keys = set(as_json(played))
    assert keys == ISSUE | BESIDES
    readme = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
    paragraph = readme[readme.index("`--json` prints one object") :].partition("\n\n")[0]
    for key in keys:
        assert f"`{key}`" in paragraph
    assert as_json(None, ConfigError("x"), settings=None).keys() == keys


def test_the_figures_of_a_playback(played):
    told = as_json(played, saved="a.wav")
    assert told["outcome"] == "complete"
    assert told["error"] is None
    assert (told["backend"], told["format"], told["rate"], told["channels"]) == ("http", "pcm", 8000, 1)
    assert told["saved"] == "a.wav"
    assert told["audio_ms"] == 100
    assert told["playback_ms"] == pytest.approx(100)
    assert told["ttfa_ms"] > 0
    assert (told["underruns"], told["underrun_ms"], told["device_underflows"]) == (0, 0, 0)
    assert told["chunks_received"] == told["chunks_played"] == 1
    assert told["bytes_received"] == 1600


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
        report.report(SayOptions(**options), SETTINGS, None, result, None)

    def test_a_line_each_on_standard_error(self, capsys, result):
        self.reported(result)
        assert capsys.readouterr() == ("", "voice: it does not stream\nvoice: no s3gen_steps\n")

    def test_not_if_quiet(self, capsys, result):
        self.reported(result, quiet=True)
        assert capsys.readouterr() == ("", "")

    @pytest.mark.parametrize("quiet", [True, False])
    def test_in_json(self, capsys, result, quiet):
        self.reported(result, json=True, quiet=quiet)
        assert json.loads(capsys.readouterr().out)["notes"] == ["it does not stream", "no s3gen_steps"]

    def test_none(self, played):
        assert as_json(played)["notes"] == []


def test_what_was_not_measured_is_null(played):
    told = as_json(None, ConfigError("no such thing", hint=Hint("see {list_engines}")), settings=None)
    assert told.pop("outcome") == "failed"
    assert told.pop("error") == {
        "kind": "config",
        "message": "no such thing",
        "hint": "see voice engines",
        "exit_code": 3,
    }
    assert set(told.values()) == {None}
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
def test_the_outcome_and_the_error_of_each_ending(error, outcome, kind, code):
    told = as_json(None, error)
    assert told["outcome"] == outcome
    assert (told["error"]["kind"], told["error"]["exit_code"]) == (kind, code)


def test_the_report_shows_every_figure(capsys, played):
    report.print_report(SETTINGS, played)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("complete · http pcm 8000 Hz mono")
    for words in ("TTFA", "TTFB", "leading silence", "real-time factor", "underruns", "device underflows"):
        assert re.search(rf"^{words}.* +\S", err, re.MULTILINE)
    assert re.search(r"^process start +0\.0", err, re.MULTILINE)
    assert "last frame at the DAC" in err


def test_the_report_shows_the_positions_of_underruns(capsys):
    with Rig([FakeStream()]) as rig:
        for at in range(10):
            rig.give(numbered(4000, first=4000 * at + 1))
            rig.step(2.0)
        rig.end()
        result = rig.play_out()
    assert result.metrics.underruns > 1
    report.print_report(SETTINGS, result)
    assert f" ({result.metrics.underrun_ms:g} ms in all; at " in capsys.readouterr().err
