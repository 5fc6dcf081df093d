"""The controls of the player."""

import random
import sys
import threading

import pytest

from support.player import FakeStream, Rig, numbered
from support.threads import WAIT, happened, in_thread
from voice_cli.playback import feeder
from voice_cli.playback.player import Outcome, Player
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.state import State
from voice_cli.recording.recorder import Recorder
from voice_cli.speech.assembly import Speech

SIZES = (8000, 4000, 6000)
"""Frames of the utterances: 1, 0.5 and 0.75 s."""
STARTS = (0, 8000, 12_000)
END = sum(SIZES)
SENT = numbered(END)


class PcmRecorder(Recorder):
    """Keeps the PCM."""

    def __init__(self):
        self.pcm = b""

    def begin(self, codec):
        pass

    def write_encoded(self, data):
        pass

    def write_pcm(self, chunk):
        self.pcm += chunk.data

    def close(self, *, complete):
        self.complete = complete


def streams(*, end=True):
    return [
        FakeStream(SENT[2 * start : 2 * (start + size)], end=end) for start, size in zip(STARTS, SIZES, strict=True)
    ]


@pytest.fixture
def rig():
    with Rig(streams(), recorder=PcmRecorder(), prebuffer=Prebuffer(0.05)) as rig:
        rig.settle()
        yield rig
        assert rig.player._recorder.pcm == SENT, "controls do not change the recording"


def played_out(rig):
    result = rig.play_out()
    assert result.outcome is Outcome.COMPLETE
    assert result.metrics.underruns == result.metrics.device_underflows == 0
    assert result.spans[-1][1] == result.heard
    assert not [thread for thread in threading.enumerate() if thread.name == "voice-feeder"]
    return result


def frames(*spans):
    return b"".join(SENT[2 * start : 2 * end] for start, end in spans)


def seconds(*spans):
    return tuple((start / 8000, end / 8000) for start, end in spans)


def test_a_pause_keeps_every_frame_and_is_not_playback(rig):
    rig.step(0.5)
    assert not rig.player.is_paused
    rig.player.pause()
    rig.step(3.0)
    assert rig.player.is_paused
    assert rig.player.position == rig.player.heard == 0.5
    rig.player.resume()
    assert not rig.player.is_paused
    result = played_out(rig)
    assert rig.played() == SENT
    assert result.metrics.paused_ms == pytest.approx(3005)
    assert result.metrics.playback_ms == pytest.approx(1000 * END / 8000)
    assert result.metrics.chunks_played == 3
    assert result.spans == seconds((0, END))


def test_a_playback_without_a_pause_has_zero(rig):
    assert played_out(rig).metrics.paused_ms == 0


def test_a_playback_without_a_device_has_no_pause():
    quiet = Player(None)
    quiet.pause()
    quiet.skip(1)
    quiet.set_speed(2.0)
    quiet.set_volume(0.5)
    assert (quiet.is_paused, quiet.speed, quiet.volume) == (True, 2.0, 0.5)
    result = quiet.play(Speech.of(streams()))
    assert result.outcome is Outcome.COMPLETE
    assert result.metrics.paused_ms is None
    assert result.spans == seconds((0, END))


def test_a_cancelled_pause_is_measured_up_to_then(rig):
    rig.step(0.5)
    rig.player.pause()
    rig.step(2.0)
    rig.player.cancel()
    result = rig.result()
    assert result.metrics.paused_ms == pytest.approx(2000)
    assert result.metrics.playback_ms == pytest.approx(500)
    assert result.heard == 0.5


def test_a_player_may_be_paused_before_it_plays():
    with Rig([FakeStream()]) as rig:
        rig.opened()
        rig.player.pause()
        rig.give(SENT)
        rig.end()
        rig.step(1.0)
        assert not any(rig.sink.heard)
        rig.player.resume()
        result = rig.play_out()
        assert rig.played() == SENT
        assert result.metrics.paused_ms == 0


def test_skip_leaves_out_the_rest_of_an_utterance(rig):
    rig.step(0.5)
    rig.player.skip(1)
    rig.applied()
    rig.step(0.1)
    assert rig.player.position == pytest.approx(1.09)
    result = played_out(rig)
    assert rig.played() == frames((0, 4000), (8000, END))
    assert result.spans == seconds((0, 4000), (8000, END))
    assert result.heard == END / 8000
    assert result.metrics.chunks_played == 2, "the first one was not played to its end"


def test_back_plays_an_utterance_again(rig):
    rig.step(2.0)
    rig.player.skip(-1)
    rig.applied()
    result = played_out(rig)
    assert rig.played() == frames((0, 16_000), (8000, END))
    assert result.metrics.chunks_played == 3


def test_skip_to_the_end(rig):
    rig.step(0.5)
    rig.player.skip(3)
    rig.applied()
    result = played_out(rig)
    assert rig.played() == frames((0, 4000))
    assert result.heard == END / 8000
    assert result.spans == seconds((0, 4000), (END, END))


def test_skip_to_an_utterance_that_arrives_later():
    recorder = PcmRecorder()
    sent = streams(end=False)
    later = [FakeStream(), *sent[1:]]
    with Rig(later, recorder=recorder, prebuffer=Prebuffer(0.05)) as rig:
        rig.give(SENT[:8000])
        rig.step(0.25)
        rig.player.skip(1)
        rig.applied()
        rig.step(0.5)
        rig.give(SENT[8000 : 2 * 8000])
        rig.step(0.5)
        rig.streams[0].end()
        rig.settle()
        rig.applied()
        assert rig.state is State.PLAYING
        for stream in later[1:]:
            stream.end()
        result = rig.play_out()
        assert rig.played() == frames((0, 2000), (8000, END))
        assert recorder.pcm == SENT
        assert result.metrics.underruns == 0


@pytest.mark.parametrize("skips", [False, True])
def test_a_skip_does_not_shorten_the_pauses_of_the_recording(skips):
    recorder = PcmRecorder()
    first, second = FakeStream(), FakeStream()
    with Rig([first, second], recorder=recorder, prebuffer=Prebuffer(0.05), pause=0.3) as rig:
        rig.give(SENT[:8000])
        rig.step(0.25)
        if skips:
            rig.player.skip(1)
            rig.applied()
        rig.step(2.0)
        first.end()
        rig.settle()
        rig.give(SENT[16_000:24_000], stream=1)
        rig.applied()
        rig.end(stream=1)
        result = rig.play_out()
        assert recorder.pcm == SENT[:8000] + bytes(2 * 2400) + SENT[16_000:24_000]
        assert result.metrics.underruns == (0 if skips else 1)


def test_the_volume_is_live(rig):
    rig.step(0.5)
    rig.player.set_volume(0.5)
    assert rig.player.volume == 0.5
    rig.applied()
    rig.step(0.5)
    rig.player.set_volume(1.0)
    rig.applied()
    played_out(rig)
    heard = list(memoryview(rig.played()).cast("h"))
    ramp = 40
    assert heard[:4000] == list(range(1, 4001))
    assert heard[4000 + ramp : 8000] == [round(value / 2) for value in range(4001 + ramp, 8001)]
    assert heard[8000 + ramp :] == list(range(8001 + ramp, END + 1))


def test_the_speed_is_live_and_times_are_those_of_the_speech(rig):
    rig.step(0.5)
    rig.player.set_speed(2.0)
    assert rig.player.speed == 2.0
    rig.applied()
    rig.step(0.31)
    assert rig.player.position == pytest.approx(0.5 + 2 * 0.3)
    assert rig.player.heard == pytest.approx(rig.player.position - 0.02 * 2)
    result = played_out(rig)
    assert result.heard == pytest.approx(END / 8000, abs=1e-3)
    assert result.metrics.playback_ms == pytest.approx(1000 * (0.5 + (END / 8000 - 0.5) / 2 + 0.01), abs=2)


def test_controls_on_the_feeders_thread():
    """Without the test applying them."""
    with Rig(streams()) as rig:
        rig.settle()
        rig.step(0.5)
        for control in (
            lambda: rig.player.skip(1),
            lambda: rig.player.set_speed(1.5),
            lambda: rig.player.set_volume(2),
        ):
            before = rig.source.latest
            control()
            with rig._pump.feeder._changed:
                assert rig._pump.feeder._changed.wait_for(lambda before=before: rig.source.latest is not before, WAIT)
        rig.step(0.2)
        assert rig.player.position > 1.0
        assert rig.play_out().outcome is Outcome.COMPLETE


def test_an_error_of_the_feeder_ends_the_playback(monkeypatch):
    def fail(*_arguments):
        raise ZeroDivisionError

    monkeypatch.setattr(feeder, "Tempo", fail)
    with Rig(streams()) as rig:
        rig.settle()
        rig.step(0.5)
        rig.player.set_speed(1.5)
        result = rig.result()
        assert isinstance(result.error, ZeroDivisionError)
        assert result.outcome is Outcome.FAILED


def test_controls_from_many_threads():
    with Rig(streams()) as rig:
        rig.settle()
        rig.step(0.3)
        started = threading.Barrier(4)

        def press():
            started.wait(WAIT)
            for _ in range(20):
                rig.player.pause()
                rig.player.skip(1)
                rig.player.set_volume(2.0)
                rig.player.skip(-1)
                rig.player.resume()

        joins = [in_thread(press) for _ in range(4)]
        for _ in range(20):
            rig.step(0.01)
        assert [join() for join in joins] == [None] * 4
        result = rig.play_out()
        assert result.outcome is Outcome.COMPLETE
        assert result.heard == END / 8000


def test_frames_are_exact_with_controls_and_pulls_on_different_threads():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    rng = random.Random(1)
    try:
        with Rig(streams()) as rig:
            rig.settle()
            happened(rig.sink.started)
            over = threading.Event()

            def pull():
                while rig.source.ended_at is None and not over.is_set():
                    rig.sink.step(rng.randrange(1, 100))

            pulled = in_thread(pull)
            for _ in range(300):
                rng.choice(
                    (
                        rig.player.pause,
                        rig.player.resume,
                        lambda: rig.player.skip(rng.choice((-3, -2, -1, 1))),
                        lambda: rig.player.set_volume(1.0 + rig.player.volume % 2),  # 2 and 1 in turn
                    )
                )()
            rig.player.resume()
            rig.player.skip(-9)
            assert pulled() is None
            over.set()
            result = rig.play_out()
    finally:
        sys.setswitchinterval(interval)
    spans = [(round(8000 * start), round(8000 * end)) for start, end in result.spans]
    heard = memoryview(rig.played()).cast("h")
    expected = memoryview(frames(*spans)).cast("h")
    assert len(heard) == len(expected)
    assert all(frame <= value <= min(2 * frame, 32767) for value, frame in zip(heard, expected, strict=True))


def test_a_control_after_the_end_changes_nothing(rig):
    played_out(rig)
    rig.player.skip(-1)
    rig.player.set_volume(2.0)
    assert not [thread for thread in threading.enumerate() if thread.name == "voice-feeder"]
    assert rig.player.state is State.DONE


def test_without_controls_there_is_no_thread(rig):
    rig.step(0.5)
    assert rig._pump.feeder._thread is None
    played_out(rig)
    assert rig.played() == SENT


def test_cancel_in_a_pause_ends_at_once(rig):
    rig.step(0.2)
    rig.player.pause()
    rig.player.cancel()
    assert rig.result().outcome is Outcome.CANCELLED
    happened(rig.sink.closed)


def test_skips_by_steps_go_anywhere_that_is_kept_or_arrives_later():
    stream = FakeStream(SENT[:16_000])
    with Rig([stream], prebuffer=Prebuffer(0.05), step=0.5) as rig:
        rig.settle()
        rig.step(0.25)
        rig.player.skip(1)
        rig.settle()
        rig.step(0.125)
        assert rig.player.position == pytest.approx(0.875, abs=0.05)
        rig.player.skip(-1)
        rig.settle()
        rig.step(0.125)
        assert rig.player.position == pytest.approx(0.5, abs=0.05)
        rig.player.skip(2)  # to 1.5 s: it has not arrived
        rig.settle()
        rig.step(0.25)
        stream.give(SENT[16_000:])
        stream.end()
        rig.settle()
        result = rig.play_out()
    assert result.outcome is Outcome.COMPLETE
    start, end = result.spans[-1]
    assert (start, end) == (pytest.approx(1.5, abs=0.05), END / 8000)
    assert rig.played().endswith(SENT[2 * (round(8000 * start) + 40) :])  # after the ramp


def test_skips_go_to_the_marks_of_a_stream():
    stream = FakeStream(SENT, end=True)
    stream.marks = (0.0, 0.25, 1.0, 9.0)
    with Rig([stream], prebuffer=Prebuffer(0.05)) as rig:
        rig.settle()
        rig.step(0.1)
        rig.player.skip(2)
        rig.settle()
        rig.step(0.1)
        rig.player.skip(-1)  # less than a second of the mark was played: to the one before
        rig.settle()
        result = rig.play_out()
    assert result.outcome is Outcome.COMPLETE
    starts = [start for start, _ in result.spans]
    assert starts == [0.0, 1.0, 0.25]
