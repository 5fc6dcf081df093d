"""PCM and WAV encoders: unchanged samples, with or without a header."""

from support import encoding, material
from voice_cli.audio import AudioFormat
from voice_cli.codecs import open_encoder
from voice_cli.codecs.wav import wav_header

PCM = encoding.voice(material.STEREO48, 0.1)


def test_pcm_is_not_changed():
    encoder = open_encoder("pcm", material.STEREO48)
    assert encoder.encode(PCM) == PCM
    assert encoder.finish() == b""


def test_a_wav_stream_has_one_header_without_a_length():
    encoder = open_encoder("wav", material.STEREO48)
    assert encoder.encode(PCM[:4]) == wav_header(material.STEREO48, None) + PCM[:4]
    assert encoder.encode(PCM[4:]) == PCM[4:]
    assert encoder.finish() == b""


def test_the_header_has_the_format_of_the_output():
    encoder = open_encoder("wav", encoding.MONO22, rate=24_000)
    assert encoder.encode(b"") == wav_header(AudioFormat(24_000, 1), None)


def test_an_empty_stream_is_a_header():
    assert open_encoder("wav", material.MONO24).finish() == wav_header(material.MONO24, None)
