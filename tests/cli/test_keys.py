"""The keys, on a pseudo-terminal."""

import os
import signal
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

termios = pytest.importorskip("termios")
pty = pytest.importorskip("pty")

from voice_cli.cli import interrupts, keys  # noqa: E402
from voice_cli.cli.keys import ACTIONS, HELP, SKIPS, Keys, are_usable, split_keys  # noqa: E402

UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"


class FakeControls:
    """Notes what is called."""

    def __init__(self):
        self.calls = []
        self.is_paused = False
        self.volume = self.speed = 1.0

    def pause(self):
        self.is_paused = True

    def resume(self):
        self.is_paused = False

    def skip(self, count):
        self.calls.append(f"skip {count}")

    def set_volume(self, factor):
        self.volume = factor

    def set_speed(self, factor):
        self.speed = factor

    def cancel(self):
        self.calls.append("cancel")


class Rig:
    """Keys on a terminal."""

    def __init__(self, monkeypatch):
        self.ours, theirs = pty.openpty()
        self.stdin = open(theirs)  # noqa: SIM115
        monkeypatch.setattr(sys, "stdin", self.stdin)
        self.is_foreground = True
        monkeypatch.setattr(keys, "_is_foreground", lambda _descriptor: self.is_foreground)
        self.controls = FakeControls()
        self.notes = []
        self.keys = Keys(self.controls, self.notes.append)

    def press(self, data):
        os.write(self.ours, data)
        self.keys.poll(is_playing=True)

    @property
    def mode(self):
        return termios.tcgetattr(self.stdin.fileno())

    @property
    def is_plain(self):
        return bool(self.mode[3] & termios.ICANON) and bool(self.mode[3] & termios.ECHO)

    def close(self):
        self.keys.close()
        self.stdin.close()
        os.close(self.ours)


@pytest.fixture
def rig(monkeypatch):
    rig = Rig(monkeypatch)
    yield rig
    rig.close()


def test_nothing_is_done_before_the_sound(rig):
    rig.keys.poll(is_playing=False)
    assert rig.is_plain
    rig.keys.poll(is_playing=True)
    assert not rig.is_plain


def test_keys_work_while_the_sound_is_late(rig, monkeypatch):
    monkeypatch.setattr(keys, "PATIENCE", 0.0)
    rig.keys.poll(is_playing=False)
    assert not rig.is_plain


def test_the_mode_has_signals_and_is_restored(rig):
    before = rig.mode
    rig.press(b"x")
    flags = rig.mode[3]
    assert flags & termios.ISIG
    assert not flags & (termios.ICANON | termios.ECHO)
    rig.keys.close()
    assert rig.mode == before
    assert rig.controls.calls == []


def test_each_key_has_its_action(rig):
    controls = rig.controls
    rig.press(b" ")
    assert controls.is_paused
    rig.press(b"  ")
    assert controls.is_paused
    rig.press(b" ")
    assert not controls.is_paused
    rig.press(RIGHT + LEFT + b"\x1bOC")
    assert controls.calls == ["skip 1", "skip -1", "skip 1"]
    controls.calls.clear()
    rig.press(RIGHT + b"\x1bOC" + LEFT + LEFT + LEFT)
    assert controls.calls == ["skip 2", "skip -3"]
    rig.press(UP + UP + DOWN)
    assert controls.volume == 1.1
    rig.press(b"[[]")
    assert controls.speed == 0.9
    rig.press(b"q")
    assert controls.calls[-1] == "cancel"


def test_other_keys_do_nothing(rig):
    rig.press(b"\x1b[1;2Cabc\x1b\x1b[5~\xc3\xa4\t\r")
    assert rig.controls.calls == []
    assert (rig.controls.is_paused, rig.controls.volume, rig.controls.speed) == (False, 1.0, 1.0)


def test_the_question_mark_shows_the_keys(rig):
    rig.press(b"?")
    assert rig.notes == [HELP]


def test_a_key_in_two_parts(rig):
    rig.press(b"\x1b")
    rig.press(b"[")
    assert rig.controls.calls == []
    rig.press(b"C")
    assert rig.controls.calls == ["skip 1"]


@given(
    st.lists(st.sampled_from([*ACTIONS, *SKIPS, b"x", b"?", b"\x1b[1;5D", b"\xe4"]), max_size=8),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_keys_do_not_depend_on_the_cuts(pressed, cuts):
    data = b"".join(pressed)
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    found, rest = [], b""
    for start, end in pairwise(places):
        more, rest = split_keys(rest + data[start:end])
        found += more
    assert found == pressed
    assert rest == b""


def test_in_the_background_nothing_is_read(rig):
    rig.press(b"x")
    rig.is_foreground = False
    rig.press(b" ")
    assert not rig.controls.is_paused
    rig.is_foreground = True
    rig.keys.poll(is_playing=True)
    assert rig.controls.is_paused


def test_a_terminal_that_is_gone_is_ignored(rig):
    rig.press(b"x")
    os.close(rig.ours)
    rig.keys.poll(is_playing=True)
    rig.keys.close()
    rig.ours = os.open(os.devnull, os.O_RDONLY)


def test_handlers_are_restored(rig):
    before = [signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGQUIT)]
    rig.press(b"x")
    assert interrupts._at_exit is not None
    rig.keys.close()
    assert before == [signal.getsignal(number) for number in (signal.SIGTSTP, signal.SIGCONT, signal.SIGQUIT)]
    assert interrupts._at_exit is None


def test_the_terminal_is_restored_at_the_second_interrupt(rig, monkeypatch):
    monkeypatch.setattr(interrupts, "_signals", 1)
    rig.press(b"x")
    with pytest.raises(KeyboardInterrupt):
        interrupts._on_signal(signal.SIGINT, None)
    assert rig.is_plain


def test_the_terminal_is_restored_before_a_signal_stops_the_process(rig, monkeypatch):
    rig.press(b"x")
    sent = []
    monkeypatch.setattr(os, "kill", lambda *arguments: sent.append((*arguments, rig.is_plain)))
    signal.getsignal(signal.SIGTSTP)(signal.SIGTSTP, None)
    assert sent == [(os.getpid(), signal.SIGTSTP, True)]
    assert signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL
    signal.getsignal(signal.SIGCONT)(signal.SIGCONT, None)
    assert not rig.is_plain
    assert signal.getsignal(signal.SIGTSTP) == rig.keys._leave


def test_a_process_that_goes_on_in_the_background_leaves_the_terminal_alone(rig, monkeypatch):
    rig.press(b"x")
    monkeypatch.setattr(os, "kill", lambda *_arguments: None)
    signal.getsignal(signal.SIGTSTP)(signal.SIGTSTP, None)
    rig.is_foreground = False
    signal.getsignal(signal.SIGCONT)(signal.SIGCONT, None)
    assert rig.is_plain


def test_keys_need_a_terminal(monkeypatch):
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert not are_usable()
    monkeypatch.setattr(sys, "stdin", None)
    assert not are_usable()
