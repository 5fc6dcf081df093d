"""The curve of received and played audio."""

import pytest

from support.null_sink import NullSink
from support.player import MONO, FakeStream, Rig, numbered
from voice_cli.playback.curve import curve, underflows, underruns
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.timeline import Timeline


def played(*steps):
    """Return a source at 8 kHz without latency: bytes are written, numbers are frames to pull."""
    source = SinkSource(MONO, 10.0)
    sink = NullSink(latency=0.0)
    sink.open(MONO)
    sink.start(source.pull)
    for step in steps:
        if isinstance(step, bytes):
            source.write(step)
            source.open_gate()
        else:
            sink.step(step)
    source.finish()
    sink.step(8)
    return source


def near(points):
    return [pytest.approx(point, abs=1e-6) for point in points]


def test_heard_is_linear_and_received_has_steps():
    source = played(numbered(800), 400, numbered(800), 2000)
    points = curve([(0.0, 0.1), (0.05, 0.2)], source)
    assert points == near([(0.0, 0.1, 0.0), (0.05, 0.2, 0.05), (0.2, 0.2, 0.2)])
    assert not underruns(source)


def test_heard_is_level_during_an_underrun():
    source = played(numbered(800), 2400, numbered(800), 1600)
    (hole,) = underruns(source)
    # Empty after 100 ms; the device pulled 300 ms, then 5 ms for the rising ramp.
    assert hole == pytest.approx((0.1, 0.2 + 0.005, 0.1), abs=1e-6)
    heard = [(point.at, point.heard) for point in curve([(0.0, 0.1), (0.3, 0.2)], source)]
    assert (hole.at, 0.1) in near(heard)
    assert (hole.at + hole.seconds, 0.1) in near(heard)
    assert heard[-1] == pytest.approx((0.405, 0.2))


def test_an_underflow_begins_where_the_device_ran_out_of_data():
    source = SinkSource(MONO, 10.0)
    source.write(numbered(1600))
    source.open_gate()
    source.pull(memoryview(bytearray(1600)), 0.0)
    source.pull(memoryview(bytearray(1600)), 0.13, underflow=True)
    (hole,) = underflows(source)
    assert hole == pytest.approx((0.1, 0.03, 0.1))


def test_without_a_device_there_is_only_received_audio():
    assert curve([(1.0, 0.5)], None) == [(1.0, 0.5, None)]
    assert curve([], None) == []
    assert curve([(1.0, 0.5)], SinkSource(MONO, 1.0)) == [(1.0, 0.5, None)]


@pytest.mark.parametrize(("timeline", "kept"), [(Timeline(), None), (Timeline(arrivals=[]), [0.05, 0.1])])
def test_the_pump_records_arrivals_only_on_request(timeline, kept):
    stream = FakeStream(numbered(400), numbered(400), end=True)
    with Rig([stream], timeline=timeline, silent=True) as rig:
        rig.settle()
    arrivals = timeline.arrivals
    assert (arrivals and [seconds for _, seconds in arrivals]) == kept
