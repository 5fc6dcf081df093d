"""The metrics of a playback; None if a timestamp is missing."""

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.null_sink import NullSink
from support.player import MONO, numbered
from voice_cli import clock
from voice_cli.clock import process_start
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.timeline import TIMESTAMPS, Timeline

COUNTED = {"chunks_received": 0, "bytes_received": 0}
"""Counters that start at 0, so that 0 is a measurement."""


def timeline_of(timestamps, **counts):
    timeline = Timeline(timestamps)
    for name, value in counts.items():
        assert hasattr(timeline, name)
        setattr(timeline, name, value)
    return timeline


def test_metrics_without_measurements_are_none():
    metrics = Timeline().metrics(None)
    for name, value in metrics._asdict().items():
        if name in COUNTED:
            assert value == 0
        elif name.endswith("positions_ms"):
            assert value == ()
        else:
            assert value is None, name


def test_a_refused_request_has_no_generation_time():
    timeline = Timeline({"process_start": 1.0, "request_sent": 2.0, "last_byte": 3.0})
    metrics = timeline.metrics(None)
    assert metrics.generation_ms is None, "nothing was generated"
    assert metrics.real_time_factor is None


@given(st.sets(st.sampled_from(list(TIMESTAMPS))))
def test_a_metric_is_none_if_a_timestamp_is_missing(there):
    at = {name: float(index) for index, name in enumerate(TIMESTAMPS)}
    timeline = Timeline({name: at[name] for name in there})
    timeline.bytes_received = 1
    metrics = timeline.metrics(None)
    for figure, first, last in (
        ("ttfa_ms", "process_start", "first_audible"),
        ("ttfb_ms", "request_sent", "first_byte"),
        ("playback_ms", "started", "last_frame"),
        ("generation_ms", "request_sent", "last_byte"),
    ):
        wanted = None
        if {first, last} <= there:
            wanted = 1000.0 * (at[last] - at[first])
        assert getattr(metrics, figure) == wanted, figure


def test_definitions_of_the_metrics():
    timeline = timeline_of(
        {
            "process_start": 10.0,
            "request_sent": 10.1,
            "first_byte": 10.25,
            "last_byte": 12.1,
            "started": 10.4,
            "first_audible": 10.5,
            "last_frame": 14.4,
        },
        bytes_received=64_000,
        chunks_received=7,
        chunks_played=6,
        audio_seconds=4.0,
        audible_seconds=0.1,
        held_back_seconds=0.5,
        buffer_peak_seconds=1.25,
    )
    metrics = timeline.metrics(None)
    assert metrics.ttfa_ms == pytest.approx(500)
    assert metrics.ttfb_ms == pytest.approx(150)
    assert metrics.leading_silence_ms == pytest.approx(100)
    assert metrics.generation_ms == pytest.approx(1500), "without the back-pressure"
    assert metrics.playback_ms == pytest.approx(4000)
    assert metrics.audio_ms == 4000
    assert metrics.real_time_factor == pytest.approx(1.5 / 4)
    assert (metrics.chunks_received, metrics.chunks_played, metrics.bytes_received) == (7, 6, 64_000)
    assert metrics.buffer_peak_ms == 1250


def test_underruns_and_underflows_have_times_and_positions():
    sink = NullSink()
    sink.open(MONO)
    source = SinkSource(MONO, 10.0)
    sink.start(source.pull)
    sink.step(64)
    for at in range(2):
        source.write(numbered(800, first=1 + 800 * at))
        source.open_gate()
        sink.step(1000)
    source.write(numbered(100))
    source.open_gate()
    sink.step(100)
    sink.now += 0.5
    sink.step(20, underflow=True)
    metrics = Timeline().metrics(source)
    assert metrics.underruns == 2
    assert metrics.underrun_ms == pytest.approx(2 * (200 + 40) / 8 - 40 / 8, abs=0.01)
    assert metrics.underrun_positions_ms == (100.0, 200.0)
    assert metrics.device_underflows == 1
    assert metrics.device_underflow_ms == pytest.approx(500, abs=0.01)
    assert metrics.device_underflow_positions_ms == (207.5,)


def test_a_device_without_faults_has_zero_underruns():
    metrics = Timeline().metrics(SinkSource(MONO, 1.0))
    assert (metrics.underruns, metrics.underrun_ms) == (0, 0)
    assert (metrics.device_underflows, metrics.device_underflow_ms) == (0, 0)


def test_mark_keeps_the_first_time():
    timeline = Timeline()
    timeline.mark("first_byte", 3.0)
    timeline.mark("first_byte", 4.0)
    assert timeline.timestamps == {"first_byte": 3.0}
    before = time.monotonic()
    timeline.mark("request_sent")
    assert before <= timeline.timestamps["request_sent"] <= time.monotonic()


def test_generation_time_is_never_negative():
    timeline = timeline_of({"request_sent": 1.0, "last_byte": 1.5}, bytes_received=1, held_back_seconds=9.0)
    assert timeline.metrics(None).generation_ms == 0.0


def test_process_start_of_a_new_process():
    if sys.platform != "linux":
        pytest.skip("two processes share this clock on Linux only")
    program = "import time\nfrom voice_cli.clock import process_start\nprint(process_start(), time.monotonic())\n"
    before = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    began, now = map(float, done.stdout.split())
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert before - tick <= began <= now
    assert began < before + 0.1, "includes Python's start"


def test_process_start_is_before_the_cpu_time_used():
    assert process_start() <= time.monotonic() - time.process_time() + 0.02


@pytest.mark.parametrize("failure", ["another system", "no file", "garbage"])
def test_process_start_falls_back_to_the_cpu_time(monkeypatch, tmp_path, failure):
    if failure == "another system":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        record = tmp_path / "stat"
        if failure == "garbage":
            record.write_bytes(b"1 (x) S 1 2")
        monkeypatch.setattr(clock, "open", lambda *_: open(record, "rb"), raising=False)  # noqa: SIM115
    guess = time.monotonic() - time.process_time()
    assert process_start() == pytest.approx(guess, abs=0.05)
