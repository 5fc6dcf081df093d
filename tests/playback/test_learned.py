"""What went wrong with a device or a backend is held against the next run, and forgiven after a while."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.playback.learned import (
    CLEAN_RUNS,
    LEAST_HEAD_START,
    MOST_HEAD_START,
    MOST_LATENCY,
    RUNS,
    Learned,
    state_path,
)
from voice_cli.playback.sinks.device import LATENCY
from voice_cli.playback.timeline import PlaybackMetrics

CLEAN = PlaybackMetrics(audio_ms=3000.0, underruns=0, underrun_ms=0.0, device_underflows=0)
UNDERFLOWED = PlaybackMetrics(audio_ms=3000.0, underruns=0, underrun_ms=0.0, device_underflows=2)
HALTED = PlaybackMetrics(audio_ms=3000.0, underruns=1, underrun_ms=200.0, device_underflows=0)
TOO_SLOW = PlaybackMetrics(audio_ms=3000.0, underruns=7, underrun_ms=900.0, device_underflows=0)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "state" / "learned.json")


@pytest.fixture
def run(path):
    """Run once with a device and a backend, and give what the next run knows."""

    def run_once(metrics, device=None, backend="espeak"):
        Learned(device, backend, path).note(metrics)
        return Learned(device, backend, path)

    return run_once


def known_in(path):
    with open(path) as file:
        return json.load(file)


def test_what_never_failed_is_not_written_down(run, path, tmp_path):
    known = run(CLEAN)
    assert (known.latency, known.head_start) == (LATENCY, 0.0)
    assert not list(tmp_path.rglob("*"))


def test_a_device_that_underflowed_holds_more_and_no_other_does(run, path):
    assert LATENCY < run(UNDERFLOWED, "USB").latency < run(UNDERFLOWED, "USB").latency
    assert Learned(None, "espeak", path).latency == LATENCY
    for _ in range(20):
        known = run(UNDERFLOWED, "USB")
    assert known.latency == MOST_LATENCY


def test_after_many_clean_runs_it_holds_less_until_it_is_forgotten(run, path):
    once = run(UNDERFLOWED).latency
    for _ in range(CLEAN_RUNS - 1):
        assert run(CLEAN).latency == once
    assert run(CLEAN).latency < once
    for _ in range(5 * CLEAN_RUNS):
        run(CLEAN)
    assert known_in(path) == {}


def test_a_word_says_nothing_of_a_device(run):
    once = run(UNDERFLOWED).latency
    for _ in range(2 * CLEAN_RUNS):
        known = run(PlaybackMetrics(audio_ms=300.0, underruns=0, device_underflows=0))
    assert known.latency == once


def test_one_halt_may_be_an_accident_and_two_are_none(run):
    assert run(HALTED, backend="far").head_start == 0
    assert run(HALTED, backend="far").head_start == LEAST_HEAD_START
    assert run(CLEAN, backend="near").head_start == 0


def test_what_does_not_do_is_doubled_up_to_a_bound(run):
    starts = [run(HALTED).head_start for _ in range(3 * RUNS)]
    assert starts == sorted(starts)
    assert starts[-1] == MOST_HEAD_START


def test_a_backend_that_came_round_gets_no_head_start(run):
    run(HALTED), run(HALTED)
    for _ in range(8 * RUNS):
        known = run(CLEAN)
    assert known.head_start == 0


def test_no_head_start_helps_one_that_is_too_slow(run):
    for _ in range(RUNS):
        known = run(TOO_SLOW)
    assert known.head_start == 0


@settings(deadline=None)
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
def test_whatever_stands_in_the_file(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("state") / "learned.json"
    file.write_text(json.dumps(content))
    for metrics in (CLEAN, UNDERFLOWED, HALTED):
        known = Learned(None, "espeak", str(file))
        assert LATENCY <= known.latency <= MOST_LATENCY
        assert 0 <= known.head_start <= MOST_HEAD_START
        known.note(metrics)


def test_a_folder_that_cannot_be_written_is_no_trouble(tmp_path):
    (tmp_path / "file").write_text("")
    Learned(None, "espeak", str(tmp_path / "file" / "learned.json")).note(UNDERFLOWED)


def test_it_is_kept_where_programs_keep_what_they_remember(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert state_path({"XDG_STATE_HOME": "/state"}) == "/state/voice/learned.json"
