"""FLAC: frames found by header and checksum."""

import io

import av
import pytest

from support import codecs
from voice_cli.audio import AudioFormat
from voice_cli.decoders.flac import FlacDecoder, frame_block_size
from voice_cli.errors import DecodeError, TruncatedAudio

PCM = codecs.speech(codecs.MONO24, 0.6)
FILE = codecs.encoded("flac", codecs.MONO24)
HEAD_BYTES = FILE.index(b"\xff\xf8")


def heard(data: bytes, size: int = 211):
    return codecs.joined(codecs.run(FlacDecoder(), codecs.every(size, data)))


def frames(data: bytes) -> list[bytes]:
    """Cut a stream into frames as libavformat does."""
    with av.open(io.BytesIO(data), format="flac") as container:
        return [bytes(packet) for packet in container.demux() if packet.size]


def blocks(data: bytes) -> list[int]:
    return [frame_block_size(frame, 0) for frame in frames(data)]


@pytest.mark.parametrize("audio_format", [codecs.MONO24, codecs.STEREO48, AudioFormat(22_050, 1)], ids=str)
@pytest.mark.parametrize("level", ["0", "5", "12"])
def test_lossless(audio_format, level):
    pcm = codecs.speech(audio_format, 0.5)
    data = codecs.encode("flac", pcm, audio_format, options={"compression_level": level})
    assert heard(data) == [(audio_format, pcm)]


def test_24_bits_are_cut_to_16_as_ffmpeg_does():
    data = codecs.encode("flac", PCM, codecs.MONO24, sample_format="s32", options={"strict": "-2"})
    assert heard(data) == [codecs.reference(data, "flac")] == [(codecs.MONO24, PCM)]


def test_a_frame_is_heard_at_its_last_byte():
    first = frames(FILE)[0]
    assert codecs.bytes_to_first_pcm(FlacDecoder, FILE) == HEAD_BYTES + len(first)


def test_every_frame_is_heard_at_its_last_byte():
    decoder, at = FlacDecoder(), HEAD_BYTES
    expected = []
    for frame in frames(FILE):
        at += len(frame)
        expected.append(at)
    ends = [end for end, byte in enumerate(codecs.every(1, FILE), start=1) if decoder.decode(byte)]
    assert ends == expected


def test_without_a_total():
    streaming = bytearray(FILE)
    streaming[21] &= 0xF0
    streaming[22:26] = bytes(4)
    assert heard(bytes(streaming)) == [(codecs.MONO24, PCM)]
    codecs.run(FlacDecoder(), [bytes(streaming[:-1])], truncated=True)


def test_the_total_tells_what_is_missing():
    decoder = FlacDecoder()
    decoder.decode(FILE[:-1])
    last = blocks(FILE)[-1]
    with pytest.raises(TruncatedAudio, match=f"{last} of {len(PCM) // 2} samples"):
        decoder.flush()


def test_a_cut_between_two_frames_loses_no_frame():
    whole = frames(FILE)
    chunks = codecs.run(FlacDecoder(), [FILE[: HEAD_BYTES + len(whole[0])]], truncated=True)
    assert codecs.joined(chunks) == [(codecs.MONO24, PCM[: 2 * blocks(FILE)[0]])]


def test_joined_streams():
    other = codecs.encoded("flac", codecs.STEREO48)
    for size in (1, 211, 10**6):
        assert heard(FILE + other + FILE, size) == [
            (codecs.MONO24, PCM),
            (codecs.STEREO48, codecs.speech(codecs.STEREO48, 0.6)),
            (codecs.MONO24, PCM),
        ]


@pytest.mark.parametrize("around", [(b"ID3\x04\0\0\0\0\0\x10" + bytes(16), b""), (b"", b"TAG" + bytes(125))])
def test_tags_around_it_are_passed_over(around):
    assert heard(around[0] + FILE + around[1]) == [(codecs.MONO24, PCM)]


@pytest.mark.parametrize("where", ["header", "middle", "checksum"])
@pytest.mark.parametrize("step", [1, 300, 10**6])
def test_a_corrupt_frame_costs_itself_and_is_told(where, step):
    data = codecs.encoded("flac", codecs.MONO24, 1.5)
    pcm = codecs.speech(codecs.MONO24, 1.5)
    whole = frames(data)
    bad = bytearray(whole[1])
    bad[{"header": 1, "middle": len(bad) // 2, "checksum": -1}[where]] ^= 0x55
    decoder = FlacDecoder()
    stream = data[:HEAD_BYTES] + whole[0] + bytes(bad) + b"".join(whole[2:])
    chunks = [chunk for piece in codecs.every(step, stream) for chunk in decoder.decode(piece)]
    first, second = (2 * block for block in blocks(data)[:2])
    assert codecs.joined(chunks) == [(codecs.MONO24, pcm[:first] + pcm[first + second :])]
    with pytest.raises(DecodeError, match="left out of the FLAC stream"):
        decoder.flush()


@pytest.mark.parametrize("end", [0, 3, 4, 8, 41, HEAD_BYTES - 1])
def test_a_cut_head_is_truncation(end):
    codecs.run(FlacDecoder(), [FILE[:end]], truncated=True)


@pytest.mark.parametrize("data", [b"fLaX", b"fLaC\x01\0\0\x22" + bytes(34), b"fLaC\0\0\0\x22" + bytes(34)])
def test_what_is_no_flac(data):
    with pytest.raises(DecodeError):
        FlacDecoder().decode(data)
