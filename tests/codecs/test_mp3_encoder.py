"""MP3 encoder: only frames, which are independent of each other."""

import io

import av
import pytest

from support import encoding, material
from voice_cli.audio import AudioFormat
from voice_cli.codecs import open_encoder
from voice_cli.codecs.headers import mpeg_header
from voice_cli.codecs.mp3 import info_tag

RATES = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def frames(data):
    """Yield header and frame of each frame; fail if there is anything between them."""
    at = 0
    while at < len(data):
        header = mpeg_header(data, at)
        assert header is not None
        yield header, data[at : at + header.length]
        at += header.length
    assert at == len(data)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_frames_have_one_bit_rate_and_no_tag(rate, channels):
    source = AudioFormat(rate, channels)
    _, data = encoding.encoded("mp3", source, encoding.voice(source, 0.6))
    cut = list(frames(data))
    assert len({header.key for header, _ in cut}) == 1
    assert {frame[2] >> 4 for _, frame in cut} == {cut[0][1][2] >> 4}
    assert info_tag(*cut[0]) is None
    assert {frame[3] >> 6 == 3 for _, frame in cut} == {channels == 1}


@pytest.mark.parametrize("source", [material.MONO24, material.STEREO44], ids=str)
def test_bit_reservoir_is_not_used(source):
    _, data = encoding.encoded("mp3", source, encoding.voice(source, 0.6))
    for header, frame in frames(data):
        mpeg1 = header.key[0] == 3
        main_data_begin = frame[4] << 1 | frame[5] >> 7 if mpeg1 else frame[4]
        assert main_data_begin == 0


def test_the_first_frame_is_returned_after_two_frames_of_input():
    encoder = open_encoder("mp3", material.MONO24)
    pieces = list(material.every(240, encoding.voice(material.MONO24, 0.2)))
    first = next(index for index, piece in enumerate(pieces) if encoder.encode(piece))
    assert (first + 1) * 120 <= 2 * 576 + 120


def test_the_duration_follows_from_the_size():
    pcm = encoding.voice(material.MONO24, 5.0)
    _, data = encoding.encoded("mp3", material.MONO24, pcm)
    with av.open(io.BytesIO(data), format="mp3") as container:
        assert container.duration / av.time_base == pytest.approx(5.0, abs=0.15)
