"""`voice say` in this process, with a fake engine."""

import json
import sys

import pytest

from support.chatterbox import StockModel, package
from support.environment import cleaned
from voice_cli.cli import interrupts
from voice_cli.cli.options import SayOptions
from voice_cli.cli.say import say


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Options for a Chatterbox that cannot stream."""
    cleaned(monkeypatch, HOME=str(tmp_path))
    for name, module in package(StockModel()).items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("voice_cli.backends.packages.find_spec", lambda name: name != "chatterbox_vllm" or None)
    monkeypatch.setattr(interrupts, "_stop", None)
    monkeypatch.setattr("voice_cli.cli.say.silence_libraries", lambda keep: None)  # standard error is pytest's
    (tmp_path / "tokenizer.json").touch()
    return SayOptions(text=("Hello.\n\nAnd\n\ngoodbye.",), backend="chatterbox", model=str(tmp_path), no_play=True)


NOTE = "not streaming: this version of chatterbox has no generate_stream"


def test_notes_of_an_engine_are_printed_once_at_the_end(options, capsys):
    assert say(options) == 0
    assert capsys.readouterr() == ("", f"voice: {NOTE}\n")


def test_quiet_hides_notes(options, capsys):
    assert say(options._replace(quiet=True)) == 0
    assert capsys.readouterr() == ("", "")


def test_json_has_the_notes(options, capsys):
    assert say(options._replace(json=True)) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["notes"] == [NOTE]
    assert len(json.loads(out)["utterances"]) > 1
    assert err == f"voice: {NOTE}\n"
