"""Opening an encoder: its output format, content type and errors."""

import subprocess
import sys

import pytest

from support import encoding, material
from voice_cli.audio import CODECS, AudioFormat, Encoding
from voice_cli.codecs import open_encoder
from voice_cli.errors import UsageError

MONO24 = material.MONO24


def test_every_requestable_codec_is_tested():
    assert {*CODECS, "mulaw"} == set(encoding.ALL)


@pytest.mark.parametrize(
    ("codec", "source", "rate", "decodes_to", "content_type"),
    [
        ("pcm", MONO24, None, MONO24, "audio/pcm; rate=24000; channels=1"),
        ("pcm", encoding.MONO22, 24_000, MONO24, "audio/pcm; rate=24000; channels=1"),
        ("wav", material.STEREO48, None, material.STEREO48, "audio/wav"),
        ("mp3", encoding.MONO22, None, encoding.MONO22, "audio/mpeg"),
        ("mp3", AudioFormat(22_254, 1), None, encoding.MONO22, "audio/mpeg"),
        ("mp3", AudioFormat(96_000, 2), None, material.STEREO48, "audio/mpeg"),
        ("mp3", MONO24, 44_100, material.MONO44, "audio/mpeg"),
        ("opus", MONO24, None, material.MONO48, "audio/ogg; codecs=opus"),
        ("opus", material.STEREO44, 48_000, material.STEREO48, "audio/ogg; codecs=opus"),
        ("aac", MONO24, None, MONO24, "audio/aac"),
        ("aac", AudioFormat(7_500, 1), None, AudioFormat(7_350, 1), "audio/aac"),
        ("flac", encoding.MONO22, None, encoding.MONO22, "audio/flac"),
        ("flac", MONO24, 16_000, encoding.MONO16, "audio/flac"),
        ("mulaw", material.STEREO48, None, AudioFormat(8000, 1), "audio/basic"),
        ("mulaw", MONO24, 8000, AudioFormat(8000, 1), "audio/basic"),
    ],
)
def test_encoding_and_content_type(codec, source, rate, decodes_to, content_type):
    encoder = open_encoder(codec, source, rate=rate)
    assert encoder.source == source
    assert encoder.encoding == Encoding(codec, decodes_to)
    assert encoder.content_type == content_type


@pytest.mark.parametrize(
    ("codec", "source", "rate", "message"),
    [
        ("vorbis", MONO24, None, "no codec 'vorbis'"),
        ("", MONO24, None, "no codec ''"),
        ("mp3", AudioFormat(24_000, 0), None, "0 channels"),
        ("pcm", AudioFormat(24_000, 3), None, "3 channels"),
        ("pcm", MONO24, 0, "at 0 Hz"),
        ("pcm", MONO24, -8000, "at -8000 Hz"),
        ("wav", MONO24, 3_999, "at 3999 Hz"),
        ("flac", MONO24, 96_001, "at 96001 Hz"),
        ("mp3", MONO24, 20_000, "no 20000 Hz"),
        ("aac", MONO24, 10_000, "no 10000 Hz"),
        ("opus", MONO24, 24_000, "48000 Hz, not 24000"),
        ("mulaw", MONO24, 16_000, "8000 Hz, not 16000"),
    ],
)
def test_an_unsupported_request_is_a_usage_error(codec, source, rate, message):
    with pytest.raises(UsageError, match=message) as caught:
        open_encoder(codec, source, rate=rate)
    assert "\n" not in caught.value.message


def test_hint_names_the_choices():
    with pytest.raises(UsageError) as caught:
        open_encoder("ogg", MONO24)
    assert caught.value.hint == "the codecs: pcm, wav, opus, mp3, aac, flac, mulaw"
    with pytest.raises(UsageError) as caught:
        open_encoder("mp3", MONO24, rate=20_000)
    assert caught.value.hint == "it has 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000"


def test_pcm_and_wav_without_conversion_load_no_library():
    program = (
        "import sys\n"
        "from voice_cli.audio import AudioFormat\n"
        "from voice_cli.codecs import open_encoder\n"
        "for codec in ('pcm', 'wav'):\n"
        "    open_encoder(codec, AudioFormat(24000, 1)).encode(b'xx')\n"
        "assert not {'av', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
