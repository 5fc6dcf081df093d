"""Content types, as they are written and as servers write them."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.codecs.media_types import DEFAULT_PCM, content_type_of, encoding_of
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
def test_codec(content_type, codec):
    assert encoding_of(content_type).codec == codec


@pytest.mark.parametrize(
    ("content_type", "audio_format"),
    [
        ("audio/pcm", None),
        ("audio/pcm;rate=16000", AudioFormat(16_000, 1)),
        ("audio/L16; rate=44100; channels=2", AudioFormat(44_100, 2)),
        ('audio/l16; Channels="2";RATE = "48000"', AudioFormat(48_000, 2)),
        ("audio/pcm;channels=2", AudioFormat(24_000, 2)),
        ("audio/pcm;rate=0", None),
        ("audio/pcm;rate=-5", None),
        ("audio/pcm;rate=fast", None),
        ("audio/pcm;rate=99999999999999999999", None),
        ("audio/pcm;rate=²", None),
        ('audio/pcm;x="a;rate=1\\"";rate=22050', AudioFormat(22_050, 1)),
        ('audio/pcm;x="rate=1;rate=22050', None),
        ('audio/pcm;rate=22050;x="\\', AudioFormat(22_050, 1)),
        ("audio/mpeg;rate=24000", None),
    ],
)
def test_format(content_type, audio_format):
    assert encoding_of(content_type).format == audio_format


@pytest.mark.parametrize("codec", [*CODECS, None])
def test_what_is_written_is_read(codec):
    audio_format = AudioFormat(22_050, 2) if codec == "pcm" else None
    encoding = Encoding(codec, audio_format)
    assert encoding_of(content_type_of(encoding)) == encoding


def test_the_default_is_openais():
    assert AudioFormat(24_000, 1) == DEFAULT_PCM


@given(st.text())
def test_any_text_is_read(text):
    assert encoding_of(text).codec is None or encoding_of(text).codec in BUILT_IN
    encoding_of(f"audio/pcm;{text}")
    encoding_of(f'audio/ogg;codecs="{text}')


@pytest.mark.parametrize("piece", ["x", ";", '"', '\\"', '";', ';a="b'])
def test_a_long_header_takes_linear_time(piece):
    """In quadratic time, a header of 4 MB exceeds the timeout of a test."""
    encoding_of("audio/pcm;" + piece * (4_000_000 // len(piece)))


def test_light_to_import():
    code = "import sys, voice_cli.codecs.media_types as m; print([m for m in ('email', 'av') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
