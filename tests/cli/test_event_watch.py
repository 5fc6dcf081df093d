"""The events of a player that a test moves: words, jumps, times that come late, controls, and no device."""

import math
import time
from types import SimpleNamespace

import pytest

from voice_cli.backends.base import WordEvent
from voice_cli.cli.event_watch import EventWatch
from voice_cli.playback.history import History
from voice_cli.playback.player import Outcome
from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance

RATE = 1000
TEXT = "One two three."


def utterance(start=0.0, end=3.0, words=(0.0, 1.0, 2.0)):
    places = [(0, 3), (4, 3), (8, 6)]
    events = [WordEvent(*place, at) for place, at in zip(places, words, strict=False)]
    stream = SimpleNamespace(words=events, timestamps={}, is_cached=False)
    made = Utterance(Line(TEXT, TEXT, end=len(TEXT)), stream)
    made.start, made.end = start, end
    return made


class Rig:
    """A player whose frames leave the device when the test says."""

    def __init__(self, *utterances, has_device=True):
        self.sent = []
        self.narration = SimpleNamespace(utterances=list(utterances), recovery=None)
        self.watch = EventWatch(self.sent.append, self.narration, 0.0)
        self.history = History(RATE)
        source = SimpleNamespace(history=self.history, underrun_count=0, rebuffer_count=0, underruns=[])
        self.source = source
        self.player = SimpleNamespace(
            source=source if has_device else None,
            timeline=SimpleNamespace(audible_seconds=0.5),
            utterances=list(utterances),
            spans=[(0.0, 0.0)],
            heard=0.0,
            is_paused=False,
        )
        self.at = time.monotonic() - 100  # all of it was heard

    def play(self, seconds, *, jump_to=None):
        if jump_to is not None:
            self.history.move(self.at, jump_to * RATE, 1.0, is_jump=True)
            self.player.spans.append((jump_to, jump_to))
        if jump_to is not None or not self.history.position:
            self.history.begin_run(self.at)
        self.history.position += round(seconds * RATE)
        self.at += seconds
        self.watch.update(self.player)

    def told(self, *kinds):
        return [
            (each["event"], each.get("word"), round(each["at_ms"] - 1000 * self.began))
            for each in self.sent
            if each["event"] in kinds
        ]

    @property
    def began(self):
        return self.history.stretches()[0].began


@pytest.mark.parametrize("step", [0.02, 0.3, 1.0, 3.0])
def test_the_times_do_not_depend_on_the_looks(step):
    rig = Rig(utterance())
    for _ in range(math.ceil(3.0 / step)):
        rig.play(step)
    kinds = ("first_audio", "utterance_begin", "word", "utterance_end")
    assert rig.told(*kinds) == [
        ("utterance_begin", None, 0),
        ("word", "One", 0),
        ("first_audio", None, 500),
        ("word", "two", 1000),
        ("word", "three.", 2000),
        ("utterance_end", None, 3000),
    ]


def test_after_a_jump_back_words_are_told_again():
    rig = Rig(utterance())
    rig.play(1.5)
    rig.play(1.5, jump_to=0.5)
    assert rig.told("word", "jump")[:2] == [("word", "One", 0), ("word", "two", 1000)]
    assert ("word", "two", 2000) in rig.told("word")
    (jump,) = [each for each in rig.sent if each["event"] == "jump"]
    assert jump["position_ms"] == 500


def test_words_whose_times_come_late_have_their_times():
    spoken = utterance(words=(), end=None)
    rig = Rig(spoken)
    rig.play(1.5)
    assert rig.told("word") == []
    spoken.stream.words += [WordEvent(0, 3, 0.0), WordEvent(4, 3, 1.0), WordEvent(8, 6, 2.0)]
    rig.play(0.1)
    assert rig.told("word") == [("word", "One", 0), ("word", "two", 1000)]
    rig.play(0.9)
    assert rig.told("word")[-1] == ("word", "three.", 2000)


def test_utterances_that_are_over_are_forgotten():
    rig = Rig(*(utterance(3.0 * number, 3.0 * number + 2.5) for number in range(20)))
    for _ in range(60):
        rig.play(1.0)
    assert len(rig.told("word")) == 60
    assert len(rig.told("utterance_end")) == 20
    assert len(rig.watch._hearings) <= 1


def test_pause_and_resume():
    rig = Rig(utterance())
    rig.play(0.1)
    for is_paused in (True, True, False):
        rig.player.is_paused = is_paused
        rig.watch.update(rig.player)
    assert [each["event"] for each in rig.sent if each["event"] in ("pause", "resume")] == ["pause", "resume"]


def test_requests_and_retries():
    spoken = utterance(end=None)
    rig = Rig(spoken)
    rig.watch.update(rig.player)
    assert not rig.told("request")
    rig.narration.recovery = SimpleNamespace(retries=2, fallback="other", resumed=[SimpleNamespace(at=1.0, by="other")])
    spoken.stream.timestamps = {"request_sent": 5.0, "first_byte": 6.0}
    for _ in range(2):
        rig.watch.update(rig.player)
    at = {each["event"]: each["at_ms"] for each in rig.sent}
    assert (at["request"], at["first_byte"]) == (5000, 6000)
    assert [each["event"] for each in rig.sent].count("request") == 1
    assert {"retry", "fallback", "continued"} <= at.keys()


def test_without_a_device_sound_is_told_when_it_is_decoded():
    rig = Rig(utterance(), has_device=False)
    rig.player.heard = 1.5
    rig.watch.update(rig.player)
    rig.player.heard = 3.0
    rig.watch.finish(rig.player, SimpleNamespace(outcome=Outcome.COMPLETE))
    kinds = [each["event"] for each in rig.sent]
    assert kinds == ["utterance_begin", "word", "word", "word", "utterance_end"]
