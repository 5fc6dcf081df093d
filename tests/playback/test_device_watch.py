"""A device that stops by itself in the middle of a speech."""

import threading

import pytest

from support.player import FakeStream, Rig, SteppedSink, numbered
from support.threads import WAIT, happened
from voice_cli.errors import DeviceError
from voice_cli.playback.device_watch import DEAD_SECONDS, LOSSES_SECONDS, MARGIN_SECONDS, MOST_LOSSES, RETURN_SECONDS
from voice_cli.playback.player import Outcome


class Watched(Rig):
    """A rig on whose ticks a test can wait."""

    def __init__(self, *streams, **options):
        self._ticks = threading.Semaphore(0)
        super().__init__(list(streams), on_tick=lambda _player: self._ticks.release(), **options)

    def checked(self):
        """Wait until the player has checked its device again."""
        while self._ticks.acquire(blocking=False):
            pass
        for _ in range(2):
            assert self._ticks.acquire(timeout=WAIT)

    def wait(self, seconds):
        """Let time pass without pulls, in steps that the player sees."""
        while seconds > 0:
            self.sink.now += min(1.0, seconds)
            seconds -= 1.0
            self.checked()

    def lose(self, sign="inactive"):
        """Have the device stop."""
        self.sink.started.clear()
        if sign == "inactive":
            self.sink.die()
            self.checked()
        else:
            self.checked()
            self.wait(DEAD_SECONDS + 0.1)

    def return_(self):
        """Wait until it was opened again."""
        happened(self.sink.started)
        self.checked()


def values(pcm):
    return list(memoryview(bytes(pcm)).cast("h"))


def speech_in(heard, first, last):
    """Return where `numbered` frames from `first` to `last` are in what was heard."""
    wanted = numbered(last - first + 1, first=first)
    return bytes(heard).find(wanted)


@pytest.mark.parametrize("sign", ["inactive", "no pulls"])
def test_speech_goes_on_with_the_first_frame_that_was_not_heard(sign):
    with Watched(FakeStream(numbered(8000), end=True), sink=SteppedSink(latency=0.05)) as rig:
        rig.settle()
        rig.step(0.5)
        rig.lose(sign)
        rig.return_()
        result = rig.play_out()
    assert result.outcome is Outcome.COMPLETE
    assert rig.sink.reopened == 1
    # The last pull was at 0.49 s, its first frame would have left at 0.54: all frames before 0.44 had left.
    again = 0.44 - MARGIN_SECONDS
    assert speech_in(rig.sink.heard, 1, 4000) == 0
    assert speech_in(rig.sink.heard, round(again * 8000) + 1, 8000) > 0
    assert speech_in(rig.sink.heard, round(again * 8000) - 1, 8000) == -1, "no more than that is repeated"
    assert result.heard == 1.0
    assert result.spans == ((0.0, 1.0),)
    (reopening,) = result.reopenings
    assert reopening.repeated <= 0.07 + 1e-9
    metrics = result.metrics
    assert (metrics.device_reopened, metrics.underruns, metrics.device_underflows) == (1, 0, 0)
    assert metrics.device_repeated_ms == pytest.approx(1000 * reopening.repeated, abs=0.01)
    assert metrics.device_away_ms == pytest.approx(1000 * reopening.away, abs=0.01)


def test_a_device_that_does_not_come_back_is_a_failure():
    with Watched(FakeStream(numbered(8000))) as rig:
        rig.settle()
        rig.step(0.1)
        rig.sink.refuses = 1 << 30
        rig.lose()
        heard = rig.player.heard
        rig.wait(RETURN_SECONDS / 2)
        assert rig.player.heard == heard, "the position stays"
        rig.sink.now += RETURN_SECONDS
        result = rig.result()
        assert result.outcome is Outcome.FAILED
        assert isinstance(result.error, DeviceError)
        assert result.error.message == (
            "the output device stopped playing, and no other one opens: the null device is gone"
        )
        assert rig.streams[0].cancelled
        assert result.metrics.device_reopened == 0


def test_a_named_device_that_does_not_come_back_is_named(monkeypatch):
    monkeypatch.setattr(SteppedSink, "name", "speakers")
    with Watched(FakeStream(numbered(8000))) as rig:
        rig.settle()
        rig.step(0.1)
        rig.sink.refuses = 1 << 30
        rig.lose()
        rig.sink.now += RETURN_SECONDS + 0.1
        error = rig.result().error
        assert error.message == "the output device 'speakers' stopped playing and did not come back"
        assert "{device}" in error.hint.template


def test_it_is_tried_until_it_opens():
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        rig.step(0.1)
        rig.sink.refuses = 3
        rig.lose()
        while rig.sink.refuses:
            rig.wait(0.1)
        rig.wait(0.1)
        rig.return_()
        assert rig.play_out().outcome is Outcome.COMPLETE


def test_a_device_that_never_pulls_is_opened_again_once():
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        happened(rig.sink.started)
        rig.lose("no pulls")
        rig.return_()
        rig.wait(DEAD_SECONDS - 0.1)
        rig.sink.now += 0.2
        assert "again and again" in rig.result().error.message
        assert rig.sink.reopened == 1


def test_a_device_that_is_lost_again_and_again_is_a_failure():
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        for _ in range(MOST_LOSSES):
            rig.step(0.1)
            rig.lose()
            rig.return_()
        rig.step(0.1)
        rig.sink.die()
        assert "again and again" in rig.result().error.message


def test_later_losses_are_counted_anew():
    with Watched(FakeStream(numbered(32000), end=True)) as rig:
        rig.settle()
        for _ in range(2 * MOST_LOSSES):
            rig.step(0.1)
            rig.lose()
            rig.return_()
            for _ in range(round(LOSSES_SECONDS)):  # paused, so that the speech lasts
                rig.player.pause()
                rig.step(1.0)
                rig.player.resume()
        assert rig.play_out().metrics.device_reopened == 2 * MOST_LOSSES


def test_a_device_that_does_not_start_is_opened_again(monkeypatch):
    start = SteppedSink.start
    failures = [DeviceError("no")]

    def start_later(sink, pull):
        if failures:
            raise failures.pop()
        start(sink, pull)

    monkeypatch.setattr(SteppedSink, "start", start_later)
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        result = rig.play_out()
    assert result.outcome is Outcome.COMPLETE
    assert speech_in(rig.sink.heard, 1, 8000) == 0
    assert result.metrics.device_repeated_ms == 0


def test_the_next_device_may_have_another_format():
    pytest.importorskip("av")
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        rig.step(0.5)
        before = len(rig.sink.heard)
        rig.sink._rates, rig.sink._channels = (16000,), 2
        rig.lose()
        rig.return_()
        result = rig.play_out()
        source = rig.source
    assert result.outcome is Outcome.COMPLETE
    assert result.heard == 1.0
    after = values(rig.sink.heard[before:])
    left, right = after[::2], after[1::2]
    assert left == right
    sounding = sum(value != 0 for value in left)
    again = 0.47 - MARGIN_SECONDS
    assert sounding == pytest.approx((1.0 - again + 0.005) * 16000, abs=50)  # with a rising ramp
    assert source.ended_at is not None


def test_a_pause_outlives_the_device():
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        rig.step(0.5)
        rig.player.pause()
        rig.step(0.1)
        rig.lose()
        rig.return_()
        before = len(rig.sink.heard)
        rig.step(0.2)
        assert not any(rig.sink.heard[before:])
        rig.player.resume()
        result = rig.play_out()
        assert result.outcome is Outcome.COMPLETE
        assert speech_in(rig.sink.heard[before:], 4001, 8000) > 0
        assert speech_in(rig.sink.heard[before:], 4000, 8000) == -1, "all before the pause was heard"


def test_a_loss_during_an_underrun_is_no_part_of_it():
    with Watched(FakeStream(numbered(800))) as rig:
        rig.settle()
        rig.step(0.3)  # 0.2 s of them without frames
        rig.lose()
        rig.sink.now += 1.0
        rig.return_()
        rig.step(0.1)
        rig.give(numbered(800, first=801))
        rig.end()
        metrics = rig.play_out().metrics
        assert metrics.underruns == 1
        assert metrics.underrun_ms == pytest.approx(300, abs=40)


def test_a_device_that_stops_after_the_last_frame_is_not_opened_again():
    with Watched(FakeStream(numbered(800), end=True), sink=SteppedSink(latency=0.0)) as rig:
        rig.settle()
        rig.step(0.1)
        rig.sink.step(80)
        rig.sink.die()
        rig.sink.now += 1.0
        result = rig.result()
        assert result.outcome is Outcome.COMPLETE
        assert rig.sink.reopened == 0


def test_a_cancelled_speech_does_not_wait_for_its_device():
    with Watched(FakeStream(numbered(8000))) as rig:
        rig.settle()
        rig.step(0.1)
        rig.sink.refuses = 1 << 30
        rig.lose()
        rig.player.cancel()
        assert rig.result().outcome is Outcome.CANCELLED


def test_a_process_that_was_stopped_does_not_take_the_device_for_dead():
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        rig.step(0.1)
        rig.checked()
        rig.sink.now += 10 * DEAD_SECONDS
        rig.checked()
        result = rig.play_out()
        assert result.outcome is Outcome.COMPLETE
        assert result.metrics.device_reopened == 0


def test_a_process_that_was_stopped_without_its_device_tries_on():
    with Watched(FakeStream(numbered(8000), end=True)) as rig:
        rig.settle()
        rig.step(0.1)
        rig.sink.refuses = 1 << 30
        rig.lose()
        rig.sink.now += 10 * DEAD_SECONDS
        rig.checked()
        rig.sink.refuses = 0
        rig.wait(0.1)
        rig.return_()
        assert rig.play_out().outcome is Outcome.COMPLETE
