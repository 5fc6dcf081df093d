"""MP3 decoder: gapless playback tags, joined streams, other tags and missing frames."""

import struct

import numpy as np
import pytest

from support import material
from voice_cli.codecs import mpg123
from voice_cli.codecs.headers import mpeg_header
from voice_cli.codecs.mp3 import Mp3Decoder, info_tag
from voice_cli.errors import DecodeError, TruncatedAudio

FILE = material.encoded("mp3", material.MONO44)
PIPE = material.encoded("mp3", material.MONO44, seekable=False)
ID3V2 = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257)
ID3V1 = b"TAG" + b"title".ljust(125, b"\0")
ENHANCED = b"TAG+" + b"a longer title".ljust(223, b"\0")
LYRICS_1 = b"LYRICSBEGIN[00:01]Some words\r\nLYRICSEND"
LYRICS_2 = b"LYRICSBEGININD00002" + b"10LYR00005words" + b"000034LYRICS200"
APE_ITEMS = b"items\xff\xfb\x90\0" + b"APETAGEX" + struct.pack("<IIII8x", 2000, 32 + 9, 1, 0)
"""APEv2 without a header."""
APE = (
    b"APETAGEX" + struct.pack("<IIII8x", 2000, 32 + 9, 1, 0xA0000000) + b"items\xff\xfb\x90\0"
    b"APETAGEX" + struct.pack("<IIII8x", 2000, 32 + 9, 1, 0x80000000)
)


@pytest.fixture(params=["PyAV", "mpg123"], autouse=True)
def lsb(request, monkeypatch):
    """Select the decoding library; return the largest allowed difference from libavcodec's samples."""
    if request.param == "PyAV":
        monkeypatch.setattr(mpg123, "library", lambda: None)
    elif mpg123.library() is None:
        pytest.skip("libmpg123 is not installed")
    return 0 if request.param == "PyAV" else 1


def assert_close(sound, wanted, lsb):
    [(audio_format, pcm)], (wanted_format, wanted_pcm) = sound, wanted
    assert audio_format == wanted_format
    assert len(pcm) == len(wanted_pcm)
    assert np.abs(np.frombuffer(pcm, "<i2").astype(int) - np.frombuffer(wanted_pcm, "<i2")).max() <= lsb


def heard(data: bytes):
    return material.joined(material.run(Mp3Decoder(), material.every(61, data)))


def frames(data: bytes) -> list[bytes]:
    data = data[data.index(b"\xff") :]
    out = []
    while len(data) >= 4 and (header := mpeg_header(data)) is not None:
        out.append(data[: header.length])
        data = data[header.length :]
    return out


def bare(data: bytes) -> bytes:
    """Remove the ID3 tag that libavformat writes."""
    return b"".join(frames(data))


@pytest.mark.parametrize("audio_format", [material.MONO24, material.MONO44, material.STEREO48], ids=str)
def test_encoder_delay_and_padding_are_trimmed(audio_format):
    # voice-mode: "MP3 decoded chunk by chunk: +1055 samples", "a 44.1 kHz MP3 plays at 0.54 of its pace".
    [(heard_format, pcm)] = heard(material.encoded("mp3", audio_format))
    assert heard_format == audio_format
    assert len(pcm) == len(material.speech(audio_format, 0.6))


def test_equals_the_ffmpeg_command(tmp_path, lsb):
    material.need("ffmpeg")
    import subprocess

    path = tmp_path / "speech.mp3"
    path.write_bytes(FILE)
    command = ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "pipe:1"]
    pcm = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    assert_close(heard(FILE), (material.MONO44, pcm), lsb)


def test_the_info_frame_is_not_decoded():
    first = frames(FILE)[0]
    tag = info_tag(mpeg_header(first), first)
    assert tag is not None
    assert tag.frames == len(frames(FILE)) - 1
    assert tag.delay == 576  # LAME's delay, written by libavformat
    second = frames(FILE)[1]
    assert info_tag(mpeg_header(second), second) is None


def test_the_first_frame_is_decoded_at_its_last_byte():
    first = frames(PIPE)[0]
    assert material.bytes_to_first_pcm(Mp3Decoder, bare(PIPE)) == len(first)


def test_joined_files_leave_no_gap():
    # As from a server that encodes each sentence. voice-mode: "a silent run at the join".
    one = heard(FILE)[0][1]
    assert heard(FILE * 3) == [(material.MONO44, one * 3)]


def test_joined_files_keep_their_rates():
    other = material.encoded("mp3", material.MONO24)
    assert heard(FILE + other) == heard(FILE) + heard(other)


@pytest.mark.parametrize(
    "data",
    [
        ID3V2 + PIPE,
        PIPE + ID3V1,
        PIPE + APE,
        PIPE + APE + ID3V1,
        PIPE + APE[41:] + ID3V1,
        PIPE + APE_ITEMS,
        PIPE + APE_ITEMS + ID3V1,
        PIPE + ENHANCED + ID3V1,
        PIPE + LYRICS_2 + ID3V1,
        PIPE + LYRICS_1 + ID3V1,
        PIPE + LYRICS_2.replace(b"000034", b"000037") + ID3V1,
        PIPE + bytes(40) + LYRICS_2 + APE + ID3V1 + bytes(9),
        bytes(500) + PIPE,
        PIPE + bytes(500),
        ID3V2 * 3 + PIPE,
        PIPE + ID3V2 + bytes(9),
    ],
)
def test_tags_and_padding_are_skipped(data):
    assert heard(data) == heard(PIPE)


@pytest.mark.parametrize(
    "rest", [b"no tag at all", LYRICS_2[4:], APE_ITEMS[:-1], b"x" + ENHANCED[:-9] + ID3V1, LYRICS_1[3:] + ID3V1]
)
def test_other_bytes_after_the_last_frame_are_reported(rest):
    decoder = Mp3Decoder()
    decoder.decode(PIPE + rest)
    with pytest.raises(DecodeError, match="bytes that are no frame"):
        decoder.flush()


@pytest.mark.parametrize("end", [1, 5, 10, 200])
def test_a_cut_in_the_first_tag_is_truncation(end):
    material.run(Mp3Decoder(), [ID3V2[:end]], truncated=True)


def test_garbage_between_frames_is_skipped_and_reported():
    whole = frames(bare(PIPE))
    data = b"".join(whole[:5]) + b"garbage\xff\xfb\x90g\xff" + b"".join(whole[5:])
    decoder = Mp3Decoder()
    chunks = decoder.decode(data)
    assert material.joined(chunks) == heard(PIPE)
    with pytest.raises(DecodeError, match="12 bytes that are no frame"):
        decoder.flush()


def test_a_join_inside_a_frame_loses_only_that_frame():
    whole = frames(bare(PIPE))
    data = b"".join(whole[:8])[:-50] + b"".join(whole[8:])
    decoder = Mp3Decoder()
    seconds = sum(chunk.seconds for chunk in decoder.decode(data))
    assert seconds >= (len(whole) - 3) * 1152 / 44_100
    with pytest.raises(DecodeError, match="skipped"):
        decoder.flush()


def test_the_tag_shows_missing_frames():
    whole = frames(bare(FILE))
    decoder = Mp3Decoder()
    decoder.decode(b"".join(whole[:-3]))
    with pytest.raises(TruncatedAudio, match="3 frames before its end"):
        decoder.flush()


def test_a_cut_frame_reports_the_missing_bytes():
    decoder = Mp3Decoder()
    decoder.decode(bare(PIPE)[:-7])
    with pytest.raises(TruncatedAudio, match="7 bytes before the end of a frame"):
        decoder.flush()


def test_layer_two_is_decoded(lsb):
    data = material.encode("mp2", material.speech(material.MONO48, 0.3), material.MONO48)
    assert_close(heard(data), material.reference(data, "mp3"), lsb)


def test_a_vbri_frame_is_not_decoded():
    whole = frames(bare(PIPE))
    vbri = bytearray(whole[0])
    vbri[36:] = (b"VBRI\0\1" + bytes(4) + struct.pack(">II", len(PIPE), len(whole))).ljust(len(vbri) - 36, b"\0")
    assert heard(bytes(vbri) + bare(PIPE)) == heard(PIPE)


@pytest.mark.parametrize("data", [b"no mp3 at all", ID3V2, bytes(1000)])
def test_stream_without_frames_is_a_decode_error(data):
    decoder = Mp3Decoder()
    decoder.decode(data)
    with pytest.raises(DecodeError, match="no MP3 frame"):
        decoder.flush()


def damaged(data: bytes, at: int, count: int, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    whole = frames(bare(data))
    frame = bytearray(whole[at])
    for place in rng.integers(4, len(frame), count):
        frame[place] = rng.integers(256)
    return b"".join((*whole[:at], frame, *whole[at + 1 :]))


@pytest.mark.parametrize("audio_format", [material.MONO24, material.MONO44, material.STEREO48], ids=str)
def test_the_libraries_refuse_the_same_frames(audio_format, lsb):
    if not lsb:
        return
    data = material.encoded("mp3", audio_format, seekable=False)
    for seed in range(60):
        broken = damaged(data, 5, 20, seed)
        lengths = [
            [len(chunk.data) for chunk in decoder.decode(broken)]
            for decoder in (Mp3Decoder(), material.mp3_decoder_by_pyav())
        ]
        assert lengths[0] == lengths[1]


def test_the_libraries_print_nothing(capfd):
    for seed in range(20):
        Mp3Decoder().decode(damaged(PIPE, 5, 60, seed))
    assert capfd.readouterr() == ("", "")
