"""The display during playback."""

import io
import sys
import threading
from contextlib import closing
from types import SimpleNamespace

import pytest

from support.command import screen_of
from support.player import FakeStream, Rig, numbered
from support.threads import happened, in_thread
from voice_cli.backends.base import SpeechRequest, WordEvent
from voice_cli.cli import console, status
from voice_cli.cli.status import FileProgress, StandardOutput, StatusLine, TextDisplay
from voice_cli.errors import ServerError
from voice_cli.playback.player import Player
from voice_cli.script.line import Line
from voice_cli.speech.assembly import Speech
from voice_cli.speech.events import Utterance
from voice_cli.speech.narration import Narration


@pytest.fixture
def screen(monkeypatch):
    """Return a terminal on which the status appears at once."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    for module in (status, console):  # pytest replaces sys.stderr in each phase
        monkeypatch.setattr(module, "sys", SimpleNamespace(stderr=screen, platform=sys.platform))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(status, "PATIENCE", 0.0)
    return screen


@pytest.fixture
def line(screen):
    with closing(StatusLine("kokoro", SimpleNamespace(recovery=None))) as line:
        yield line
    assert screen_of(screen.getvalue()) == [], "the status line is not removed"


def shown(line, player):
    line.update(player)
    return line._drawn


def test_the_line_shows_backend_state_and_time(line):
    with Rig([FakeStream()]) as rig:
        rig.opened()
        assert shown(line, rig.player) == "kokoro · waiting · 0 s"
        rig.give(numbered(8000))
        rig.step(0.5)
        assert shown(line, rig.player).startswith("kokoro · speaking · ")
        rig.end()
        assert shown(line, rig.player).startswith("kokoro · speaking · ")
        rig.play_out()
        assert shown(line, rig.player) == "kokoro · done · 1 s"


def test_the_line_shows_a_pause_and_what_is_not_normal(line):
    with Rig([FakeStream(numbered(16_000), end=True)]) as rig:
        rig.settle()
        rig.step(0.5)
        player = rig.player
        player.pause()
        assert shown(line, player).startswith("kokoro · paused · ")
        player.resume()
        player.set_speed(1.5)
        player.set_volume(0.25)
        assert shown(line, player).startswith("kokoro · speaking · ")
        assert shown(line, player).endswith(" · speed 1.5 · volume 0.25")
        player.pause()
        player.cancel()
        rig.result()
        assert " · done · " in shown(line, player)


def test_a_note_is_printed_above_the_line(line, screen):
    with Rig([FakeStream()]) as rig:
        rig.opened()
        line.update(rig.player)
        line.note("space [pause]")
    assert "voice: space [pause]" in screen_of(screen.getvalue())[0]
    screen.truncate(0)


def test_a_failed_request_is_not_shown_as_speaking(line):
    with Rig([FakeStream()]) as rig:
        rig.opened()
        rig.end(ServerError("no voice today"))
        assert shown(line, rig.player).startswith("kokoro · done")


def test_a_short_playback_has_no_status_line(line, screen, monkeypatch):
    monkeypatch.setattr(status, "PATIENCE", 60.0)
    with Rig([FakeStream(numbered(8000), end=True)], on_tick=line.update) as rig:
        rig.play_out()
        line.finish(rig.player)
    assert screen.getvalue() == ""


def timed(index, *words):
    """Return an utterance of one second for each word, after those before it."""
    text = " ".join(words) + " "
    places = [(text.index(word), len(word), float(at)) for at, word in enumerate(words)]
    utterance = Utterance(Line(text, text.strip()), SimpleNamespace(words=[WordEvent(*place) for place in places]))
    utterance.start, utterance.end = index * 3.0, index * 3.0 + 3.0
    return utterance


def test_show_prints_each_word_once_and_none_that_was_skipped(capsys):
    utterances = [timed(0, "One", "two", "three."), timed(1, "Four", "five", "six."), timed(2, "Seven", "eight", "9.")]
    display = TextDisplay(StandardOutput().write)
    seen = []
    for spans in (
        [(0.0, 0.5)],
        [(0.0, 1.2)],
        [(0.0, 1.3), (6.0, 6.1)],
        [(0.0, 1.3), (6.0, 7.5), (3.0, 4.5)],
        [(0.0, 1.3), (6.0, 7.5), (3.0, 6.5)],
        [(0.0, 1.3), (6.0, 7.5), (3.0, 9.0)],
    ):
        display.update(SimpleNamespace(utterances=utterances, spans=spans))
        seen.append(capsys.readouterr().out)
    assert seen == ["One", " two", "Seven", " eightFour five", " six. ", " 9. "]
    display.finish(SimpleNamespace(utterances=utterances, spans=[(0.0, 1.3), (6.0, 7.5), (3.0, 9.0)]))
    assert capsys.readouterr().out == "\n"


def test_show_prints_an_utterance_without_word_times_when_it_begins(capsys):
    utterances = [Utterance(Line(text, text.strip()), SimpleNamespace(words=[])) for text in ("One. ", "Two. ")]
    for index, utterance in enumerate(utterances):
        utterance.start, utterance.end = index * 3.0, index * 3.0 + 2.0
    display = TextDisplay(StandardOutput().write)
    display.update(SimpleNamespace(utterances=utterances, spans=[(0.0, 0.0)]))
    assert capsys.readouterr().out == "One. "
    utterances[0].line = Line("One. More. ", "One. More.")
    display.update(SimpleNamespace(utterances=utterances, spans=[(0.0, 2.5)]))
    assert capsys.readouterr().out == "More. "
    display.finish(SimpleNamespace(utterances=utterances, spans=[(0.0, 4.0)]))
    assert capsys.readouterr().out == "\n", "the second was not heard to its end"


def test_show_prints_a_text_once_whose_word_times_come_later(capsys):
    utterance = timed(0, "One", "two", "three.")
    words, utterance.stream.words = utterance.stream.words, []
    display = TextDisplay(StandardOutput().write)
    display.update(SimpleNamespace(utterances=[utterance], spans=[(0.0, 0.0)]))
    utterance.stream.words = words
    for heard in (0.5, 1.5, 2.5, 3.5):
        display.update(SimpleNamespace(utterances=[utterance], spans=[(0.0, heard)]))
    assert capsys.readouterr().out.split() == ["One", "two", "three."]


class Voice:
    """A backend with the streams of a test."""

    name = "voice"
    max_requests = None

    def __init__(self, streams):
        self._streams = iter(streams)

    def synthesize(self, _request):
        return next(self._streams)


def test_the_bar_ends_at_the_end_of_the_text(screen):
    streams = [FakeStream(numbered(800)) for _ in range(2)]
    second_is_read = threading.Event()
    streams[1].on_wait = second_is_read.set
    narration = Narration(
        Voice(streams),
        [Line("One. ", "One.", end=300), Line("Two.", "Two.", end=600)],
        lambda line: SpeechRequest(line.spoken),
        total=1000,
        lookahead=2,
    )
    narration.start(first=True)
    player = Player(None)
    with closing(FileProgress("voice", narration)) as bar:

        def done():
            bar.update(player)
            return bar._bar.tasks[0].completed

        assert done() == 0
        played = in_thread(lambda: player.play(Speech(narration)))
        streams[0].end()
        happened(second_is_read)
        assert done() == 300
        streams[1].end()
        assert played().error is None
        bar.note("\x1b]0;title\x07 [bold] sent again")
        bar.finish(player)
        assert bar._bar.tasks[0].completed == 1000
        assert bar._bar.finished
    assert "100%" in screen.getvalue()
    assert r"voice: \x1b]0;title\x07 [bold] sent again" in screen.getvalue()
