"""SinkSource: every frame is pulled once, ramps are only in the gaps, and the counters match what was pulled."""

import itertools
import struct
import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.null_sink import NullSink
from support.player import MONO, numbered
from support.threads import in_thread
from voice_cli.audio import AudioFormat
from voice_cli.playback.history import KEPT_EVENTS
from voice_cli.playback.ring_buffer import NEVER
from voice_cli.playback.sink_source import Gap, SinkSource

LATENCY = 0.02
RAMP = 40
"""Frames of a ramp, at 8 kHz: 5 ms."""


class Bench:
    """A source that a null sink pulls from."""

    def __init__(self, audio_format=MONO, capacity=10.0):
        self.format = audio_format
        self.sink = NullSink(latency=LATENCY)
        self.sink.open(audio_format)
        self.source = SinkSource(audio_format, capacity)
        self.sink.start(self.source.pull)

    def step(self, frames, **options):
        """Pull one block and return its samples."""
        return samples(self.sink.step(frames, **options))

    @property
    def heard(self):
        return samples(self.sink.heard)

    def at(self, frame):
        """Return the time at which that frame since the start leaves the device."""
        return pytest.approx(LATENCY + frame / self.format.rate)


def samples(data):
    return list(memoryview(bytes(data)).cast("h")) if data else []


def numbers(frames, first=1):
    return samples(numbered(frames, first=first))


def test_all_audio_is_heard_with_a_fast_device_clock():
    source = SinkSource(MONO, 10.0)
    source.write(numbered(8000))
    source.open_gate()
    source.finish()
    now = 100.0
    while source.ended_at is None:
        source.pull(memoryview(bytearray(160)), now, False)
        now += 0.0099  # 80 frames at 8 kHz are 10 ms
    assert source.heard(source.ended_at) == 1.0


@pytest.mark.parametrize(("later", "moved"), [(0.0, 0.0), (0.005, 0.005), (-0.005, 0.0)])
def test_a_pull_after_the_end_may_move_the_end_back_but_not_forward(later, moved):
    source = SinkSource(MONO, 10.0)
    source.write(numbered(120))
    source.open_gate()
    source.finish()
    for block in range(2):
        source.pull(memoryview(bytearray(160)), 100.0 + block * 0.01, False)
    assert source.ended_at == pytest.approx(100.015)
    source.pull(memoryview(bytearray(160)), 100.02 + later, False)
    source.pull(memoryview(bytearray(160)), 100.03, False)
    assert source.ended_at == pytest.approx(100.015 + moved)


def test_an_end_that_was_heard_before_it_was_known_stays_where_it_is():
    source = SinkSource(MONO, 10.0)
    source.write(numbered(120))
    source.open_gate()
    for block in range(5):
        source.pull(memoryview(bytearray(160)), 100.0 + block * 0.01, False)
    source.finish()
    for block in range(5, 8):
        source.pull(memoryview(bytearray(160)), 100.0 + block * 0.01, False)
    assert source.ended_at == pytest.approx(100.015)


def test_the_gate_is_closed_until_open_gate():
    bench = Bench()
    assert not bench.source.is_open
    bench.source.write(numbered(800))
    assert bench.step(800) == [0] * 800
    assert bench.source.position == 0
    assert bench.source.started_at is None
    bench.source.open_gate()
    assert bench.source.is_open
    assert bench.step(100) == numbers(100)


def test_the_first_frame_is_pulled_after_the_gate_opens():
    bench = Bench()
    assert bench.step(64) == [0] * 64
    bench.source.write(numbered(100))
    assert bench.step(10) == [0] * 10
    bench.source.open_gate()
    assert bench.step(10) == numbers(10)
    assert bench.source.started_at == bench.at(74)


def test_finish_plays_a_rest_shorter_than_a_block():
    bench = Bench()
    bench.source.write(numbered(3))
    bench.source.finish()
    assert bench.step(10) == [1, 2, 3, 0, 0, 0, 0, 0, 0, 0]
    assert bench.source.ended_at == bench.at(3)
    assert bench.source.underrun_count == 0
    assert bench.step(10) == [0] * 10
    assert bench.source.ended_at == bench.at(3)


@pytest.mark.parametrize("frames", [0, 10, 20, 25])
def test_ended_at_is_when_the_last_frame_has_played(frames):
    bench = Bench()
    bench.source.write(numbered(frames))
    bench.source.finish()
    for _ in range(4):
        bench.step(10)
    assert bench.source.position == frames
    assert bench.source.ended_at == bench.at(frames)
    assert bench.source.underrun_count == 0


def test_finish_after_the_last_pull_is_not_an_underrun():
    bench = Bench()
    bench.source.write(numbered(20))
    bench.source.open_gate()
    assert bench.step(20) == numbers(20)
    bench.source.finish()
    assert bench.step(20) == [0] * 20
    assert bench.source.ended_at == bench.at(20)
    assert bench.source.underrun_count == 0


def test_finish_during_a_pull_is_not_missed(monkeypatch):
    bench = Bench()
    bench.source.write(numbered(20))
    bench.source.open_gate()
    read_into = bench.source.latest.read_into

    def read_and_finish(out):
        count = read_into(out)
        bench.source.write(numbered(5, first=21))
        bench.source.finish()
        return count

    with monkeypatch.context() as patch:
        patch.setattr(bench.source.latest, "read_into", read_and_finish)
        bench.step(30)
    heard = bench.step(3 * RAMP)
    down = RAMP - 10  # the rest of the falling ramp
    assert heard[down + RAMP : down + RAMP + 5] == numbers(5, first=21)
    assert bench.source.ended_at is not None


def test_empty_ring_before_finish_is_not_an_underrun():
    bench = Bench()
    bench.source.write(numbered(20))
    bench.source.open_gate()
    bench.step(30)
    assert not bench.source.is_open
    bench.step(400)
    bench.source.finish()
    bench.step(400)
    assert bench.source.ended_at == bench.at(20)
    assert (bench.source.underrun_count, bench.source.underrun_seconds) == (0, 0.0)


def test_an_empty_ring_closes_the_gate_and_the_gap_has_ramps():
    bench = Bench()
    loud = struct.pack("<h", 8200)
    bench.source.write(loud * 100)
    bench.source.open_gate()
    bench.step(160)
    assert not bench.source.is_open
    bench.source.write(loud * 50)
    assert bench.step(100) == [0] * 100, "the gate is closed while the pump buffers"
    bench.source.open_gate()
    bench.step(150)
    heard = bench.heard
    down = [8200 * i // (RAMP + 1) for i in range(RAMP, 0, -1)]
    assert heard[:100] == [8200] * 100
    assert heard[100 : 100 + RAMP] == down
    assert heard[100 + RAMP : 260] == [0] * (160 - RAMP)
    assert heard[260 : 260 + RAMP] == down[::-1]
    assert heard[260 + RAMP : 260 + RAMP + 50] == [8200] * 50
    (gap,) = bench.source.underruns
    assert gap.frame == 100
    assert gap.seconds == pytest.approx((160 + RAMP) / 8000)
    assert bench.source.underrun_count == 1
    assert bench.source.underrun_seconds == gap.seconds


def test_each_channel_has_its_own_ramp():
    stereo = AudioFormat(8000, 2)
    bench = Bench(stereo)
    bench.source.write(struct.pack("<2h", 4100, -8200) * 10)
    bench.source.open_gate()
    heard = bench.step(60)
    assert heard[20:22] == [4000, -8000]
    left, right = heard[20:100:2], heard[21:100:2]
    assert left == sorted(left, reverse=True)
    assert right == sorted(right)
    assert heard[100:] == [0] * 20


def test_open_gate_may_be_called_again():
    bench = Bench()
    bench.source.write(numbered(10))
    bench.source.open_gate()
    bench.step(5)
    bench.source.open_gate()
    assert bench.step(5) == numbers(5, first=6)


def test_a_full_ring_takes_the_whole_frames_that_fit():
    source = SinkSource(AudioFormat(8000, 2), 0.01)
    assert source.write(numbered(70, 2)) == 80 * 4 - 10 * 4
    assert source.write(numbered(70, 2)) == 40
    assert source.write(numbered(70, 2)) == 0
    assert source.buffered == pytest.approx(0.01)


def test_time_of_works_across_gaps():
    bench = Bench()
    bench.source.write(numbered(100))
    bench.source.open_gate()
    bench.step(400)
    bench.source.write(numbered(100, first=101))
    bench.source.open_gate()
    bench.step(200)
    source = bench.source
    heard = bench.heard
    for frame in (0, 1, 99, 100, 101, 159):
        assert source.history.time_of(frame) == bench.at(heard.index(frame + 1, (frame > 99) * 440)), frame
    assert source.position == 200
    assert source.history.time_of(199) is not None
    assert source.history.time_of(200) is None
    assert SinkSource(MONO, 1.0).history.time_of(0) is None
    assert SinkSource(MONO, 1.0).history.time_of(-1) is None


def test_underflows_are_counted_only_while_speech_plays():
    bench = Bench()
    bench.step(64, underflow=True)
    assert bench.source.underflow_count == 0, "playback has not started"
    bench.source.write(numbered(300))
    bench.source.open_gate()
    bench.step(100)
    bench.sink.now += 0.25
    bench.step(100, underflow=True)
    bench.step(50, underflow=True)
    assert bench.source.underflow_count == 2
    assert bench.source.underflow_seconds == pytest.approx(0.25)
    assert [gap.frame for gap in bench.source.underflows] == [100, 200]
    assert [gap.seconds for gap in bench.source.underflows] == pytest.approx([0.25, 0.0])
    assert bench.source.underrun_count == 0
    bench.source.finish()
    bench.step(100)
    bench.step(100, underflow=True)
    assert bench.source.underflow_count == 2, "playback has ended"


def test_a_block_that_the_device_discarded_is_played_again():
    """PortAudio on PulseAudio restarts an empty stream without the block that was written last."""
    bench = Bench()
    bench.source.write(numbered(400))
    bench.source.open_gate()
    bench.step(100)
    bench.sink.now += 0.05  # an underflow: the next block is late
    assert bench.step(100) == numbers(100, first=101)
    bench.sink.now -= 0.01
    assert bench.step(60, underflow=True) == numbers(60, first=101), "the clock went back, so the block was discarded"
    assert bench.step(60) == numbers(60, first=161)
    assert bench.source.position == 220
    (gap,) = bench.source.underflows
    assert gap == pytest.approx((100, 0.04 + 100 / 8000, 100 / 8000))
    assert bench.source.history.time_of(99) == pytest.approx(LATENCY + 99 / 8000)
    assert bench.source.history.time_of(100) == pytest.approx(LATENCY + 0.04 + 200 / 8000)


def test_a_block_discarded_twice_is_played_a_third_time():
    bench = Bench()
    bench.source.write(numbered(150))
    bench.source.open_gate()
    bench.source.finish()
    bench.step(50)
    bench.step(50)
    for _ in range(2):
        bench.sink.now -= 0.005
        assert bench.step(50, underflow=True) == numbers(50, first=51)
    assert bench.step(80) == numbers(50, first=101) + [0] * 30
    assert bench.source.position == 150
    assert bench.source.underflow_count == 2


def test_a_discarded_block_is_played_again_though_the_clock_went_on():
    bench = Bench()
    bench.source.write(numbered(300))
    bench.source.open_gate()
    bench.step(100)
    assert bench.step(100) == numbers(100, first=101)
    bench.sink.now += 0.03
    assert bench.step(60, underflow=True, discarded=True) == numbers(60, first=101)
    assert bench.step(60) == numbers(60, first=161)
    assert bench.source.position == 220
    (gap,) = bench.source.underflows
    assert gap.seconds == pytest.approx(0.03 + 100 / 8000)


def test_the_last_block_is_played_again_if_it_was_discarded():
    bench = Bench()
    bench.source.write(numbered(150))
    bench.source.open_gate()
    bench.source.finish()
    bench.step(100)
    assert bench.step(100) == numbers(50, first=101) + [0] * 50
    assert bench.source.ended_at is not None
    assert bench.step(40, underflow=True, discarded=True) == numbers(40, first=101)
    assert bench.source.ended_at is None
    assert bench.step(100) == numbers(10, first=141) + [0] * 90
    assert bench.source.ended_at == bench.at(240 + 10)
    assert bench.step(100, underflow=True, discarded=True) == numbers(10, first=141) + [0] * 90
    bench.step(100)
    assert bench.step(100, underflow=True, discarded=True) == [0] * 100, "the discarded block was silent"
    assert (bench.source.position, bench.source.underflow_count) == (150, 2)


def test_a_block_before_an_underrun_is_played_again_after_it():
    bench = Bench()
    bench.source.write(numbered(150))
    bench.source.open_gate()
    bench.step(100)
    bench.step(100)  # 50 frames, and the ramp after them
    assert bench.step(100, underflow=True, discarded=True) == [0] * 100
    bench.source.write(numbered(50, first=151))
    bench.source.open_gate()
    heard = bench.step(300)
    assert heard[RAMP : RAMP + 100] == numbers(100, first=101)
    assert (bench.source.underrun_count, bench.source.underflow_count) == (1, 0)


def test_an_underflow_without_a_discarded_block_repeats_nothing():
    bench = Bench()
    bench.source.write(numbered(300))
    bench.source.open_gate()
    bench.step(100)
    bench.sink.now -= 0.001  # the clock is imprecise
    assert bench.step(100, underflow=True) == numbers(100, first=101)
    bench.sink.now += 0.03
    assert bench.step(100, underflow=True) == numbers(100, first=201)
    assert bench.source.underflow_seconds == pytest.approx(0.03)


def test_pulls_are_counted():
    bench = Bench()
    for _ in range(3):
        bench.step(10)
    assert bench.source.pulls == 3


def test_gate_opened_during_a_pull_opens_for_the_next():
    """Otherwise the rising ramp would be inside the speech."""
    bench = Bench()
    source, play_ramp = bench.source, bench.source._play_ramp
    source.write(numbered(100))
    source.open_gate()
    bench.step(300)
    source.write(numbered(200, first=101))

    def open_meanwhile(out):
        count = play_ramp(out)
        source.open_gate()
        return count

    source._play_ramp = open_meanwhile
    assert bench.step(50) == [0] * 50
    bench.step(RAMP)
    assert bench.step(50) == numbers(50, first=101)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 300)),
        st.tuples(st.just("open"), st.just(0)),
        st.tuples(st.just("step"), st.integers(0, 300)),
        st.tuples(st.just("late"), st.integers(0, 300)),
    ),
    max_size=60,
)


@given(STEPS, st.sampled_from([MONO, AudioFormat(8000, 2), AudioFormat(11025, 1)]))
def test_every_frame_is_played_once_and_the_counters_match(steps, audio_format):
    bench = Bench(audio_format, capacity=0.06)
    source, channels = bench.source, audio_format.channels
    written = b""
    next_frame = 1
    for action, count in steps:
        if action == "write":
            data = numbered(count, channels, first=next_frame)
            data = data[: source.write(data)]
            written += data
            next_frame += len(data) // audio_format.frame_bytes
        elif action == "open":
            source.open_gate()
        else:
            bench.sink.step(count, underflow=action == "late")
    source.finish()
    while source.ended_at is None:
        bench.sink.step(50)
    assert source.position == len(written) // audio_format.frame_bytes
    assert (source.started_at is None) == (not written)
    if not written:
        assert not any(bench.sink.heard)
        return
    assert speech_and_gaps(bench) == written
    last = source.history.time_of(source.position - 1)
    assert source.ended_at == pytest.approx(last + 1 / audio_format.rate)
    assert source.underrun_count == len(source.underruns)
    assert source.underrun_seconds == pytest.approx(sum(gap.seconds for gap in source.underruns))


def speech_and_gaps(bench):
    """Return the audio without the recorded gaps; check that the gaps are quiet."""
    source, size, rate = bench.source, bench.format.frame_bytes, bench.format.rate
    at = round((source.started_at - LATENCY) * rate) * size
    assert not any(bench.sink.heard[:at])
    speech = b""
    for before, gap in itertools.pairwise([Gap(0, 0.0, 0.0), *source.underruns, Gap(source.position, 0.0, 0.0)]):
        length = (gap.frame - before.frame) * size
        speech += bench.sink.heard[at : at + length]
        at += length
        hole = round(gap.seconds * rate) * size
        edges = samples(speech[-size:]) + samples(bench.sink.heard[at + hole : at + hole + size])
        assert max(map(abs, samples(bench.sink.heard[at : at + hole])), default=0) <= max(map(abs, edges))
        at += hole
    # The last falling ramp is in no gap: the ring was empty before `finish`.
    tail = samples(bench.sink.heard[at:])
    assert not any(tail[RAMP * 2 * bench.format.channels :])
    return speech


def test_writing_and_pulling_on_two_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    bench = Bench(capacity=0.05)
    sent = numbered(20_000)

    def write():
        at = 0
        while at < len(sent):
            at += bench.source.write(sent[at : at + 2 * 77])
            bench.source.open_gate()
        bench.source.finish()

    try:
        writing = in_thread(write)
        while bench.source.ended_at is None:
            bench.sink.step(160)
    finally:
        sys.setswitchinterval(interval)
    assert writing() is None
    assert bench.source.position == 20_000
    assert speech_without_gaps(bench) == sent


def speech_without_gaps(bench):
    source = bench.source
    at = round((source.started_at - LATENCY) * 8000)
    out, position = [], 0
    heard = bench.heard
    for gap in [*source.underruns, Gap(source.position, 0.0, 0.0)]:
        out += heard[at : at + gap.frame - position]
        at += gap.frame - position + round(gap.seconds * 8000)
        position = gap.frame
    return struct.pack(f"<{len(out)}h", *out)


def pulls_of(kind):
    """Return a function that does one kind of pull."""
    bench = Bench(capacity=1.0)
    out = memoryview(bytearray(320))
    data = numbered(160)
    clock = itertools.count()
    source = bench.source

    def pull():
        if kind == "silence":
            source.pull(out, next(clock) * 0.02)
            return
        if kind == "holes":
            source.write(data[:100])
        else:
            source.write(data)
        source.open_gate()
        source.pull(out, next(clock) * 0.02, kind == "underflows")

    return pull


@pytest.mark.parametrize("kind", ["silence", "speech", "underflows", "holes"])
def test_many_pulls_allocate_nothing_that_stays(kind):
    pull = pulls_of(kind)
    for _ in range(3 * KEPT_EVENTS):
        pull()
    tracemalloc.start()
    try:
        pull()
        before = held_by_us()
        for _ in range(4 * KEPT_EVENTS):
            pull()
        after = held_by_us()
    finally:
        tracemalloc.stop()
    # Each recorded event replaces an older one.
    assert after - before < 200 * KEPT_EVENTS
    if kind in ("silence", "speech"):
        assert after - before < 2000


def held_by_us():
    """Return the bytes that the package has allocated; threads of other tests may be running."""
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/voice_cli/*")])
    return sum(statistic.size for statistic in ours.statistics("filename"))


def test_playback_stops_at_the_hold_point_and_continues_there():
    bench = Bench()
    source = bench.source
    source.write(numbered(400))
    source.latest.hold = 2 * 120
    source.open_gate()
    assert bench.step(100) == numbers(100)
    assert bench.step(100)[:20] == numbers(20, first=101)
    assert (source.position, source.is_open, source.is_dry) == (120, False, True)
    source.latest.hold = NEVER
    source.open_gate()
    assert bench.step(100)[RAMP:] == numbers(100 - RAMP, first=121)
    (gap,) = source.underruns
    assert (gap.frame, gap.position) == (120, 120 / 8000)
    assert (source.underrun_count, source.rebuffer_count) == (1, 1)
    assert source.rebuffer_seconds == source.underrun_seconds == gap.seconds


def test_a_hold_point_that_playback_has_passed_has_no_effect():
    bench = Bench()
    bench.source.write(numbered(400))
    bench.source.open_gate()
    bench.step(100)
    bench.source.latest.hold = 2 * 60
    assert bench.step(100) == numbers(100, first=101)
    bench.step(300)
    assert (bench.source.underrun_count, bench.source.rebuffer_count, bench.source.is_dry) == (0, 0, True)
