"""FLAC decoder: frames are found by header and checksum."""

import io

import av
import pytest

from support import material
from voice_cli.audio import AudioFormat
from voice_cli.codecs.flac import FlacDecoder, frame_block_size
from voice_cli.errors import DecodeError, TruncatedAudio

PCM = material.speech(material.MONO24, 0.6)
FILE = material.encoded("flac", material.MONO24)
HEAD_BYTES = FILE.index(b"\xff\xf8")


def heard(data: bytes, size: int = 211):
    return material.joined(material.run(FlacDecoder(), material.every(size, data)))


def frames(data: bytes) -> list[bytes]:
    """Split a stream into frames as libavformat does."""
    with av.open(io.BytesIO(data), format="flac") as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def blocks(data: bytes) -> list[int]:
    return [frame_block_size(frame, 0) for frame in frames(data)]


@pytest.mark.parametrize("audio_format", [material.MONO24, material.STEREO48, AudioFormat(22_050, 1)], ids=str)
@pytest.mark.parametrize("level", ["0", "5", "12"])
def test_lossless(audio_format, level):
    pcm = material.speech(audio_format, 0.5)
    data = material.encode("flac", pcm, audio_format, options={"compression_level": level})
    assert heard(data) == [(audio_format, pcm)]


def test_24_bits_are_truncated_to_16_as_ffmpeg_does():
    data = material.encode("flac", PCM, material.MONO24, sample_format="s32", options={"strict": "-2"})
    assert heard(data) == [material.reference(data, "flac")] == [(material.MONO24, PCM)]


def test_the_first_frame_is_decoded_at_its_last_byte():
    first = frames(FILE)[0]
    assert material.bytes_to_first_pcm(FlacDecoder, FILE) == HEAD_BYTES + len(first)


def test_every_frame_is_decoded_at_its_last_byte():
    decoder, at = FlacDecoder(), HEAD_BYTES
    expected = []
    for frame in frames(FILE):
        at += len(frame)
        expected.append(at)
    ends = [end for end, byte in enumerate(material.every(1, FILE), start=1) if decoder.decode(byte)]
    assert ends == expected


def test_stream_without_a_total_is_decoded():
    streaming = bytearray(FILE)
    streaming[21] &= 0xF0
    streaming[22:26] = bytes(4)
    assert heard(bytes(streaming)) == [(material.MONO24, PCM)]
    material.run(FlacDecoder(), [bytes(streaming[:-1])], truncated=True)


def test_the_declared_total_shows_missing_samples():
    decoder = FlacDecoder()
    decoder.decode(FILE[:-1])
    last = blocks(FILE)[-1]
    with pytest.raises(TruncatedAudio, match=f"{last} of {len(PCM) // 2} samples"):
        decoder.flush()


def test_a_cut_between_two_frames_loses_no_frame():
    whole = frames(FILE)
    chunks = material.run(FlacDecoder(), [FILE[: HEAD_BYTES + len(whole[0])]], truncated=True)
    assert material.joined(chunks) == [(material.MONO24, PCM[: 2 * blocks(FILE)[0]])]


def test_joined_streams():
    other = material.encoded("flac", material.STEREO48)
    for size in (1, 211, 10**6):
        assert heard(FILE + other + FILE, size) == [
            (material.MONO24, PCM),
            (material.STEREO48, material.speech(material.STEREO48, 0.6)),
            (material.MONO24, PCM),
        ]


@pytest.mark.parametrize("around", [(b"ID3\x04\0\0\0\0\0\x10" + bytes(16), b""), (b"", b"TAG" + bytes(125))])
def test_tags_before_and_after_are_skipped(around):
    assert heard(around[0] + FILE + around[1]) == [(material.MONO24, PCM)]


@pytest.mark.parametrize("where", ["header", "middle", "checksum"])
@pytest.mark.parametrize("step", [1, 300, 10**6])
def test_only_the_corrupt_frame_is_skipped_and_it_is_reported(where, step):
    data = material.encoded("flac", material.MONO24, 1.5)
    pcm = material.speech(material.MONO24, 1.5)
    whole = frames(data)
    bad = bytearray(whole[1])
    bad[{"header": 1, "middle": len(bad) // 2, "checksum": -1}[where]] ^= 0x55
    decoder = FlacDecoder()
    stream = data[:HEAD_BYTES] + whole[0] + bytes(bad) + b"".join(whole[2:])
    chunks = [chunk for piece in material.every(step, stream) for chunk in decoder.decode(piece)]
    first, second = (2 * block for block in blocks(data)[:2])
    assert material.joined(chunks) == [(material.MONO24, pcm[:first] + pcm[first + second :])]
    with pytest.raises(DecodeError, match="skipped in the FLAC stream"):
        decoder.flush()


@pytest.mark.parametrize("end", [0, 3, 4, 8, 41, HEAD_BYTES - 1])
def test_a_cut_head_is_truncation(end):
    material.run(FlacDecoder(), [FILE[:end]], truncated=True)


@pytest.mark.parametrize("data", [b"fLaX", b"fLaC\x01\0\0\x22" + bytes(34), b"fLaC\0\0\0\x22" + bytes(34)])
def test_other_data_is_a_decode_error(data):
    with pytest.raises(DecodeError):
        FlacDecoder().decode(data)
