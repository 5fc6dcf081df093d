"""All compressed codecs: streams decode like whole files however they are cut, and truncation is reported."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support import material
from voice_cli.audio import AudioFormat
from voice_cli.codecs import mpg123, opus
from voice_cli.codecs.aac import AacDecoder
from voice_cli.codecs.flac import FlacDecoder
from voice_cli.codecs.mp3 import Mp3Decoder
from voice_cli.codecs.opus import OpusDecoder
from voice_cli.errors import DecodeError, TruncatedAudio

DECODERS = {"mp3": material.mp3_decoder_by_pyav, "aac": AacDecoder, "flac": FlacDecoder, "opus": OpusDecoder}
MUXERS = {"mp3": "mp3", "aac": "aac", "flac": "flac", "opus": "ogg"}
if mpg123.library() is not None:
    DECODERS["mp3 by mpg123"] = Mp3Decoder
STREAMS = [
    (codec, audio_format, seekable)
    for codec in DECODERS
    for audio_format in (material.MONO24, material.MONO44, material.STEREO44, material.STEREO48)
    for seekable in (True, False)
    if codec != "opus" or audio_format.rate != 44_100
]
IDS = [f"{codec} {audio_format} {'file' if seekable else 'pipe'}" for codec, audio_format, seekable in STREAMS]
streams = pytest.mark.parametrize(("codec", "audio_format", "seekable"), STREAMS, ids=IDS)
few = settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def _one_libopus(monkeypatch):
    # The system's libopus and the one in PyAV's wheel may be different versions, whose output differs slightly.
    # These tests compare with PyAV's output; test_opus.py compares the two.
    monkeypatch.setattr(opus, "_opuslib", lambda: None)


def encoded(codec: str, *args: object, **options: object) -> bytes:
    return material.encoded(codec.partition(" ")[0], *args, **options)


@cache
def whole(codec: str, audio_format: AudioFormat, seekable: bool) -> tuple[AudioFormat, bytes]:
    data = encoded(codec, audio_format, seekable=seekable)
    if codec == "mp3 by mpg123":
        # Rounding differs from libavcodec's in the last bit.
        wanted_format, wanted = whole("mp3", audio_format, seekable)
        [(heard_format, heard)] = material.joined(material.run(DECODERS[codec](), [data]))
        assert heard_format == wanted_format
        assert len(heard) == len(wanted)
        difference = np.frombuffer(heard, "<i2").astype(int) - np.frombuffer(wanted, "<i2")
        assert np.abs(difference).max() <= 1
        return heard_format, heard
    return material.reference(data, MUXERS[codec], decoder="libopus" if codec == "opus" else None)


@streams
def test_equals_a_whole_file_decode(codec, audio_format, seekable):
    data = encoded(codec, audio_format, seekable=seekable)
    assert material.joined(material.run(DECODERS[codec](), [data])) == [whole(codec, audio_format, seekable)]


@streams
def test_byte_by_byte_equals_the_whole_file(codec, audio_format, seekable):
    data = encoded(codec, audio_format, seekable=seekable)
    chunks = material.run(DECODERS[codec](), material.every(1, data))
    assert material.joined(chunks) == [whole(codec, audio_format, seekable)]


@pytest.mark.parametrize("size", [3, 127, 1021, 4096])
@pytest.mark.parametrize("codec", DECODERS)
def test_even_cuts_equal_the_whole_file(codec, size):
    data = encoded(codec, material.STEREO48)
    chunks = material.run(DECODERS[codec](), material.every(size, data))
    assert material.joined(chunks) == [whole(codec, material.STEREO48, True)]


@pytest.mark.parametrize("codec", DECODERS)
@few
@given(sizes=st.lists(st.integers(1, 700), max_size=100))
def test_any_cut_equals_the_whole_file(codec, sizes):
    data = encoded(codec, material.MONO24)
    chunks = material.run(DECODERS[codec](), material.cut(data, sizes))
    assert material.joined(chunks) == [whole(codec, material.MONO24, True)]


@pytest.mark.parametrize("codec", [codec for codec in DECODERS if codec != "aac"])
def test_start_and_end_are_complete(codec):
    # ADTS cannot declare encoder delay and padding.
    _, pcm = whole(codec, material.STEREO48, True)
    over = len(pcm) // material.STEREO48.frame_bytes - material.STEREO48.frames(0.6)
    # libavformat's Ogg muxer does not trim a full last packet: 312 samples of pre-skip remain.
    assert over == (312 if codec == "opus" else 0)


@streams
def test_a_cut_end_returns_all_whole_frames_and_raises_truncated(codec, audio_format, seekable):
    data = encoded(codec, audio_format, seekable=seekable)
    make = DECODERS[codec]
    decoder, total, given_at = make(), 0, [0]
    for byte in material.every(1, data):
        total += sum(len(chunk.data) for chunk in decoder.decode(byte))
        given_at.append(total)
    boundaries = [n for n in range(1, len(data)) if given_at[n] > given_at[n - 1]]
    interesting = {m for n in boundaries for m in (n - 1, n, n + 1, n + 5)} | set(range(1, len(data), 997))
    complete = 0
    _, pcm = whole(codec, audio_format, seekable)
    for end in sorted(interesting - {len(data)}):
        decoder = make()
        got = b"".join(chunk.data for chunk in decoder.decode(data[:end]))
        assert got == pcm[: given_at[end]]
        try:
            assert decoder.flush() == []
        except (TruncatedAudio, DecodeError):
            continue
        complete += 1
    if codec in ("opus", "flac") or (codec.startswith("mp3") and seekable):
        # A FLAC stream without a total may end after any frame, like bare MP3 or AAC frames.
        assert complete == 0 or (codec == "flac" and not seekable)


@pytest.mark.parametrize("codec", DECODERS)
def test_a_cut_inside_a_frame_is_truncation(codec):
    data = encoded(codec, material.MONO24)
    decoder = DECODERS[codec]()
    decoder.decode(data[: len(data) * 2 // 3])
    with pytest.raises(TruncatedAudio, match="stopped"):
        decoder.flush()


@pytest.mark.parametrize("codec", DECODERS)
def test_pcm_is_returned_throughout_the_stream(codec):
    # voice-mode: "the first 32 KB play, then silence until the download ends".
    data = encoded(codec, material.STEREO44 if codec != "opus" else material.STEREO48, 2.0)
    decoder, quiet = DECODERS[codec](), 0
    for piece in material.every(64, data):
        quiet = 0 if decoder.decode(piece) else quiet + len(piece)
        assert quiet <= (20_000 if codec == "flac" else 2_000)  # the longest frame


@pytest.mark.parametrize("codec", DECODERS)
@given(data=st.binary(max_size=400))
def test_garbage_is_a_decode_error(codec, data):
    decoder = DECODERS[codec]()
    try:
        decoder.decode(data)
        decoder.flush()
    except (DecodeError, TruncatedAudio):
        return
    assert not data or not data.strip(b"\0"), "garbage was decoded as audio"


@pytest.mark.parametrize("codec", DECODERS)
@few
@given(st.data())
def test_damage_raises_only_decode_errors(codec, data):
    stream = bytearray(encoded(codec, material.MONO24))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        stream[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    pieces = list(material.cut(bytes(stream), data.draw(st.lists(st.integers(1, 900), max_size=40))))
    outcomes = []
    for cuts in (pieces, [bytes(stream)]):
        decoder, chunks = DECODERS[codec](), []
        try:
            for piece in cuts:
                chunks += decoder.decode(piece)
            decoder.flush()
        except (DecodeError, TruncatedAudio):
            pass
        outcomes.append(material.joined(chunks))
    # Compare lengths: libavcodec may decode corrupt frames differently by a bit from one call to the next.
    assert [(f, len(pcm)) for f, pcm in outcomes[0]] == [(f, len(pcm)) for f, pcm in outcomes[1]]


@pytest.mark.parametrize("codec", DECODERS)
def test_noise_is_a_decode_error(codec):
    noise = b"\x55\xaa\xff" * 50_000
    with pytest.raises(DecodeError):
        DECODERS[codec]().decode(noise)


@pytest.mark.parametrize("codec", DECODERS)
def test_pcm_before_an_error_is_returned(codec):
    data = encoded(codec, material.MONO24)
    decoder = DECODERS[codec]()
    chunks = decoder.decode(data + b"\x55\xaa" * 100_000)
    assert material.joined(chunks) == [whole(codec, material.MONO24, True)]
    for _ in range(2):
        with pytest.raises(DecodeError, match="in a row"):
            decoder.decode(b"\x55")
    with pytest.raises(DecodeError, match="in a row"):
        decoder.flush()
