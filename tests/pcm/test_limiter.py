"""The gain and its limiter."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat
from voice_cli.pcm.limiter import CEILING, Limiter

MONO = AudioFormat(8000, 1)
BLOCK = 20
"""Frames of a block at 8 kHz."""


def noise(frames, channels=1, seed=1, level=9000):
    samples = np.random.default_rng(seed).normal(0, level, (frames, channels))
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2")


def whole(samples, gain_at, audio_format=MONO):
    limiter = Limiter(audio_format, gain_at)
    return np.frombuffer(limiter.process(samples.tobytes()) + limiter.flush(), "<i2").reshape(samples.shape)


def test_a_gain_of_one_changes_nothing_below_the_ceiling():
    sent = np.clip(noise(5000), -CEILING, CEILING)
    np.testing.assert_array_equal(whole(sent, lambda _: 1.0), sent)


def test_a_constant_gain_is_exact():
    sent = noise(5000, level=1000)
    np.testing.assert_array_equal(whole(sent, lambda _: 2.5), np.rint(sent * 2.5))


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 300), max_size=30),
    st.sampled_from([0.5, 1.0, 3.0, 10.0]),
    st.integers(1, 2),
    st.sampled_from([300, 9000, 30_000]),
)
def test_the_samples_do_not_depend_on_the_cut(sizes, gain, channels, level):
    sent = noise(3000, channels, level=level)
    audio_format = AudioFormat(8000, channels)
    gain_at = lambda frame: gain * (1 + 0.3 * np.sin(frame / 500))  # noqa: E731
    limiter = Limiter(audio_format, gain_at)
    out, at = b"", 0
    for size in [*sizes, len(sent)]:
        out += limiter.process(sent[at : at + size].tobytes())
        at += size
        lag = min(at, len(sent)) - len(out) // (2 * channels)
        assert 0 <= lag < 2 * BLOCK, "5 ms at most"
    out += limiter.flush()
    cut = np.frombuffer(out, "<i2").reshape(sent.shape)
    np.testing.assert_array_equal(cut, whole(sent, gain_at, audio_format))
    assert np.abs(cut.astype(int)).max() <= CEILING


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.1, 40), st.lists(st.integers(0, 500), max_size=8))
def test_the_ceiling_holds_also_after_a_flush(seed, gain, sizes):
    sent = noise(4000, seed=seed, level=500)
    loud = np.random.default_rng(seed).integers(0, len(sent), 40)
    sent[loud] = np.where(loud % 2, 32767, -32768)[:, None]
    limiter = Limiter(MONO, lambda _: gain)
    out, at = b"", 0
    for size in [*sizes, len(sent)]:
        out += limiter.process(sent[at : at + size].tobytes()) + limiter.flush()
        at += size
    assert len(out) == sent.nbytes
    assert np.abs(np.frombuffer(out, "<i2").astype(int)).max() <= CEILING


def test_the_gain_falls_before_a_peak_and_returns_after_it():
    sent = np.full((4000, 1), 1000, "<i2")
    sent[2000] = 32767
    factor = whole(sent, lambda _: 8.0)[:, 0] / sent[:, 0]
    assert factor[:1960] == pytest.approx(8.0)
    assert factor[2000] <= CEILING / 32767 + 1e-3
    assert np.abs(np.diff(np.delete(factor, 2000))).max() < 8.0 / BLOCK + 0.01, "no jump"
    assert factor[-1] == pytest.approx(8.0, rel=0.2)
