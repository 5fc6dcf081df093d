"""AAC in ADTS."""

import pytest

from support import material
from voice_cli.codecs.aac import AacDecoder
from voice_cli.codecs.headers import adts_header
from voice_cli.errors import DecodeError, TruncatedAudio

DATA = material.encoded("aac", material.STEREO44)


def heard(data: bytes):
    return material.joined(material.run(AacDecoder(), material.every(53, data)))


def test_audio_starts_at_the_last_byte_of_the_first_frame():
    assert material.bytes_to_first_pcm(AacDecoder, DATA) == adts_header(DATA).length


def test_ffmpeg_command_decodes_almost_the_same():
    # Another build of the same decoder may round floats differently.
    material.need("ffmpeg")
    import numpy as np

    [(_, pcm)] = heard(DATA)
    ours, theirs = (np.frombuffer(p, "<i2").astype(int) for p in (pcm, material.ffmpeg_reference(DATA, "aac")))
    assert len(ours) == len(theirs)
    assert abs(ours - theirs).max() <= 1


def test_the_format_follows_the_frames():
    other = material.encoded("aac", material.MONO24)
    formats = [audio_format for audio_format, _ in heard(DATA + other)]
    assert formats == [material.STEREO44, material.MONO24]


def test_an_id3_tag_at_the_start_is_skipped():
    assert heard(b"ID3\x04\0\0\0\0\0\x3f" + bytes(63) + DATA) == heard(DATA)


def test_a_cut_frame_reports_the_missing_bytes():
    decoder = AacDecoder()
    decoder.decode(DATA[:-3])
    with pytest.raises(TruncatedAudio, match="3 bytes before the end of a frame"):
        decoder.flush()


def test_corrupt_frames_are_skipped_and_reported():
    header = adts_header(DATA)
    second = header.length + adts_header(DATA, header.length).length
    corrupt = bytearray(DATA)
    corrupt[header.length + 7 : second] = b"\xff" * (second - header.length - 7)
    decoder = AacDecoder()
    got = sum(chunk.frames for chunk in decoder.decode(bytes(corrupt)))
    assert got == len(heard(DATA)[0][1]) // 4 - 1024
    with pytest.raises(DecodeError, match="1 corrupt frame"):
        decoder.flush()
