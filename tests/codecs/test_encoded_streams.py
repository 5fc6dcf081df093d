"""All encoders: the whole speech is encoded, independently of the cut, and a stream may stop anywhere."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import encoding, material
from voice_cli.audio import AudioFormat
from voice_cli.codecs import open_encoder
from voice_cli.pcm.convert import Converter

SOURCES = (encoding.MONO16, encoding.MONO22, material.MONO24, material.STEREO44, material.STEREO48)
STREAMS = [(codec, source) for codec in encoding.ALL for source in SOURCES]
streams = pytest.mark.parametrize(("codec", "source"), STREAMS, ids=str)
every_codec = pytest.mark.parametrize("codec", encoding.ALL)
few = settings(max_examples=8)

FILTER_SECONDS = 0.01
"""The longest time by which resampling delays samples."""


def codec_frame(codec: str, rate: int) -> int:
    """Return the number of samples in an MP3 or AAC frame."""
    return 1024 if codec == "aac" else 576 if rate <= 24_000 else 1152


def late(codec: str, source: AudioFormat) -> float:
    """Return how far the output may lag behind the input, in seconds."""
    rate = open_encoder(codec, source).encoding.format.rate
    held = {"flac": 0.04, "opus": 0.12}.get(codec, 0.0)
    if codec in encoding.LEAD:
        held = (encoding.LEAD[codec] + 2 * codec_frame(codec, rate)) / rate
    return held if rate == source.rate else held + FILTER_SECONDS


@cache
def whole(codec: str, source: AudioFormat, seconds: float = 0.6):
    return encoding.encoded(codec, source, encoding.voice(source, seconds))


def wanted(codec: str, source: AudioFormat, pcm: bytes) -> bytes:
    """Return the PCM that the stream should decode to."""
    target = open_encoder(codec, source).encoding.format
    converter = Converter(source, target)
    return converter.convert(pcm) + converter.flush()


def frames_of(codec: str, source: AudioFormat, frames: int) -> range:
    """Return the frame counts that a stream of `frames` source frames may decode to."""
    rate = open_encoder(codec, source).encoding.format.rate
    due = round(frames * rate / source.rate)
    if codec == "opus":
        return range(due - 3, due + 4) if 48_000 % source.rate else range(due, due + 1)
    if codec not in encoding.LEAD:
        return range(due, due + 1)
    frame = codec_frame(codec, rate)
    least = due + encoding.LEAD[codec]
    return range(-(-least // frame) * frame, least + 2 * frame, frame)


@streams
@few
@given(cuts=st.lists(st.integers(0, 3000), max_size=30))
def test_bytes_do_not_depend_on_the_cut(codec, source, cuts):
    pieces = material.cut(encoding.voice(source, 0.6), [count * source.frame_bytes for count in cuts])
    assert encoding.stream(open_encoder(codec, source), pieces) == whole(codec, source)[1]


@streams
def test_frame_by_frame_equals_the_whole(codec, source):
    pieces = material.every(source.frame_bytes, encoding.voice(source, 0.1))
    assert encoding.stream(open_encoder(codec, source), pieces) == whole(codec, source, 0.1)[1]


@streams
def test_engine_chunks_equal_the_whole(codec, source):
    pieces = material.every(source.frames(0.06) * source.frame_bytes, encoding.voice(source, 3.0))
    assert encoding.stream(open_encoder(codec, source), pieces) == whole(codec, source, 3.0)[1]


@streams
def test_decodes_to_the_whole_speech_at_its_position(codec, source):
    announced, data = whole(codec, source, 3.0)
    expected = wanted(codec, source, encoding.voice(source, 3.0))
    got = encoding.decoded(announced, data)
    assert len(got) // announced.format.frame_bytes in frames_of(codec, source, source.frames(3.0))
    if codec not in encoding.LOSSY:
        assert got == expected
        return
    theirs = encoding.mono(announced.format, expected)
    ours = encoding.mono(announced.format, got)[encoding.LEAD.get(codec, 0) :][: len(theirs)]
    assert len(ours) == pytest.approx(len(theirs), abs=3)
    theirs = theirs[: len(ours)]
    assert encoding.likeness(ours, theirs) > 0.99
    # No dropouts: each 5 ms of loud speech are loud in the output.
    size = announced.format.frames(0.005)
    loud = [at for at in range(0, len(ours) - size, size) if np.std(theirs[at : at + size]) > 500]
    assert len(loud) > 200
    assert all(np.std(ours[at : at + size]) > 0.4 * np.std(theirs[at : at + size]) for at in loud)


@streams
def test_ffmpeg_decodes_the_same(codec, source):
    material.need("ffmpeg")
    announced, data = whole(codec, source, 1.0)
    ours = encoding.decoded(announced, data)
    if codec == "pcm":
        assert ours == data
        return
    theirs = encoding.decoded_by_ffmpeg(announced, data)
    assert len(ours) == len(theirs)
    if codec not in encoding.LOSSY:
        assert ours == theirs
    else:
        assert encoding.likeness(encoding.mono(announced.format, ours), encoding.mono(announced.format, theirs)) > 0.999


@streams
def test_the_stream_is_valid_after_every_call(codec, source):
    announced, data = whole(codec, source)
    pcm = encoding.decoded(announced, data)
    encoder, sent, came = open_encoder(codec, source), b"", 0
    held = late(codec, source)
    for piece in material.every(source.frames(0.02) * source.frame_bytes, encoding.voice(source, 0.6)):
        sent += encoder.encode(piece)
        came += len(piece) // source.frame_bytes
        assert data.startswith(sent)
        if codec in ("mp3", "aac", "flac") and source.seconds(came) <= held:
            continue  # only frames, and perhaps none yet
        got = encoding.decoded(announced, sent, truncated=codec == "opus")
        assert pcm.startswith(got)
        lead = announced.format.seconds(encoding.LEAD.get(codec, 0))
        heard = announced.format.seconds(len(got) // announced.format.frame_bytes) - lead
        assert heard > source.seconds(came) - held - 1e-6
    assert sent + encoder.finish() == data


@pytest.mark.parametrize("seconds", [0, "one frame", 0.001, 0.01, 0.05])
@streams
def test_a_short_stream_is_valid(codec, source, seconds):
    material.need("ffmpeg")
    frames = 1 if seconds == "one frame" else source.frames(seconds)
    pcm = encoding.voice(source, 0.1)[: frames * source.frame_bytes]
    announced, data = encoding.encoded(codec, source, pcm)
    got = encoding.decoded(announced, data)
    # Formats of bare frames encode empty input as one silent frame.
    counted = frames or (1 if codec in ("mp3", "aac", "flac") else 0)
    assert len(got) // announced.format.frame_bytes in frames_of(codec, source, counted)
    if not frames:
        assert not any(got)
    if codec in ("pcm", "wav", "flac") and frames:
        assert got == pcm
    if codec not in ("pcm", "mulaw"):
        assert len(encoding.decoded_by_ffmpeg(announced, data)) == len(got)


@every_codec
def test_empty_input_changes_nothing(codec):
    pcm = encoding.voice(material.MONO24, 0.6)
    pieces = [b"", pcm[:4800], b"", b"", pcm[4800:], b""]
    assert encoding.stream(open_encoder(codec, material.MONO24), pieces) == whole(codec, material.MONO24)[1]


@every_codec
def test_concurrent_streams_are_independent(codec):
    pieces = list(material.every(2880, encoding.voice(material.MONO24, 0.6)))
    encoders = [open_encoder(codec, material.MONO24) for _ in range(3)]
    given = [b"", b"", b""]
    for piece in pieces:
        for index, encoder in enumerate(encoders):
            given[index] += encoder.encode(piece)
    for index, encoder in enumerate(encoders):
        given[index] += encoder.finish()
    assert set(given) == {whole(codec, material.MONO24)[1]}


@every_codec
def test_half_a_frame_is_a_value_error(codec):
    encoder = open_encoder(codec, material.STEREO48)
    with pytest.raises(ValueError, match="3 bytes are no whole frames of 48000 Hz stereo"):
        encoder.encode(b"abc")


@every_codec
def test_use_after_finish_is_a_runtime_error(codec):
    encoder = open_encoder(codec, material.MONO24)
    encoder.finish()
    with pytest.raises(RuntimeError, match="finished"):
        encoder.encode(b"")
    with pytest.raises(RuntimeError, match="finished"):
        encoder.finish()


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("codec", ["pcm", "wav", "mp3", "aac", "flac"])
def test_another_rate_is_one_stateful_conversion(codec, rate):
    pcm = encoding.voice(material.MONO24, 0.6)
    announced, data = encoding.encoded(codec, material.MONO24, pcm, rate=rate)
    assert announced.format.rate == rate
    pieces = material.every(700, pcm)
    assert encoding.stream(open_encoder(codec, material.MONO24, rate=rate), pieces) == data
    if codec in ("pcm", "wav", "flac"):
        converter = Converter(material.MONO24, AudioFormat(rate, 1))
        assert encoding.decoded(announced, data) == converter.convert(pcm) + converter.flush()
