"""What was pulled and not heard is played again after the device is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.player import MONO, numbered
from voice_cli.playback.history import History
from voice_cli.playback.ring_buffer import LastBytes, Segment
from voice_cli.playback.sink_source import KEPT_SECONDS, SinkSource

LATENCY = 0.05


def a_source(seconds=1.0):
    source = SinkSource(MONO, 4.0)
    source.write(numbered(MONO.frames(seconds)))
    source.open_gate()
    return source


def pull(source, now, frames=80, *, underflow=False, latency=LATENCY):
    out = bytearray(2 * frames)
    source.pull(memoryview(out), now + latency, underflow)
    return bytes(out)


def pull_from(source, now, count, **options):
    """Pull that many blocks of 10 ms, and return them and the time of the last pull."""
    data = b"".join(pull(source, now + 0.01 * i, **options) for i in range(count))
    return data, now + 0.01 * (count - 1)


def frames_of(pcm):
    return list(memoryview(pcm).cast("h"))


@given(st.integers(1, 60), st.floats(0, 0.2), st.floats(0, 0.05))
def test_no_frame_is_lost_and_at_most_those_in_the_device_are_repeated(blocks, latency, margin):
    source = a_source()
    _, last_pull = pull_from(source, 0.0, blocks, latency=latency)
    pulled = 80 * blocks
    heard = max(0, min(pulled, int((last_pull - latency) * 8000 + 1e-6)))
    seconds = source.take_back(last_pull, margin)
    assert source.position == pulled - round(seconds * 8000)
    # The frame that is due is at most one after the last that was heard, and at most the margin before it.
    assert heard - MONO.frames(margin) - 2 <= source.position <= heard + 1
    source.finish()  # else a falling ramp would follow
    again, _ = pull_from(source, 10.0, 102, latency=latency)
    sounding = [value for value in frames_of(again) if value]
    assert source.history.seconds == 1.0
    expected = frames_of(numbered(8000))[pulled - round(seconds * 8000) :]
    assert sounding[-len(expected) :] == expected
    assert len(sounding) <= len(expected) + 40, "besides them, there is a ramp only"


def test_frames_that_were_taken_back_twice_are_played_once_more():
    source = a_source()
    pull_from(source, 0.0, 20)
    source.take_back(0.19, 0.0)
    due = source.position
    pull(source, 5.0)
    source.take_back(5.0, 0.0)
    assert source.position == due
    out, _ = pull_from(source, 6.0, 30)
    assert numbered(8000 - due, first=due + 1)[:1000] in out


def test_a_block_that_the_device_discarded_is_not_queued_twice():
    source = a_source()
    pull_from(source, 0.0, 20)
    pull(source, 0.18, underflow=True)  # the block before is played again
    assert source.position == 20 * 80
    source.take_back(0.18, 0.0)
    due = source.position
    out, _ = pull_from(source, 6.0, 100)
    assert numbered(8000 - due, first=due + 1) in out
    assert out.count(numbered(80, first=1601)) == 1


def test_what_was_played_before_a_jump_is_not_played_after_it():
    source = a_source()
    pull_from(source, 0.0, 20)
    segment = Segment(16000, start=4000, jump=1)
    segment.write(numbered(4000, first=4001))
    segment.is_open = True
    source.latest = segment
    pull(source, 0.2)
    source.take_back(0.2, 1.0)
    out, _ = pull_from(source, 6.0, 10)
    assert min(value for value in frames_of(out)[40:] if value) > 4000


def test_nothing_is_taken_back_before_the_first_frame():
    source = SinkSource(MONO, 1.0)
    pull(source, 0.0)
    assert source.take_back(0.0, 0.01) == 0.0
    assert source.started_at is None


def test_a_device_that_was_lost_before_its_first_frame_starts_anew():
    source = a_source()
    pull(source, 0.0)
    source.take_back(0.0, 0.01)
    assert (source.started_at, source.position) == (None, 0)
    out = pull(source, 3.0)
    assert out == numbered(80), "without a ramp"
    assert source.started_at == 3.0 + LATENCY


def test_the_end_is_played_again():
    source = a_source(0.1)
    source.finish()
    pull_from(source, 0.0, 11)
    assert source.ended_at is not None
    source.take_back(0.1, 0.0)
    assert source.ended_at is None
    out, _ = pull_from(source, 5.0, 10)
    assert out.count(numbered(400, first=401)) == 1
    assert source.ended_at == pytest.approx(5.0 + LATENCY + 0.05 + 0.005)
    assert source.heard(9.0) == 0.1


def test_the_position_stays_while_there_is_no_device():
    source = a_source()
    _, now = pull_from(source, 0.0, 20)
    before = source.heard(now)
    source.take_back(now, 0.01)
    assert source.heard(now + 5.0) == pytest.approx(before, abs=0.0101)
    assert source.spans(now + 5.0) == [(0.0, source.heard(now + 5.0))]


def test_runs_that_were_taken_back_are_forgotten():
    history = History(8000)
    for first in range(0, 400, 100):
        history.begin_run(first / 8000)
        history.position += 100
    history.take_back(250)
    assert history.position == 150
    history.begin_run(9.0)
    history.position += 250
    assert [(stretch.start, stretch.end) for stretch in history.stretches()] == [
        (0.0, 100 / 8000),
        (100 / 8000, 150 / 8000),
        (150 / 8000, 400 / 8000),
    ]
    assert history.position_at(0.0) == 0
    assert history.position_at(0.02) == 150


@given(st.lists(st.binary(max_size=20)), st.integers(0, 30))
def test_the_last_bytes_are_kept(chunks, count):
    kept = LastBytes(16)
    for chunk in chunks:
        kept.append(memoryview(chunk))
    whole = b"".join(chunks)[-16:]
    assert kept.take(count) == (whole[-count:] if count else b"")
    assert kept.readable == 0


@given(st.binary(max_size=20), st.integers(0, 30))
def test_the_newest_bytes_can_be_removed(data, count):
    kept = LastBytes(16)
    kept.append(memoryview(data))
    kept.remove(count)
    kept.append(memoryview(b"x"))
    held = data[-16:]
    assert kept.take(16) == (held[: max(0, len(held) - count)] + b"x")[-16:]


def test_no_more_is_kept_than_a_second():
    source = a_source(4.0)
    pull_from(source, 0.0, 300, latency=100.0)
    assert source.take_back(3.0, 0.0) == KEPT_SECONDS
