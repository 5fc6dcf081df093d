"""The source's own samples, bare or behind one header."""

from support import codecs, encoding
from voice_cli.audio import AudioFormat
from voice_cli.protocol.wav import wav_header
from voice_cli.server.encoders import open_encoder

PCM = encoding.voice(codecs.STEREO48, 0.1)


def test_pcm_goes_through():
    encoder = open_encoder("pcm", codecs.STEREO48)
    assert encoder.encode(PCM) == PCM
    assert encoder.finish() == b""


def test_a_wav_stream_has_one_header_that_promises_nothing():
    encoder = open_encoder("wav", codecs.STEREO48)
    assert encoder.encode(PCM[:4]) == wav_header(codecs.STEREO48, None) + PCM[:4]
    assert encoder.encode(PCM[4:]) == PCM[4:]
    assert encoder.finish() == b""


def test_the_header_is_that_of_what_comes_out():
    encoder = open_encoder("wav", encoding.MONO22, rate=24_000)
    assert encoder.encode(b"") == wav_header(AudioFormat(24_000, 1), None)


def test_a_header_alone_where_nothing_is_said():
    assert open_encoder("wav", codecs.MONO24).finish() == wav_header(codecs.MONO24, None)
