"""The loudness meter: the test signals of EBU Tech 3341, generated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat
from voice_cli.pcm.loudness import Meter

RATES = (8000, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000)


def sine(level, seconds, rate=48_000, hertz=1000):
    """Return a sine of that peak in dBFS: (frames,) int16."""
    at = np.arange(round(seconds * rate)) / rate
    return np.rint(32768 * 10 ** (level / 20) * np.sin(2 * np.pi * hertz * at)).astype("<i2")


def measured(channels, rate=48_000, **options):
    """Return the loudness of channels, each (frames,)."""
    meter = Meter(AudioFormat(rate, len(channels)), **options)
    meter.feed(np.stack(channels, axis=1).tobytes())
    meter.finish()
    return meter.integrated


STEREO = {
    # Tech 3341, table 1: (dBFS, seconds) of a stereo sine of 1000 Hz, and the integrated loudness
    "1": ([(-23, 20)], -23.0),
    "2": ([(-33, 20)], -33.0),
    "3": ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
    "4": ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    "5": ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
}


@pytest.mark.parametrize("case", STEREO)
def test_tech_3341(case):
    parts, loudness = STEREO[case]
    channel = np.concatenate([sine(*part) for part in parts])
    assert measured([channel, channel]) == pytest.approx(loudness, abs=0.1)


def test_tech_3341_case_6_surround():
    channels = [sine(level, 20) for level in (-28, -28, -24, -30, -30)]  # L R C Ls Rs
    assert measured(channels) == pytest.approx(-23.0, abs=0.1)
    lfe = sine(-10, 20, hertz=60)
    assert measured([*channels[:3], lfe, *channels[3:]]) == pytest.approx(-23.0, abs=0.1)


@pytest.mark.parametrize("rate", RATES)
def test_every_rate_measures_the_same(rate):
    channel = sine(-23, 5, rate)
    assert measured([channel, channel], rate) == pytest.approx(-23.0, abs=0.1)


def test_bs_1770_sine_in_one_channel():
    assert measured([sine(-6, 3, hertz=997)]) == pytest.approx(-9.01, abs=0.02)


def test_mono_may_count_as_two_channels():
    channel = sine(-20, 3)
    assert measured([channel], dual_mono=True) == pytest.approx(measured([channel, channel]))
    assert measured([channel, channel], dual_mono=True) == measured([channel, channel])


@pytest.mark.parametrize("frames", [0, 1000, 48_000 * 4 // 10 - 1])
def test_less_than_a_block_is_not_measured(frames):
    assert measured([sine(-20, 1)[:frames]]) is None


def test_silence_is_not_measured():
    assert measured([np.zeros(48_000, "<i2")]) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=20))
def test_the_result_does_not_depend_on_the_cut(sizes):
    sent = np.random.default_rng(1).normal(0, 3000, 20_000).astype("<i2")
    meter, at = Meter(AudioFormat(8000, 1)), 0
    for size in [*sizes, len(sent)]:
        meter.feed(sent[at : at + size].tobytes())
        at += size
    meter.finish()
    assert meter.integrated == measured([sent], 8000)
