"""Content types, as this package writes them and as servers send them."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.codecs.media_types import DEFAULT_PCM, content_type_of, encoding_in, encoding_of
from voice_cli.codecs.table import BUILT_IN


@pytest.mark.parametrize(
    ("content_type", "codec"),
    [
        ("audio/pcm", "pcm"),
        ("audio/L16", "pcm"),
        ("audio/wav", "wav"),
        ("audio/x-wav", "wav"),
        ("audio/wave", "wav"),
        ("audio/vnd.wave;codec=1", "wav"),
        ("audio/mpeg", "mp3"),
        ("AUDIO/MP3", "mp3"),
        (" audio/mpeg ; charset=binary", "mp3"),
        ("audio/ogg", "opus"),
        ("audio/ogg; codecs=opus", "opus"),
        ('audio/ogg; codecs="Opus"', "opus"),
        ('audio/ogg; codecs="vorbis"', None),
        ("audio/opus", "opus"),
        ("audio/aac", "aac"),
        ("audio/aacp", "aac"),
        ("audio/flac", "flac"),
        ("audio/x-flac", "flac"),
        ("application/octet-stream", None),
        ("text/html; charset=utf-8", None),
        ("application/json", None),
        ("", None),
        (None, None),
        (";", None),
    ],
)
def test_codec_of_a_content_type(content_type, codec):
    assert encoding_of(content_type).codec == codec


@pytest.mark.parametrize(
    ("content_type", "audio_format"),
    [
        ("audio/pcm", None),
        ("audio/pcm;rate=16000", AudioFormat(16_000, 1)),
        ("audio/L16; rate=44100; channels=2", AudioFormat(44_100, 2)),
        ('audio/l16; Channels="2";RATE = "48000"', AudioFormat(48_000, 2)),
        ("audio/pcm;channels=2", AudioFormat(24_000, 2)),
        ("audio/pcm;channels=1", None),
        ('audio/pcm;x="a;rate=1\\"";rate=22050', AudioFormat(22_050, 1)),
        ('audio/pcm;x="rate=1;rate=22050', None),
        ('audio/pcm;rate=22050;x="\\', AudioFormat(22_050, 1)),
        ("audio/mpeg;rate=24000", None),
    ],
)
def test_format_of_a_content_type(content_type, audio_format):
    assert encoding_of(content_type).format == audio_format


@pytest.mark.parametrize(
    ("headers", "encoding"),
    [
        ({"content-type": "audio/pcm", "x-sample-rate": "22050"}, Encoding("pcm", AudioFormat(22_050, 1))),
        ({"content-type": "audio/pcm", "x-audio-sample-rate": "48000"}, Encoding("pcm", AudioFormat(48_000, 1))),
        (
            {"content-type": "audio/pcm", "x-sample-rate": "16000", "x-num-channels": "2"},
            Encoding("pcm", AudioFormat(16_000, 2)),
        ),
        (
            {"content-type": "audio/pcm;encoding=float;bits=32", "x-sample-rate": "16000", "x-channels": "1"},
            Encoding("pcm", AudioFormat(16_000, 1), "f32le"),
        ),
        ({"x-sample-rate": "16000"}, Encoding(None, AudioFormat(16_000, 1))),
        (
            {"content-type": "application/octet-stream", "x-sample-rate": "16000"},
            Encoding(None, AudioFormat(16_000, 1)),
        ),
        ({"content-type": "audio/pcm;rate=8000", "x-sample-rate": "16000"}, Encoding("pcm", AudioFormat(8_000, 1))),
        ({"content-type": "audio/pcm", "x-sample-rate": "fast"}, Encoding("pcm")),
        ({"content-type": "audio/pcm", "x-sample-rate": "0"}, Encoding("pcm")),
        ({"content-type": "audio/pcm", "x-channels": "2"}, Encoding("pcm")),
        ({"content-type": "audio/mpeg", "x-sample-rate": "16000"}, Encoding("mp3")),
        ({}, Encoding(None)),
    ],
)
def test_encoding_in_a_response_s_headers(headers, encoding):
    assert encoding_in(headers) == encoding


@pytest.mark.parametrize(
    ("content_type", "samples"),
    [
        ("audio/pcm", "s16le"),
        ("audio/pcm;encoding=float;bits=32", "f32le"),
        ("audio/pcm; encoding=pcm_f32le", "f32le"),
        ("audio/pcm;encoding=floating-point;bits=64;endian=big", "f64be"),
        ("audio/pcm; encoding=signed-integer; bits=24", "s24le"),
        ("audio/pcm;encoding=linear16", "s16le"),
        ("audio/pcm;codec=pcm;bit-depth=16", "s16le"),
        ("audio/x-raw; format=F32LE; rate=24000", "f32le"),
        ("audio/x-raw;format=S32BE", "s32be"),
        ("audio/x-raw;format=U8", "u8"),
        ("audio/l16;endianness=big-endian", "s16be"),
        ("audio/L16;endianness=little-endian", "s16le"),
        ("audio/raw;encoding=mu-law", "mulaw"),
        ("audio/raw;encoding=ALAW", "alaw"),
        ("audio/PCMA", "alaw"),
        ("audio/x-mulaw;rate=16000", "mulaw"),
    ],
)
def test_sample_type_of_a_content_type(content_type, samples):
    assert encoding_of(content_type)[0::2] == ("pcm", samples)


@pytest.mark.parametrize(
    "content_type",
    [
        *("audio/pcm;rate=0", "audio/pcm;rate=-5", "audio/pcm;rate=fast", "audio/pcm;rate=99999999999999999999"),
        *("audio/pcm;rate=²", "audio/pcm;rate=999", "audio/pcm;channels=0", "audio/pcm;channels=64"),
        *("audio/pcm;encoding=adpcm", "audio/pcm;encoding=float;bits=24", "audio/pcm;bits=12", "audio/pcm;bits=8"),
        *(
            "audio/mp4",
            "audio/webm",
            "audio/l24",
            "audio/amr",
            "audio/x-raw, format=F32LE",
            "video/mp4",
            "image/png",
            "text/plain",
            "text/html",
        ),
        *(
            "application/json; charset=utf-8",
            "application/problem+json",
            "multipart/form-data",
            "audio/ogg;codecs=vorbis",
        ),
    ],
)
def test_undecodable_types_are_named(content_type):
    assert encoding_of(content_type) == Encoding(None, unsupported=content_type)


@pytest.mark.parametrize("content_type", [None, "", "application/octet-stream", "audio/*", "application/x-stream"])
def test_generic_types_name_no_codec(content_type):
    assert encoding_of(content_type) == Encoding(None)


@pytest.mark.parametrize("codec", [*CODECS, None])
def test_content_types_round_trip(codec):
    audio_format = AudioFormat(22_050, 2) if codec == "pcm" else None
    encoding = Encoding(codec, audio_format)
    assert encoding_of(content_type_of(encoding)) == encoding


def test_default_pcm_format_is_openais():
    assert AudioFormat(24_000, 1) == DEFAULT_PCM


@given(st.text())
def test_any_text_is_accepted(text):
    assert encoding_of(text).codec is None or encoding_of(text).codec in BUILT_IN
    encoding_of(f"audio/pcm;{text}")
    encoding_of(f'audio/ogg;codecs="{text}')


@pytest.mark.parametrize("piece", ["x", ";", '"', '\\"', '";', ';a="b'])
def test_long_header_takes_linear_time(piece):
    """In quadratic time, a header of 4 MB would exceed the test's timeout."""
    encoding_of("audio/pcm;" + piece * (4_000_000 // len(piece)))


def test_no_slow_modules_are_imported():
    code = "import sys, voice_cli.codecs.media_types as m; print([m for m in ('email', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
