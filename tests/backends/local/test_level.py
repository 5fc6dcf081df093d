"""The gain of a voice: measured, stored, and limited."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.backends.local.level import KNEE, MOST, TARGET, levelled, measured_gain, stored_gain
from voice_cli.state_file import read_section, state_path, update_section

RATE = 16000


def hum(level, seconds=2.0):
    """Return a sine wave of so many dBFS."""
    time = np.arange(round(seconds * RATE)) / RATE
    return 10 ** (level / 20) * 2**0.5 * np.sin(2 * np.pi * 200 * time)


@pytest.mark.parametrize("level", [-29.0, TARGET, -10.0])
def test_the_gain_leads_to_the_target(level):
    assert measured_gain(hum(level), RATE) == pytest.approx(TARGET - level, abs=0.05)


def test_pauses_do_not_count():
    assert measured_gain(np.concatenate([hum(-26), np.zeros(4 * RATE)]), RATE) == pytest.approx(6, abs=0.3)


@pytest.mark.parametrize("samples", [[], np.zeros(100), np.zeros(2 * RATE), hum(-26, 0.1)])
def test_nothing_is_measured_of_silence_and_short_sounds(samples):
    assert measured_gain(samples, RATE) == 0


def test_the_gain_is_limited():
    assert measured_gain(hum(-70), RATE) == MOST


class TestStored:
    def test_it_is_measured_once(self):
        calls = []
        for _ in range(2):
            gain = stored_gain("joe", lambda: calls.append(1) or hum(-26), RATE)
            assert gain == pytest.approx(2, rel=0.01)
        assert len(calls) == 1
        assert stored_gain("amy", lambda: hum(-20), RATE) == 1

    @pytest.mark.parametrize(("wrong", "gain"), [(1e9, MOST), (-1e9, -MOST), ("x", -MOST), ([], -MOST)])
    def test_a_strange_value_of_the_file_is_limited(self, wrong, gain):
        update_section(state_path(), "levels", lambda levels: levels.update(joe=wrong))
        assert stored_gain("joe", list, RATE) == pytest.approx(10 ** (gain / 20))

    def test_the_oldest_is_dropped(self, monkeypatch):
        monkeypatch.setattr("voice_cli.backends.local.level.MOST_STORED", 2)
        for name in "abc":
            stored_gain(name, lambda: hum(-20), RATE)
        assert list(read_section(state_path(), "levels")) == ["b", "c"]


@given(st.lists(st.floats(-4, 4, width=32), max_size=50), st.floats(0.25, 4))
def test_no_sample_exceeds_full_scale_and_quiet_ones_are_exact(samples, gain):
    result = levelled(samples, gain)
    exact = np.asarray(samples, np.float32) * np.float32(gain)
    assert np.all(np.abs(result) <= 1)
    quiet = np.abs(exact) <= KNEE
    assert np.array_equal(result[quiet], exact[quiet])
    assert np.all(np.diff(result[np.argsort(exact)]) >= 0)


def test_the_samples_that_it_is_given_are_kept():
    samples = np.array([0.5, -3.0], np.float32)
    levelled(samples, 2.0)
    assert samples.tolist() == [0.5, -3.0]
