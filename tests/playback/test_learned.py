"""The latency and the head start of a run, learned from the runs before it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.playback.learned import (
    CLEAN_RUNS,
    MAX_HEAD_START,
    MAX_LATENCY,
    MIN_HEAD_START,
    RUNS,
    Learned,
)
from voice_cli.playback.sinks.device import LATENCY
from voice_cli.playback.timeline import PlaybackMetrics

CLEAN = PlaybackMetrics(audio_ms=3000.0, underruns=0, underrun_ms=0.0, device_underflows=0)
UNDERFLOWED = PlaybackMetrics(audio_ms=3000.0, underruns=0, underrun_ms=0.0, device_underflows=2)
UNDERRUN = PlaybackMetrics(audio_ms=3000.0, underruns=1, underrun_ms=200.0, device_underflows=0)
TOO_SLOW = PlaybackMetrics(audio_ms=3000.0, underruns=7, underrun_ms=900.0, device_underflows=0)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state" / "learned.json")


@pytest.fixture(scope="module")
def state_folder(tmp_path_factory):
    """Return one folder for all examples of a property."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def run(path):
    """Return a function that notes one run and returns what the next run reads."""

    def run_once(metrics, device=None, backend="espeak"):
        Learned(device, backend, path).note(metrics)
        return Learned(device, backend, path)

    return run_once


def known_in(path):
    with open(path) as file:
        return json.load(file)


def test_nothing_is_stored_without_failures(run, path, tmp_path):
    known = run(CLEAN)
    assert (known.latency, known.head_start) == (LATENCY, 0.0)
    assert not list(tmp_path.rglob("*"))


def test_an_underflow_raises_the_latency_of_that_device(run, path):
    assert LATENCY < run(UNDERFLOWED, "USB").latency < run(UNDERFLOWED, "USB").latency
    assert Learned(None, "espeak", path).latency == LATENCY
    for _ in range(20):
        known = run(UNDERFLOWED, "USB")
    assert known.latency == MAX_LATENCY


def test_clean_runs_reduce_the_latency_until_the_entry_is_removed(run, path):
    once = run(UNDERFLOWED).latency
    for _ in range(CLEAN_RUNS - 1):
        assert run(CLEAN).latency == once
    assert run(CLEAN).latency < once
    for _ in range(5 * CLEAN_RUNS):
        run(CLEAN)
    assert known_in(path) == {}


def test_short_speech_does_not_count_as_a_clean_run(run):
    once = run(UNDERFLOWED).latency
    for _ in range(2 * CLEAN_RUNS):
        known = run(PlaybackMetrics(audio_ms=300.0, underruns=0, device_underflows=0))
    assert known.latency == once


def test_a_second_underrun_gives_a_head_start(run):
    assert run(UNDERRUN, backend="far").head_start == 0
    assert run(UNDERRUN, backend="far").head_start == MIN_HEAD_START
    assert run(CLEAN, backend="near").head_start == 0


def test_insufficient_head_start_is_doubled_up_to_the_maximum(run):
    starts = [run(UNDERRUN).head_start for _ in range(3 * RUNS)]
    assert starts == sorted(starts)
    assert starts[-1] == MAX_HEAD_START


def test_clean_runs_end_the_head_start(run):
    run(UNDERRUN), run(UNDERRUN)
    for _ in range(8 * RUNS):
        known = run(CLEAN)
    assert known.head_start == 0


def test_a_backend_with_many_underruns_gets_no_head_start(run):
    for _ in range(RUNS):
        known = run(TOO_SLOW)
    assert known.head_start == 0


@given(
    st.recursive(
        st.none() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["devices", "backends", "default", "espeak", "latency", "needed", "clean"]), inner
            )
        ),
    )
)
def test_any_content_of_the_file_is_accepted(state_folder, content):
    file = state_folder / "learned.json"
    file.write_text(json.dumps(content))
    for metrics in (CLEAN, UNDERFLOWED, UNDERRUN):
        known = Learned(None, "espeak", str(file))
        assert LATENCY <= known.latency <= MAX_LATENCY
        assert 0 <= known.head_start <= MAX_HEAD_START
        known.note(metrics)


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path):
    (tmp_path / "file").write_text("")
    Learned(None, "espeak", str(tmp_path / "file" / "learned.json")).note(UNDERFLOWED)
