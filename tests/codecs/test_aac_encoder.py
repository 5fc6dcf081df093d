"""AAC encoder: each packet follows an ADTS header with its length."""

import io

import av
import pytest

from support import encoding, material
from voice_cli.audio import AudioFormat
from voice_cli.codecs import aac
from voice_cli.codecs.headers import adts_header

RATES = (7350, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 96_000)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_every_frame_has_a_valid_header(rate, channels):
    source = AudioFormat(rate, channels)
    _, data = encoding.encoded("aac", source, encoding.voice(source, 0.5))
    at, count = 0, 0
    while at < len(data):
        header = adts_header(data, at)
        assert header is not None
        assert (header.samples, header.key) == (1024, (0, 1, rate, channels))
        at += header.length
        count += 1
    assert at == len(data)
    assert count == -(-source.frames(0.5) // 1024) + 1


@pytest.mark.parametrize("source", [material.MONO24, material.STEREO48], ids=str)
def test_equals_libavformats_muxer(source):
    pcm = encoding.voice(source, 0.5)
    sink = io.BytesIO()
    with av.open(sink, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=source.rate, options={"aac_coder": "fast"})
        stream.layout = "mono" if source.channels == 1 else "stereo"
        stream.bit_rate = aac._BIT_RATE * source.channels
        frame = av.AudioFrame("s16", stream.layout, source.frames(0.5))
        frame.sample_rate = source.rate
        frame.planes[0].update(pcm.ljust(frame.planes[0].buffer_size, b"\0"))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert encoding.encoded("aac", source, pcm)[1] == sink.getvalue()
