"""The latency and the head start of a run, learned from the runs before it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.playback.learned import (
    CLEAN_RUNS,
    LIMITS,
    MAX_HEAD_START,
    MAX_LATENCY,
    MOST_BACKENDS,
    RUNS,
    Learned,
)
from voice_cli.playback.sinks.device import LATENCY
from voice_cli.playback.timeline import PlaybackMetrics

CLEAN = PlaybackMetrics(audio_ms=3000.0, underruns=0, underrun_ms=0.0, device_underflows=0)
UNDERFLOWED = PlaybackMetrics(audio_ms=3000.0, underruns=0, underrun_ms=0.0, device_underflows=2)


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


def arrived(rate=2.0, lag_ms=0.0, **more):
    return CLEAN._replace(arrival_rate=rate, arrival_lag_ms=lag_ms, **more)


def test_a_backend_slower_than_real_time_is_known_after_one_run(run):
    known = run(arrived(0.83, 750.0, chars_per_second=15.5), backend="slow")
    assert (known.rate, known.chars_per_second) == (0.8, 15.5)  # 3 s in 3.75 s
    assert known.head_start == 0
    other = Learned(None, "other", known._path)
    assert (other.rate, other.chars_per_second, other.head_start) == (None, None, 0.0)


def test_the_median_of_the_last_runs_ignores_outliers(run):
    for rate in (1.1, 1.0, 1.11, 90.0, 1.09):
        known = run(arrived(rate, chars_per_second=None if rate == 1.0 else 10 * rate))
    assert known.rate == 1.1
    assert known.chars_per_second == 11.0
    for _ in range(RUNS):
        known = run(arrived(0.5, 3000.0))
    assert known.rate == 0.5
    assert len(known_in(known._path)["backends"]["espeak"]) == RUNS


def test_late_audio_of_a_fast_backend_gives_a_head_start_the_second_time(run):
    assert run(arrived(2.0, 250.0)).head_start == 0
    assert run(arrived(2.0, 350.0)).head_start == pytest.approx(0.2)
    assert run(arrived(2.0, 9000.0)).head_start == pytest.approx(0.3)
    assert run(arrived(2.0, 9000.0)).head_start == MAX_HEAD_START


def test_runs_without_late_audio_end_the_head_start_and_remove_the_backend(run):
    run(arrived(2.0, 250.0)), run(arrived(2.0, 250.0))
    for _ in range(RUNS):
        known = run(arrived(2.0, 10.0))
    assert known.head_start == 0
    assert known_in(known._path) == {}


def test_the_backends_used_longest_ago_are_dropped(run):
    for number in range(MOST_BACKENDS + 3):
        known = run(arrived(1.0), backend=str(number))
    assert list(known_in(known._path)["backends"]) == [str(number) for number in range(3, MOST_BACKENDS + 3)]


@given(
    st.recursive(
        st.none() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["devices", "backends", "default", "espeak", "latency", "clean"]), inner)
            | st.lists(st.floats(allow_nan=False), min_size=4, max_size=4)
        ),
    )
)
def test_any_content_of_the_file_is_accepted(state_folder, content):
    file = state_folder / "learned.json"
    file.write_text(json.dumps(content))
    for metrics in (
        CLEAN,
        UNDERFLOWED,
        arrived(0.8, 100.0),
        arrived(2.0, 300.0),
        arrived(1e9, 1e9, chars_per_second=1e9),
    ):
        known = Learned(None, "espeak", str(file))
        assert LATENCY <= known.latency <= MAX_LATENCY
        assert 0 <= known.head_start <= MAX_HEAD_START
        assert known.rate is None or LIMITS[0][0] <= known.rate <= LIMITS[0][1]
        assert known.chars_per_second is None or 1 <= known.chars_per_second <= LIMITS[2][1]
        known.note(metrics)


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path):
    (tmp_path / "file").write_text("")
    Learned(None, "espeak", str(tmp_path / "file" / "learned.json")).note(UNDERFLOWED)
