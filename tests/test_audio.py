"""Conversions between frames, bytes and seconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import CODECS, FULL_SCALE, SAMPLE_BYTES, AudioFormat, Encoding, PcmChunk

FORMATS = st.builds(AudioFormat, st.integers(1, 384_000), st.integers(1, 8))


@given(FORMATS, st.integers(0, 10**9))
def test_frames_to_seconds_and_back(audio_format, frames):
    assert audio_format.frames(audio_format.seconds(frames)) == frames


@given(FORMATS, st.integers(0, 1000))
def test_length_of_a_chunk(audio_format, frames):
    chunk = PcmChunk(audio_format, bytes(frames * audio_format.frame_bytes))
    assert chunk.frames == frames
    assert chunk.seconds == pytest.approx(frames / audio_format.rate)


def test_a_frame_has_a_sample_for_every_channel():
    assert AudioFormat(8000, 1).frame_bytes == SAMPLE_BYTES == 2
    assert AudioFormat(8000, 6).frame_bytes == 12
    assert 2 ** (8 * SAMPLE_BYTES - 1) == FULL_SCALE


def test_seconds_are_rounded_to_the_nearest_frame():
    assert AudioFormat(44_100, 1).frames(0.01) == 441
    assert AudioFormat(22_050, 2).frames(0.00003) == 1


@pytest.mark.parametrize(("channels", "words"), [(1, "mono"), (2, "stereo"), (6, "6 channels")])
def test_format_as_text(channels, words):
    assert str(AudioFormat(24_000, channels)) == f"24000 Hz {words}"


def test_values_are_immutable_and_hashable():
    assert AudioFormat(8000, 1) == AudioFormat(8000, 1)
    assert len({AudioFormat(8000, 1), AudioFormat(8000, 1), AudioFormat(8000, 2)}) == 2
    assert Encoding("pcm") == Encoding("pcm", None)
    with pytest.raises(AttributeError):
        AudioFormat(8000, 1).rate = 1
    assert len(set(CODECS)) == len(CODECS)
