"""WAV headers, read back by other readers."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_cli.audio import AudioFormat
from voice_cli.codecs.wav import HEADER_BYTES, UNKNOWN_SIZE, WavDecoder, wav_header


@given(st.integers(1, 192_000), st.integers(1, 8), st.integers(0, 400))
def test_standard_librarys_reader_accepts_it(rate, channels, frames):
    audio_format = AudioFormat(rate, channels)
    data = bytes(frames * audio_format.frame_bytes)
    header = wav_header(audio_format, len(data))
    assert len(header) == HEADER_BYTES
    with wave.open(io.BytesIO(header + data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, channels, 2)
        assert file.getnframes() == frames
        assert file.readframes(frames + 1) == data


def test_the_declared_sizes_are_right():
    header = wav_header(AudioFormat(8000, 2), 1000)
    assert struct.unpack_from("<I", header, 4) == (1000 + HEADER_BYTES - 8,)
    assert struct.unpack_from("<I", header, 40) == (1000,)
    assert struct.unpack_from("<IHH", header, 28) == (32_000, 4, 16), "byte rate, block size, bits per sample"


def test_unknown_length_is_declared_unknown():
    header = wav_header(AudioFormat(8000, 1), None)
    assert struct.unpack_from("<I", header, 4) == struct.unpack_from("<I", header, 40) == (UNKNOWN_SIZE,)


@pytest.mark.parametrize("size", [UNKNOWN_SIZE - 44, UNKNOWN_SIZE, 2**32, 2**40])
def test_too_long_data_gets_the_maximum_size(size):
    header = wav_header(AudioFormat(8000, 1), size)
    assert struct.unpack_from("<I", header, 4)[0] <= UNKNOWN_SIZE
    assert struct.unpack_from("<I", header, 40) == (UNKNOWN_SIZE - 44,)


@pytest.mark.parametrize("sized", [True, False])
def test_the_decoder_accepts_it(sized):
    audio_format = AudioFormat(22_050, 2)
    decoder = WavDecoder()
    chunks = decoder.decode(wav_header(audio_format, 400 if sized else None) + bytes(400)) + decoder.flush()
    assert {chunk.format for chunk in chunks} == {audio_format}
    assert b"".join(chunk.data for chunk in chunks) == bytes(400)
