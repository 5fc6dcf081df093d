"""PCM decoder: incomplete frames are carried over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import material
from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.codecs.pcm import PcmDecoder
from voice_cli.errors import TruncatedAudio

FORMATS = [material.MONO24, material.STEREO44, AudioFormat(48_000, 6)]


@pytest.mark.parametrize("audio_format", FORMATS, ids=str)
@given(st.data())
def test_any_cut_gives_the_same_samples(audio_format, data):
    pcm = data.draw(st.binary(max_size=200))
    pcm = pcm[: len(pcm) // audio_format.frame_bytes * audio_format.frame_bytes]
    sizes = data.draw(st.lists(st.integers(1, 7), max_size=60))
    chunks = material.run(PcmDecoder(audio_format), material.cut(pcm, sizes))
    assert material.joined(chunks) == ([(audio_format, pcm)] if pcm else [])


def test_a_cut_inside_a_frame_loses_nothing():
    # voice-mode: "An odd-sized PCM chunk raises ValueError"; openai-agents#1824: crashes, or is dropped.
    decoder = PcmDecoder(material.MONO24)
    assert decoder.decode(b"\1\2\3") == [PcmChunk(material.MONO24, b"\1\2")]
    assert decoder.decode(b"\4") == [PcmChunk(material.MONO24, b"\3\4")]
    assert decoder.flush() == []


def test_half_a_frame_at_the_end_is_truncation():
    decoder = PcmDecoder(material.STEREO44)
    assert decoder.decode(b"\1\2\3\4\5") == [PcmChunk(material.STEREO44, b"\1\2\3\4")]
    with pytest.raises(TruncatedAudio, match="inside a frame"):
        decoder.flush()


def test_whole_frames_pass_without_a_copy():
    data = bytes(960)
    assert PcmDecoder(material.MONO24).decode(data)[0].data is data
