"""FLAC encoder: STREAMINFO without totals, and short blocks."""

import pytest

from support import encoding, material
from voice_cli.audio import AudioFormat
from voice_cli.codecs import open_encoder
from voice_cli.codecs.flac import StreamInfo, frame_block_size

HEAD_BYTES = 42


@pytest.mark.parametrize("source", [encoding.MONO22, material.STEREO48, AudioFormat(96_000, 1)], ids=str)
def test_streaminfo_declares_no_total(source):
    head = open_encoder("flac", source).encode(b"")
    assert len(head) == HEAD_BYTES
    assert head[:8] == b"fLaC\x80\x00\x00\x22", "STREAMINFO is the last metadata block"
    info = StreamInfo.parse(head[8:])
    assert (info.rate, info.channels, info.bits) == (source.rate, source.channels, 16)
    assert info.frames == 0, "unknown"
    assert not any(head[26:]), "no checksum"


@pytest.mark.parametrize(
    ("rate", "size"), [(8000, 192), (16_000, 576), (22_050, 576), (24_000, 576), (44_100, 1152), (96_000, 2304)]
)
def test_a_block_is_returned_when_it_is_full(rate, size):
    source = AudioFormat(rate, 1)
    encoder = open_encoder("flac", source)
    encoder.encode(b"")
    pcm = encoding.voice(source, 0.5)
    for at in range(0, 8 * size, size):
        assert encoder.encode(pcm[2 * at : 2 * (at + size - 1)]) == b""
        block = encoder.encode(pcm[2 * (at + size - 1) : 2 * (at + size)])
        assert frame_block_size(block, 0) == size


def test_no_block_exceeds_the_declared_size():
    for rate in range(4000, 96_001, 1000):
        head = open_encoder("flac", AudioFormat(rate, 1)).encode(b"")
        least, most = (int.from_bytes(head[at : at + 2]) for at in (8, 10))
        assert least == most
        assert 0.019 <= most / rate <= 0.06
