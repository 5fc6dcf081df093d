"""Compressed and random bytes are refused as PCM; speech and music are not. tests/bench/noise.py measures more."""

import gzip
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import material
from support.encoding import voice
from voice_cli.codecs.noise import BLOCK_SAMPLES, BLOCKS, NoiseGuard
from voice_cli.codecs.pcm import PcmDecoder
from voice_cli.errors import DecodeError

WINDOW = 2 * BLOCKS * BLOCK_SAMPLES
SPEECH = voice(material.MONO24, 6.0)
NOISE = {
    "random": random.Random(1).randbytes(100_000),
    "gzip": gzip.compress(SPEECH)[20:],
    **{codec: material.encoded(codec, material.MONO24, 8.0)[1001:] for codec in ("mp3", "opus", "aac")},
}


def passed(pcm, pieces=(10**9,), channels=1):
    """Return the PCM that passes the guard."""
    guard = NoiseGuard(channels)
    out = b""
    for piece in material.cut(pcm, pieces):
        out += piece if guard.is_done else guard.check(piece)
    return out + (b"" if guard.is_done else guard.finish())


@pytest.mark.parametrize("data", NOISE.values(), ids=NOISE)
def test_noise_is_refused_before_any_of_it_passes(data):
    places = range(0, len(data) - WINDOW, WINDOW)
    assert len(places) > 5
    for at in places:
        guard = NoiseGuard(1)
        out = b""
        with pytest.raises(DecodeError, match="instead of PCM"):  # noqa: PT012  any piece may raise
            for piece in material.every(1600, data[at : at + WINDOW]):
                out += guard.check(piece)
        assert len(out) <= WINDOW
        assert guard.finish() == b""


@pytest.mark.parametrize("gain", [0.01, 0.5, 1, 2, 4, 8, 16, 64, 1000])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_speech_passes_at_all_levels(gain, step):
    signal = np.frombuffer(SPEECH, "<i2").astype(float)[::step] * gain
    pcm = np.clip(np.rint(signal), -32768, 32767).astype("<i2").tobytes()
    for at in range(0, len(pcm) - WINDOW, WINDOW):
        assert passed(pcm[at : at + WINDOW]) == pcm[at : at + WINDOW]


@pytest.mark.parametrize("deviation", [0.1, 0.3, 0.4, 0.5, 0.7, 1.0, 3.0])
def test_normally_distributed_noise_passes(deviation):
    signal = np.random.default_rng(1).normal(0, deviation * 32768, 20 * BLOCKS * BLOCK_SAMPLES)
    pcm = np.clip(np.rint(signal), -32768, 32767).astype("<i2").tobytes()
    for at in range(0, len(pcm) - WINDOW, WINDOW):
        assert passed(pcm[at : at + WINDOW]) == pcm[at : at + WINDOW]


@pytest.mark.parametrize("pcm", [SPEECH, bytes(WINDOW * 2), b"\xff\x7f\x00\x80" * WINDOW, SPEECH[:100], b""])
@given(pieces=st.lists(st.integers(1, 1000).map(lambda count: 2 * count), max_size=20))
def test_the_samples_do_not_depend_on_the_cut(pcm, pieces):
    assert passed(pcm, pieces) == pcm


@given(length=st.integers(0, 250), pieces=st.lists(st.integers(1, 9), max_size=20))
def test_short_noise_passes(length, pieces):
    data = NOISE["random"][: 2 * length]
    assert material.joined(material.run(PcmDecoder(material.MONO24), material.cut(data, pieces))) == (
        [(material.MONO24, data)] if data else []
    )


def test_noise_in_stereo_is_refused():
    for at in range(0, 50_000, WINDOW):
        with pytest.raises(DecodeError):
            passed(NOISE["random"][at : at + WINDOW], channels=2)
