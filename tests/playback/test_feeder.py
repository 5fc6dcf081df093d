"""The feeder and its source without threads: after any controls, exactly the expected frames are pulled."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.null_sink import NullSink
from support.player import MONO, numbered
from voice_cli.playback import feeder
from voice_cli.playback.feeder import Feeder
from voice_cli.playback.goals import BACK_SECONDS
from voice_cli.playback.sink_source import SinkSource

LATENCY = 0.02
RAMP = 40
"""Frames of a ramp, at 8 kHz: 5 ms."""

STARTS = [0, 6000, 9000, 9500, 20_000]
END = 24_000


class Bench:
    """A feeder of 3 s with five sentences, whose controls are applied at once, and a source that a null sink pulls."""

    def __init__(self, starts=STARTS, end=END, needed=0.0):
        self.sent = numbered(end)
        self.starts = starts
        self.known = []
        self.written = 0
        self.source = SinkSource(MONO, feeder.RING_SECONDS)
        supply = SimpleNamespace(is_smooth=False, is_enough=lambda _source, ahead, _speed, **_where: ahead >= needed)
        self.feeder = Feeder(1.0, starts=lambda: self.known, supply=supply, fail=pytest.fail)
        self.feeder._thread = SimpleNamespace(join=lambda _timeout: None)  # no thread is started
        self.feeder.attach(self.source)
        self.sink = NullSink(latency=LATENCY)
        self.sink.open(MONO)
        self.sink.start(self.source.pull)
        self._needed = needed
        self.jumps = []
        """What each jump left and where it should land."""

    def write(self, frames):
        """Write as the pump does: a sentence is known once its first frame is written."""
        target = min(self.written + frames, len(self.sent) // 2)
        while self.written < target:
            self.known = [start / 8000 for start in self.starts if start <= self.written]
            upto = min([target, *(start for start in self.starts if start > self.written)])
            count = self.feeder.write(memoryview(self.sent)[2 * self.written : 2 * upto])
            self.written += count // 2
            self.applied()
            if not self.source.is_open and self.feeder.buffered > self._needed:
                self.source.open_gate()
            if not count:
                return

    def applied(self):
        with self.feeder._changed:
            self.feeder._apply(self.source)

    def step(self, frames, **options):
        block = self.sink.step(frames, **options)
        self.applied()
        return samples(block)

    def skip(self, count):
        """Skip, and note where that should lead; None: to an utterance that has not arrived."""
        self.feeder.skip(count)
        self.applied()

    def finish(self):
        while self.written < len(self.sent) // 2:
            before = self.written
            self.write(len(self.sent))
            if self.written == before:
                self.feeder.pause(is_paused=False)
                self.step(160)
        self.feeder.finish()
        self.feeder.pause(is_paused=False)
        self.applied()
        while self.source.ended_at is None:
            self.step(160)

    @property
    def now(self):
        """The time at which all that was pulled has left the device."""
        return self.sink.now + LATENCY

    def spans(self):
        """Return the parts of the speech that were pulled, in frames."""
        return [(round(8000 * start), round(8000 * end)) for start, end in self.source.spans(self.now)]

    def pulled(self):
        """Return the frames that the sink got, by the times of the history; check that all else is quiet."""
        heard, rest = samples(self.sink.heard), samples(self.sink.heard)
        frames = []
        for stretch in self.source.history.stretches():
            first, last = (round((at - LATENCY) * 8000) for at in (stretch.began, stretch.ended))
            frames += heard[first:last]
            rest[first:last] = [0] * (last - first)
        loud = sum(value != 0 for value in rest)
        assert loud <= RAMP * 2 * (len(self.source.history.stretches()) + 1), "more than ramps"
        return frames


def samples(data):
    return list(memoryview(bytes(data)).cast("h")) if data else []


def frames_of(spans):
    return [frame + 1 for start, end in spans for frame in range(start, end)]


def playing(frames=4000, **options):
    """Return a bench of which everything is received and `frames` were pulled."""
    bench = Bench(**options)
    bench.write(END)
    bench.source.open_gate()
    bench.step(frames)
    return bench


def test_without_controls_every_frame_is_written_to_the_ring_at_once():
    bench = Bench()
    bench.write(10_000)
    assert bench.source.buffered == 10_000 / 8000
    assert bench.source.latest.writable == 2 * (8000 * feeder.RING_SECONDS - 10_000)
    bench.finish()
    assert bench.pulled() == frames_of([(0, END)])


def test_a_pause_is_silent_from_the_next_pull_on_and_loses_nothing():
    bench = playing(4000)
    bench.feeder.pause(is_paused=True)
    silent = bench.step(800)
    assert silent[:RAMP] == [4000 * i // (RAMP + 1) for i in range(RAMP, 0, -1)]
    assert not any(silent[RAMP:])
    assert not any(bench.step(8000))
    bench.feeder.pause(is_paused=False)
    block = bench.step(200)
    assert block[RAMP:] == list(range(4001, 4001 + 200 - RAMP))
    assert block[:RAMP] == [4001 * i // (RAMP + 1) for i in range(1, RAMP + 1)]
    bench.finish()
    assert bench.pulled() == frames_of([(0, END)])
    source = bench.source
    assert source.underrun_count == source.underflow_count == 0
    assert source.paused_seconds == source.paused == pytest.approx((8800 + RAMP) / 8000)
    assert source.ended_at - source.started_at - source.paused_seconds == pytest.approx(END / 8000)


def test_an_underflow_in_a_pause_is_not_counted():
    bench = playing()
    bench.feeder.pause(is_paused=True)
    bench.step(100)
    bench.step(100, underflow=True)
    assert bench.source.underflow_count == 0


def test_a_pause_before_the_first_frame_is_not_counted():
    bench = Bench()
    bench.feeder.pause(is_paused=True)
    bench.write(END)
    bench.source.open_gate()
    assert not any(bench.step(1000))
    assert bench.source.started_at is None
    bench.finish()
    assert bench.pulled() == frames_of([(0, END)])
    assert bench.source.paused == 0


def paused_for_a_second(before, after):
    """Return a bench whose 800 frames were played, with a pause between so many pulled frames."""
    bench = Bench(needed=1e9)
    bench.write(800)
    bench.source.open_gate()
    bench.step(before)
    bench.feeder.pause(is_paused=True)
    bench.step(8000)
    bench.feeder.pause(is_paused=False)
    bench.step(after)
    bench.finish()
    return bench


def test_a_pause_in_an_underrun_does_not_lengthen_it():
    bench = paused_for_a_second(before=1600, after=800)
    (gap,) = bench.source.underruns
    assert gap.seconds == pytest.approx((1600 + RAMP) / 8000)
    assert gap.position == 0.1
    assert bench.source.paused == 1.0


def test_a_ring_that_is_empty_after_a_pause_is_an_underrun():
    bench = paused_for_a_second(before=800, after=1600)
    (gap,) = bench.source.underruns
    assert gap.seconds == pytest.approx((1600 + RAMP) / 8000)
    assert bench.source.paused_seconds == 1.0


def test_quick_pauses_play_every_frame_once():
    bench = playing(500)
    for size in (1, 7, 39, 40, 41, 90, 3, 200):
        bench.feeder.pause(is_paused=True)
        bench.step(size)
        bench.feeder.pause(is_paused=False)
        bench.step(size)
    bench.finish()
    assert bench.pulled() == frames_of([(0, END)])


@pytest.mark.parametrize(
    ("at", "count", "lands"),
    [
        (4000, 1, 6000),
        (4000, 2, 9000),
        (7000, 1, 9000),
        (7000, 2, 20_000),
        (4000, -1, 0),
        (6000, -1, 0),
        (18_000, -1, 9000),
        (18_000, -2, 6000),
        (20_000, 1, END),
        (4000, 9, END),
    ],
)
def test_skip_goes_to_the_start_of_an_utterance(at, count, lands):
    bench = playing(at, starts=[0, 6000, 9000, 20_000])
    bench.feeder.finish()
    bench.skip(count)
    bench.finish()
    assert bench.spans() == [(0, at), (lands, END)]
    assert bench.pulled() == frames_of(bench.spans())
    assert bench.source.underrun_count == 0


@pytest.mark.parametrize(("heard", "lands"), [(BACK_SECONDS, 9500), (BACK_SECONDS - 0.01, 9000)])
def test_back_is_the_start_of_this_utterance_or_of_the_one_before(heard, lands):
    at = 9500 + round(8000 * heard)
    bench = playing(at)
    bench.skip(-1)
    assert bench.step(100)[2 * RAMP :] == list(range(lands + 1, lands + 21))
    bench.finish()
    assert bench.spans() == [(0, at), (lands, END)]


def test_back_twice_goes_two_utterances_back():
    bench = playing(19_000)
    bench.skip(-1)
    bench.skip(-1)
    bench.finish()
    assert bench.spans() == [(0, 19_000), (9000, END)]
    other = playing(19_000)
    other.skip(-2)
    other.finish()
    assert other.spans() == bench.spans()


def test_a_skip_takes_effect_at_the_next_pull_with_two_ramps():
    bench = playing(4000)
    bench.skip(1)
    block = bench.step(200)
    assert block[:RAMP] == [4000 * i // (RAMP + 1) for i in range(RAMP, 0, -1)]
    assert block[RAMP : 2 * RAMP] == [6001 * i // (RAMP + 1) for i in range(1, RAMP + 1)]
    assert block[2 * RAMP :] == list(range(6001, 6121))


def test_skip_to_what_has_not_arrived_drops_the_rest_of_the_utterance():
    bench = Bench(needed=0.01)
    bench.write(5000)
    bench.step(4000)
    bench.skip(1)
    assert not any(bench.step(800)[RAMP:])
    bench.write(900)
    assert not any(bench.step(800)), "the rest of the first utterance"
    bench.write(2000)
    assert bench.step(RAMP + 200)[RAMP:] == list(range(6001, 6201))
    bench.finish()
    assert bench.spans() == [(0, 4000), (4000, 4000), (6000, END)]
    assert bench.pulled() == frames_of(bench.spans())
    assert bench.source.underrun_count == 0, "the listener asked for it"


def test_skip_beyond_the_last_utterance_that_comes_ends_the_speech():
    bench = Bench()
    bench.write(END - 10)
    bench.step(21_000)
    bench.skip(1)
    bench.step(100)
    bench.finish()
    assert bench.spans() == [(0, 21_000), (21_000, 21_000), (END, END)]
    assert bench.source.heard(bench.now) == END / 8000


def test_back_from_an_utterance_that_is_awaited():
    bench = Bench()
    bench.write(5000)
    bench.step(4000)
    bench.skip(2)
    bench.skip(-2)
    bench.finish()
    assert bench.spans()[-1] == (0, END)
    assert bench.pulled() == frames_of(bench.spans())


def test_a_skip_in_a_pause_is_heard_after_it():
    bench = playing(4000)
    bench.feeder.pause(is_paused=True)
    bench.step(100)
    bench.skip(1)
    assert not any(bench.step(8000))
    bench.feeder.pause(is_paused=False)
    assert bench.step(RAMP + 100)[RAMP:] == list(range(6001, 6101))
    bench.finish()
    assert bench.pulled() == frames_of([(0, 4000), (6000, END)])


def test_back_before_what_is_kept_goes_to_the_oldest_utterance(monkeypatch):
    monkeypatch.setattr(feeder, "KEPT_SECONDS", 2.0)
    bench = playing(22_000)
    bench.skip(-4)
    bench.finish()
    assert bench.spans() == [(0, 22_000), (9000, END)]


def test_back_pressure_counts_from_the_frame_that_is_played_next(monkeypatch):
    monkeypatch.setattr(feeder, "RING_SECONDS", 1.0)
    bench = Bench()
    bench.write(END)
    assert bench.written == 8000
    assert bench.feeder.room_in(1600) == pytest.approx(0.1)
    bench.step(4000)
    bench.skip(-1)
    bench.write(END)
    assert bench.written == 8000
    bench.skip(1)
    bench.write(END)
    assert bench.written == 14_000
    bench.skip(5)
    bench.write(END)
    assert bench.written == END
    bench.finish()
    assert bench.pulled() == frames_of(bench.spans())


@pytest.mark.parametrize("factor", [2.0, 0.5, 0.0])
def test_the_volume_changes_at_the_next_pull_without_a_gap(factor):
    bench = playing(4000)
    bench.feeder.set_volume(factor)
    bench.applied()
    block = bench.step(800)
    assert block[RAMP:] == [round(factor * value) for value in range(4001 + RAMP, 4801)]
    steps = [after - before for before, after in pairwise([4000, *block[: RAMP + 1]])]
    assert max(map(abs, steps)) < 4100 / RAMP + 3, "no click"
    bench.feeder.set_volume(1.0)
    bench.applied()
    bench.step(20)
    assert bench.step(780)[RAMP - 20 :] == list(range(4801 + RAMP, 5601))
    assert len(bench.source.history.stretches()) == 1


def test_frames_that_were_pulled_while_a_segment_was_made_are_not_played_again():
    bench = playing(4000)
    bench.feeder.set_volume(2.0)
    with bench.feeder._changed:
        renew = bench.feeder._feed

        def slow(*arguments):
            bench.sink.step(100)
            renew(*arguments)

        bench.feeder._feed = slow
        bench.feeder._renew(bench.source)
        bench.feeder._feed = renew
    assert bench.step(100)[RAMP:] == [2 * value for value in range(4101 + RAMP, 4201)]


def test_the_limits_of_volume_and_speed():
    bench = playing(100)
    for factor, volume, speed in ((9.0, 4.0, 4.0), (-1.0, 0.0, 0.25), (float("nan"), 0.0, 0.25)):
        bench.feeder.set_volume(factor)
        bench.feeder.set_speed(factor)
        assert (bench.feeder.volume, bench.feeder.speed) == (volume, speed)


@pytest.mark.parametrize("speed", [0.25, 0.8, 1.7, 4.0])
def test_the_speed_keeps_the_times_of_the_speech(speed):
    bench = playing(4000)
    bench.feeder.set_speed(speed)
    bench.applied()
    bench.step(1600 + 2 * RAMP)
    history = bench.source.history
    assert history.seconds == pytest.approx((4000 + 1600 * speed) / 8000, abs=1e-3)
    bench.feeder.set_speed(1.0)
    bench.applied()
    bench.finish()
    left = 4000 + 1600 * speed
    assert len(bench.pulled()) == pytest.approx(4000 + 1600 + END - left, abs=2)
    assert history.seconds == END / 8000
    assert bench.source.spans(bench.now) == [(0.0, END / 8000)]
    assert bench.source.heard(bench.now) == END / 8000
    assert bench.source.underrun_count == 0
    tail = bench.pulled()[-2000:]
    assert tail == list(range(END - 1999, END + 1))


@pytest.mark.parametrize("speed", [0.5, 1.3, 3.0])
def test_a_whole_speech_at_another_speed_ends_at_its_end(speed):
    bench = Bench()
    bench.feeder.set_speed(speed)
    bench.finish()
    assert len(bench.pulled()) == pytest.approx(END / speed, abs=1)
    assert bench.source.heard(bench.now) == pytest.approx(END / 8000, abs=1e-3)


def test_the_first_time_of_a_position_is_found_in_what_was_played():
    bench = playing(4000)
    bench.skip(1)
    bench.step(1000)
    bench.skip(-2)
    bench.finish()
    history = bench.source.history
    began = bench.source.started_at
    assert history.first_time_of(0.25) == pytest.approx(began + 0.25)
    assert history.first_time_of(6000 / 8000) == pytest.approx(began + 4080 / 8000)
    assert history.first_time_of(5000 / 8000) == pytest.approx(began + (4080 + 920 + 80 + 5000) / 8000)
    assert history.first_time_of(99.0) is None


CONTROLS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5000)),
        st.tuples(st.just("step"), st.integers(1, 1500)),
        st.tuples(st.just("late"), st.integers(1, 300)),
        st.tuples(st.just("pause"), st.just(0)),
        st.tuples(st.just("resume"), st.just(0)),
        st.tuples(st.just("skip"), st.integers(-3, 3)),
        st.tuples(st.just("render"), st.just(0)),
    ),
    max_size=40,
)


@given(CONTROLS, st.sampled_from([0.0, 0.02]), st.sampled_from([0.1, 30.0]))
def test_any_controls_pull_exactly_the_expected_frames(actions, needed, ring):
    before = feeder.RING_SECONDS
    feeder.RING_SECONDS = ring
    try:
        bench = Bench(needed=needed)
        for action, count in actions:
            if action == "write":
                bench.write(count)
            elif action in ("step", "late"):
                bench.step(count, underflow=action == "late")
            elif action in ("pause", "resume"):
                bench.feeder.pause(is_paused=action == "pause")
            elif action == "skip":
                bench.skip(count)
            else:
                bench.feeder.set_volume(1.0)
                bench.applied()
        bench.finish()
    finally:
        feeder.RING_SECONDS = before
    spans = bench.spans()
    assert bench.pulled() == frames_of(spans)
    assert spans[-1][1] == END
    for (_, left), (landed, _) in pairwise(spans):
        assert landed in {*STARTS, END, left}
    source = bench.source
    total = source.paused_seconds + source.underrun_seconds + sum(end - start for start, end in spans) / 8000
    if source.started_at is not None and len(spans) == 1:
        assert source.ended_at - source.started_at == pytest.approx(total, abs=0.011 * (1 + source.underflow_count))
