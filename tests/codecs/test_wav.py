"""WAV decoder: wrong sizes, extra chunks and repeated headers, as servers stream them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import material
from voice_cli.audio import AudioFormat
from voice_cli.codecs.sample_types import SAMPLE_TYPES
from voice_cli.codecs.wav import WavDecoder
from voice_cli.errors import DecodeError, TruncatedAudio, UnmarkedEnd

PCM = material.speech(material.MONO24, 0.05)
OTHER = material.speech(material.STEREO44, 0.02)
LIST = b"LIST" + struct.pack("<I", 26) + b"INFOISFT\x0e\0\0\0Lavf59.27.100\0"


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)


def fmt(audio_format: AudioFormat, tag: int = 1, bits: int = 16, extra: bytes = b"") -> bytes:
    rate, channels = audio_format.rate, audio_format.channels
    block = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits) + extra)


def wav(
    data: bytes,
    audio_format: AudioFormat = material.MONO24,
    *,
    size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
    **described,
) -> bytes:
    """Build a file; `size` overrides the size in the headers."""
    body = b"WAVE" + fmt(audio_format, **described) + before + chunk(b"data", data) + after
    out = bytearray(b"RIFF" + struct.pack("<I", len(body)) + body)
    if size is not None:
        at = out.index(b"data", 12 + len(fmt(audio_format, **described)) + len(before)) + 4
        out[4:8] = out[at : at + 4] = struct.pack("<I", size)
    return bytes(out)


def rf64(data: bytes, size: int | None = None, *, name: bytes = b"RF64", after: bytes = b"") -> bytes:
    """Build a file with a `ds64` chunk; `size` overrides the data size in it."""
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, len(data) if size is None else size, 0, 0))
    body = ds64 + fmt(material.MONO24) + b"data\xff\xff\xff\xff" + data + after
    return name + b"\xff\xff\xff\xffWAVE" + body


def heard(data: bytes, sizes=()) -> list[tuple[AudioFormat, bytes]]:
    return material.joined(material.run(WavDecoder(), material.cut(data, sizes)))


STREAMS = {
    "plain": wav(PCM),
    "unknown size": wav(PCM, size=0xFFFFFFFF),
    "chunks around": wav(PCM, before=LIST, after=LIST),
    "header again, sized": wav(PCM) + wav(OTHER, material.STEREO44),
    "header again, unsized": wav(PCM, size=0xFFFFFFFF) + wav(OTHER, material.STEREO44, size=0),
    "header again, placeholders": wav(PCM, size=2_000_000_000) + wav(OTHER, material.STEREO44, size=1_500_000_000),
    "unknown size, chunks after": wav(PCM, size=0, after=LIST + chunk(b"id3 ", b"ID3\4\0\0\0\0\0\1x")),
    "RF64, chunks after": rf64(PCM, after=LIST),
}


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS)
@given(sizes=st.lists(st.integers(1, 40), max_size=150))
def test_any_cut_gives_the_same_samples(data, sizes):
    assert heard(data, sizes) == heard(data)


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS)
def test_byte_by_byte_gives_the_same_samples(data):
    assert heard(data, [1] * len(data)) == heard(data)


@pytest.mark.parametrize(
    "size",
    [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 36, 0x7FFFFFFF - 36, 0x7FFFF000, 2_000_000_000, 200_000_000],
)
@pytest.mark.parametrize("after", [b"", LIST])
def test_placeholder_sizes_mean_unknown(size, after):
    assert heard(wav(PCM, size=size, after=after)) == [(material.MONO24, PCM)]


@pytest.mark.parametrize("name", [b"RF64", b"BW64"])
@pytest.mark.parametrize("size", [None, 0, 1 << 62, 0xFFFFFFFFFFFFFFFF])
@pytest.mark.parametrize("after", [b"", LIST])
def test_sizes_of_64_bits_in_ds64(name, size, after):
    assert heard(rf64(PCM, size, name=name, after=after)) == [(material.MONO24, PCM)]


@pytest.mark.parametrize(
    ("tag", "bits", "size", "name"),
    [(1, 24, 4, "s32le"), (1, 20, 3, "s24le"), (1, 12, 2, "s16le"), (1, 16, 4, "s32le"), (7, 4, 1, "mulaw")],
)
def test_samples_with_padding_in_larger_blocks(tag, bits, size, name):
    raw = bytes(range(256)) * (2 * size)
    described = struct.pack("<HHIIHH", tag, 2, 24_000, 48_000 * size, 2 * size, bits)
    data = b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", described) + chunk(b"data", raw)
    assert heard(data, [11] * 100) == [(AudioFormat(24_000, 2), SAMPLE_TYPES[name].convert(raw))]


def test_the_first_sample_is_decoded_at_its_last_byte():
    data = wav(PCM)
    assert material.bytes_to_first_pcm(WavDecoder, data) == 44 + 2


@pytest.mark.parametrize("size", [None, 0xFFFFFFFF])
def test_chunks_before_the_data_are_skipped(size):
    assert heard(wav(PCM, before=LIST + chunk(b"fact", b"\1\2\3"), size=size)) == [(material.MONO24, PCM)]


def test_chunks_after_the_data_are_skipped():
    # wyoming_openai#73: trailing RIFF chunks play as a click.
    after = LIST + chunk(b"id3 ", b"ID3" + bytes(range(50))) + chunk(b"bext", b"odd")
    assert heard(wav(PCM, after=after)) == [(material.MONO24, PCM)]


def test_cut_in_a_chunk_after_the_data_is_not_an_error():
    assert heard(wav(PCM, after=LIST)[:-10]) == [(material.MONO24, PCM)]


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
def test_repeated_headers_are_skipped(size):
    # Kokoro-FastAPI#94: a WAV header in each chunk.
    pieces = [PCM[at : at + 480] for at in range(0, len(PCM), 480)]
    assert heard(b"".join(wav(piece, size=size) for piece in pieces)) == [(material.MONO24, PCM)]


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF])
def test_a_second_header_may_change_the_format(size):
    data = wav(PCM, size=size) + wav(OTHER, material.STEREO44, size=size)
    assert heard(data) == [(material.MONO24, PCM), (material.STEREO44, OTHER)]


def test_riff_inside_the_data_is_data():
    pcm = PCM[:100] + b"RIFF" + PCM[100:200] + b"RIFFabcdWAVX" + PCM[200:300] + b"RIF" + b"\0"
    for end in range(len(pcm) - 4, len(pcm) + 1, 2):
        assert heard(wav(pcm[:end], size=0), [1] * 500) == [(material.MONO24, pcm[:end])]


def test_odd_size_with_and_without_its_padding_byte():
    eight_bits = bytes(range(1, 100))
    first = wav(eight_bits, bits=8)
    for data in (first + wav(PCM), first[:-1] + wav(PCM)):
        assert [len(pcm) for _, pcm in heard(data)] == [2 * 99 + len(PCM)]


def test_trailing_zeros_are_padding_and_other_bytes_an_error():
    assert heard(wav(PCM) + bytes(100)) == [(material.MONO24, PCM)]
    with pytest.raises(DecodeError, match="belong to no chunk"):
        heard(wav(PCM) + b"\x01\x02\xfe\xff" * 50)


@pytest.mark.parametrize(
    ("tag", "bits", "codec"),
    [
        (1, 8, "pcm_u8"),
        (1, 24, "pcm_s24le"),
        (1, 32, "pcm_s32le"),
        (3, 32, "pcm_f32le"),
        (3, 64, "pcm_f64le"),
        (6, 8, "pcm_alaw"),
        (7, 8, "pcm_mulaw"),
    ],
)
@pytest.mark.parametrize("extensible", [False, True])
def test_sample_types_equal_ffmpeg(tag, bits, codec, extensible):
    import numpy as np

    raw = np.random.default_rng(bits).integers(0, 256, 24 * 80, dtype=np.uint8).tobytes()
    if tag == 3:
        raw = np.random.default_rng(bits).normal(0, 0.5, 400).astype(f"<f{bits // 8}").tobytes()
    guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
    extra = struct.pack("<HHI", 22, bits, 3) + guid if extensible else b""
    data = wav(raw, material.STEREO44, tag=0xFFFE if extensible else tag, bits=bits, extra=extra)
    audio_format, expected = material.reference(data, "wav")
    assert heard(data, [7] * 100) == [(audio_format, expected)]
    assert len(expected) == len(raw) * 8 // bits * 2


@pytest.mark.parametrize("cut", [0, 2, 444])
def test_an_end_between_two_frames_is_unmarked(cut):
    decoder = WavDecoder()
    decoder.decode(wav(PCM)[: 44 + cut])
    with pytest.raises(UnmarkedEnd, match=f" {len(PCM) - cut} bytes before the end"):
        decoder.flush()


def test_an_end_inside_a_frame_is_truncation():
    decoder = WavDecoder()
    decoder.decode(wav(PCM)[: 44 + 3])
    with pytest.raises(TruncatedAudio) as caught:
        decoder.flush()
    assert not isinstance(caught.value, UnmarkedEnd)


def test_truncation_reports_the_missing_bytes():
    data = wav(PCM)
    for missing in (1, 2, 333, len(PCM)):
        decoder = WavDecoder()
        whole = decoder.decode(data[: len(data) - missing])
        assert b"".join(c.data for c in whole) == PCM[: (len(PCM) - missing) // 2 * 2]
        with pytest.raises(TruncatedAudio, match=f" {missing} bytes before the end"):
            decoder.flush()


def test_every_cut_in_the_header_is_truncation():
    data = wav(PCM, before=LIST)
    for end in range(len(data) - len(PCM)):
        material.run(WavDecoder(), [data[:end]], truncated=True)


def test_a_cut_in_a_second_header_is_truncation():
    data = wav(PCM) + wav(PCM)[:43]
    for end in range(len(wav(PCM)) + 1, len(data)):
        assert material.joined(material.run(WavDecoder(), [data[:end]], truncated=True)) == [(material.MONO24, PCM)]


def test_half_a_frame_after_unsized_data_is_truncation():
    chunks = material.run(WavDecoder(), [wav(OTHER, material.STEREO44, size=0), b"\1\2\3"], truncated=True)
    assert material.joined(chunks) == [(material.STEREO44, OTHER)]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"RIFF\0\0\0\0AVI LIST", "no WAV"),
        (b"nothing of the kind", "no WAV"),
        (wav(PCM, tag=0x11, bits=4), "4-bit IMA ADPCM"),
        (wav(PCM, tag=0x55, bits=0), "MP3"),
        (wav(PCM, bits=40), "40-bit PCM"),
        (wav(PCM, AudioFormat(0, 1)), "0 Hz"),
        (wav(PCM, AudioFormat(0xFFFFFFFF, 1), bits=0), "4294967295 Hz"),
        (wav(PCM, AudioFormat(24_000, 64)), "64 channels"),
        (wav(PCM, AudioFormat(8000, 0)), "0 channels"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"data", PCM), "no format"),
        (b"RIFF\0\0\0\0WAVE" + chunk(b"fmt ", b"short"), "5 bytes"),
        (b"RIFF\0\0\0\0WAVEfmt \xff\xff\0\0", "65535 bytes"),
    ],
)
def test_unsupported_files_are_a_decode_error(data, message):
    with pytest.raises(DecodeError, match=message):
        WavDecoder().decode(data)


def test_pcm_before_junk_is_returned():
    decoder = WavDecoder()
    assert material.joined(decoder.decode(wav(PCM) + b"\x01\x02\xfe\xff" * 50)) == [(material.MONO24, PCM)]
    with pytest.raises(DecodeError, match="belong to no chunk"):
        decoder.flush()


def test_rf64():
    data = b"RF64" + wav(PCM, size=0xFFFFFFFF, before=chunk(b"ds64", bytes(28)))[4:]
    assert heard(data) == [(material.MONO24, PCM)]
