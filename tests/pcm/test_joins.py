"""Joins: any cut gives the same frames, only silence at a join is changed, and pauses are exact to the frame."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.null_sink import NullSink
from support.player import MONO, FakeStream, Rig, numbered
from support.threads import happened
from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.pcm.joins import ONSET_SECONDS, Joins, silence
from voice_cli.pcm.levels import AUDIBLE
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.sink_source import SinkSource

STEREO = AudioFormat(8000, 2)
ONSET = MONO.frames(ONSET_SECONDS)
QUIET = AUDIBLE - 1
"""The loudest sample that counts as silence."""


def frames_of(values, audio_format=MONO):
    return np.repeat(np.asarray(values, "<i2"), audio_format.channels).tobytes()


def join(utterances, gaps, audio_format=MONO, sizes=(10**9,)):
    """Return the output for utterances with `gaps` seconds between them, cut into chunks of `sizes` frames."""
    joins, out, turn = Joins(), [], 0
    for data, gap in zip(utterances, [None, *gaps], strict=True):
        joins.begin(gap)
        at = 0
        while at < len(data):
            size = sizes[turn % len(sizes)] * audio_format.frame_bytes
            out += joins.push(PcmChunk(audio_format, data[at : at + size]))
            at, turn = at + size, turn + 1
    out += joins.finish()
    assert all(chunk.format == audio_format for chunk in out)
    return b"".join(chunk.data for chunk in out)


def test_start_and_end_of_the_speech_are_kept():
    data = frames_of([0] * 500 + [QUIET] * 20 + [9000] * 30 + [0] * 700 + [-9000] + [QUIET] * 300)
    assert join([data], []) == data


@pytest.mark.parametrize("pause", [0.0, 0.005, ONSET_SECONDS, 0.0625, 0.3, 1.0])
def test_the_pause_is_exact_to_the_frame(pause):
    one = frames_of([5000] * 40 + [0] * 2400)
    two = frames_of([0] * 800 + [6000] * 40 + [0] * 100)
    heard = np.frombuffer(join([one, two], [pause]), "<i2")
    loud = np.flatnonzero(heard)
    between = max(MONO.frames(pause), ONSET)  # the onset's silence is never removed
    np.testing.assert_array_equal(loud, [*range(40), *range(40 + between, 80 + between)])
    assert len(heard) == 80 + between + 100


def test_a_soft_onset_is_kept_and_the_silence_before_it_removed():
    one = frames_of([5000] * 10)
    soft = [QUIET] * 200
    joins = Joins()
    joins.begin(None)
    joins.push(PcmChunk(MONO, one))
    joins.begin(0.1)
    pause, kept = joins.push(PcmChunk(MONO, frames_of([*soft, 7000])))
    assert pause == silence(MONO, 0.1 - ONSET_SECONDS)
    assert kept.data == frames_of([QUIET] * ONSET + [7000])
    assert joins.lead == pytest.approx(MONO.seconds(200 - ONSET))
    assert joins.pause == pause.seconds


def test_an_onset_shorter_than_the_kept_silence():
    heard = join([frames_of([5000]), frames_of([1, 2, 7000])], [0.1])
    assert heard == frames_of([5000] + [0] * (MONO.frames(0.1) - 2) + [1, 2, 7000])


def test_silence_inside_an_utterance_is_kept():
    data = frames_of([5000] + [0] * 9000 + [5000])
    assert join([data, data], [0.0], sizes=(7, 500)) == data + data


def test_a_silent_utterance_adds_no_silence():
    loud, silent = frames_of([5000] * 9), frames_of([QUIET] * 999)
    assert join([loud, silent, loud], [0.3, 0.2]) == join([loud, loud], [0.2])


def test_the_end_of_the_last_utterance_is_returned():
    joins = Joins()
    joins.begin(None)
    assert joins.push(PcmChunk(MONO, frames_of([0] * 50))) == []
    assert b"".join(chunk.data for chunk in joins.finish()) == frames_of([0] * 50)
    assert joins.finish() == []


def test_a_frame_is_loud_when_any_of_its_channels_is():
    left = np.array([[0, 0]] * 200 + [[4000, 0]] * 3 + [[0, 0]] * 200, "<i2").tobytes()
    right = np.array([[0, 0]] * 200 + [[0, 4000]] * 3 + [[0, 0]] * 200, "<i2").tobytes()
    heard = np.frombuffer(join([left, right], [0.1], STEREO), "<i2").reshape(-1, 2)
    np.testing.assert_array_equal(np.flatnonzero(heard[:, 0]), range(200, 203))
    np.testing.assert_array_equal(np.flatnonzero(heard[:, 1]), range(1003, 1006))


RUNS = st.lists(
    st.tuples(st.sampled_from([0, 1, QUIET, -QUIET, AUDIBLE, -AUDIBLE, 9000, -32768]), st.integers(1, 150)), max_size=8
)
UTTERANCES = st.lists(RUNS, min_size=1, max_size=5)


@settings(max_examples=300)
@given(
    UTTERANCES,
    st.lists(st.sampled_from([0.0, 0.004, 0.02, 0.1]), min_size=4, max_size=4),
    st.lists(st.integers(1, 200), min_size=1, max_size=6),
    st.sampled_from([MONO, STEREO]),
)
def test_any_cut_gives_the_same_frames_and_only_silence_is_changed(runs, pauses, sizes, audio_format):
    utterances = [frames_of([value for value, count in run for _ in range(count)], audio_format) for run in runs]
    gaps = pauses[: len(utterances) - 1]
    whole = join(utterances, gaps, audio_format)
    assert join(utterances, gaps, audio_format, sizes) == whole
    assert join(utterances, gaps, audio_format, (1,)) == whole
    assert loud_of(whole) == [sample for utterance in utterances for sample in loud_of(utterance)]
    first, last = first_sound(utterances[0]), last_sound(utterances[-1])
    if first is not None:
        assert whole.startswith(utterances[0][: first * 2])
    if last is not None:
        assert whole.endswith(utterances[-1][last * 2 :])


def samples(data):
    return np.frombuffer(data, "<i2").astype(int)


def loud_of(data):
    values = samples(data)
    return values[np.abs(values) >= AUDIBLE].tolist()


def first_sound(data):
    loud = np.flatnonzero(np.abs(samples(data)) >= AUDIBLE)
    return int(loud[0]) if loud.size else None


def last_sound(data):
    loud = np.flatnonzero(np.abs(samples(data)) >= AUDIBLE)
    return int(loud[-1]) if loud.size else None


# In the source.


@pytest.mark.parametrize("expected", [True, False])
def test_waiting_for_text_is_not_an_underrun(expected):
    sink = NullSink()
    sink.open(MONO)
    feed = SinkSource(MONO, 1.0)
    sink.start(feed.pull)
    feed.write(numbered(400))
    feed.open_gate()
    assert feed.rested is None
    feed.rest(expected=expected)
    sink.step(800)
    sink.step(400)
    assert feed.is_resting == expected
    dry = 1200 - 400  # frames: all except those written
    assert feed.rested == (pytest.approx(dry / 8000) if expected else None)
    feed.rest(expected=False)
    assert feed.is_resting == expected, "an underrun stays one"
    feed.write(numbered(400))
    feed.finish()
    sink.step(800)
    assert feed.underrun_count == (0 if expected else 1)
    assert not feed.is_resting
    assert feed.rested is None
    assert feed.position == 800


def test_an_underrun_after_waiting_for_text_counts():
    sink = NullSink()
    sink.open(MONO)
    feed = SinkSource(MONO, 1.0)
    sink.start(feed.pull)
    for again in range(3):
        feed.rest(expected=not again)
        feed.write(numbered(400))
        feed.open_gate()
        sink.step(800)
    assert feed.underrun_count == 1, "the second gap has not ended"


# In the pump.


def padded(frames, before=400, after=400, first=100):
    return bytes(2 * before) + numbered(frames, first=first) + bytes(2 * after)


def test_the_pump_joins_and_reports_positions():
    streams = [FakeStream(padded(800), end=True), FakeStream(padded(400), padded(400, 0), end=True)]
    with Rig(streams, pause=0.1) as rig:
        result = rig.play_out()
    heard = samples(rig.heard())
    speech = samples(numbered(800, first=100)).tolist()
    half = samples(numbered(400, first=100)).tolist()
    assert heard.tolist() == [0] * 400 + speech + [0] * 800 + half + [0] * 400 + half + [0] * 400
    one, two = result.utterances
    # The first keeps its leading silence.
    assert (one.start, one.end, one.lead) == pytest.approx((0.0, 0.15, 0.0))
    assert (two.start, two.end, two.lead) == pytest.approx((0.24, 0.4, 0.04))
    assert (one.stream, two.stream) == tuple(streams)
    assert result.metrics.underruns == 0


@pytest.mark.parametrize("size", [2, 7 * 2, 400 * 2])
def test_positions_do_not_depend_on_the_cut(size):
    data = padded(800)
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    with Rig([FakeStream(*chunks, end=True), FakeStream(*chunks, end=True)], pause=0.1) as rig:
        result = rig.play_out()
    one, two = result.utterances
    assert (one.start, one.end, one.lead) == pytest.approx((0.0, 0.15, 0.0))
    assert (two.start, two.end, two.lead) == pytest.approx((0.24, 0.35, 0.04))


def test_a_silent_utterance_has_a_position():
    streams = [FakeStream(padded(80), end=True), FakeStream(bytes(800), end=True), FakeStream(padded(80), end=True)]
    with Rig(streams, pause=0.1) as rig:
        result = rig.play_out()
    assert [utterance.stream for utterance in result.utterances] == streams
    assert result.utterances[1].start == result.utterances[1].end


def test_buffered_audio_is_played_while_waiting_for_text():
    """Buffered audio, although less than the prebuffer, must not wait for text that is not written yet."""
    second = Late(FakeStream(padded(200), end=True), FakeStream(padded(200, before=1000), end=True))
    with Rig(second, prebuffer=Prebuffer(1.0), pause=0.1, waits_for_text=True) as rig:
        happened(second.asked)
        assert rig.source.is_open
        rig.step(2.0)
        assert rig.source.is_resting
        assert rig.source.rested > 1.0
        second.release()
        result = rig.play_out()
        assert result.metrics.underruns == 0
        loud = [sample for sample in samples(rig.sink.heard) if abs(sample) >= AUDIBLE]
        assert len(loud) >= 400


class Late:
    """Two streams, the second of which is delayed until `release`."""

    def __init__(self, first, second):
        self._first, self._second = first, second
        self._go = threading.Event()
        self.asked = threading.Event()

    def __iter__(self):
        yield self._first
        self.asked.set()
        happened(self._go)
        yield self._second

    def release(self):
        self._go.set()


def test_a_late_backend_is_an_underrun():
    streams = [FakeStream(padded(2000), end=True), FakeStream()]
    with Rig(streams, pause=0.1) as rig:
        rig.settle()
        rig.step(2.0)
        assert not rig.source.is_resting
        streams[1].give(padded(2000))
        streams[1].end()
        result = rig.play_out()
        assert result.metrics.underruns == 1


def test_utterances_of_different_formats_are_converted_to_one():
    other = AudioFormat(16000, 1)
    streams = [
        FakeStream(padded(800), end=True),
        FakeStream(padded(1600), expected=Encoding("pcm", other), announced=Encoding("pcm", other), end=True),
    ]
    with Rig(streams, pause=0.25) as rig:
        result = rig.play_out()
    assert result.utterances[1].start - result.utterances[0].end == pytest.approx(0.25 - ONSET_SECONDS, abs=0.001)
    assert len(rig.heard()) // 2 == pytest.approx(400 + 800 + 2000 + 800 + 200, abs=20)
