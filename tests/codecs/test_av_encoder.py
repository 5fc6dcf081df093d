"""PyAV's encoders: sample rates and errors."""

import pytest

from support import material
from voice_cli.audio import AudioFormat
from voice_cli.codecs.av_codec import AvEncoder, rate_of, rates
from voice_cli.errors import UsageError


def test_a_missing_encoder_is_an_error():
    with pytest.raises(UsageError, match="no_such does not encode 24000 Hz mono"):
        AvEncoder("no_such", material.MONO24, "s16", {})


def test_an_unsupported_format_is_an_error():
    with pytest.raises(UsageError, match="libopus does not encode 44100 Hz mono"):
        AvEncoder("libopus", material.MONO44, "s16", {})


def test_nearest_rate_is_chosen():
    assert rate_of("libmp3lame", material.MONO24, None) == 24_000
    assert rate_of("libmp3lame", AudioFormat(28_000, 1), None) == 32_000, "of two equally near rates, the higher"
    assert rate_of("aac", AudioFormat(1_000_000, 1), None) == 96_000


def test_codec_without_rate_limits_has_no_list():
    assert rates("flac") == []
    assert rates("libopus") == [8000, 12_000, 16_000, 24_000, 48_000]


def test_packets_are_returned_when_their_frames_are_complete():
    codec = AvEncoder("libopus", material.MONO24, "s16", {})
    assert codec.frame_size == 480
    assert codec.encode(bytes(2 * 479)) == []
    assert len(codec.encode(bytes(2))) == 1
    assert len(codec.encode(bytes(2 * 480 * 3))) == 3
