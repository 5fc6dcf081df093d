"""µ-law encoder: equals audioop's, independently of the cut."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import encoding, material
from voice_cli.audio import AudioFormat
from voice_cli.codecs import open_encoder
from voice_cli.codecs.frames import Frames
from voice_cli.pcm import g711
from voice_cli.pcm.convert import Converter

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # audioop-lts replaces it from Python 3.13 on
    import audioop

PHONE = AudioFormat(8000, 1)
EVERY_SAMPLE = np.arange(-32_768, 32_768).astype("<i2").tobytes()


def mulaw(source, pieces):
    return encoding.stream(open_encoder("mulaw", source), pieces)


def test_every_code_equals_audioops():
    assert mulaw(PHONE, [EVERY_SAMPLE]) == audioop.lin2ulaw(EVERY_SAMPLE, 2)


def test_every_code_round_trips():
    samples = g711.decode(bytes(range(256)))
    assert mulaw(PHONE, [samples]) == bytes(range(0x7F)) + b"\xff" + bytes(
        range(0x80, 0x100)
    )  # both zeros are one code


def test_silence_is_ff():
    assert mulaw(material.MONO24, [bytes(4800)]) == b"\xff" * 800


@pytest.mark.parametrize("source", [encoding.MONO16, encoding.MONO22, material.MONO24, material.STEREO48], ids=str)
@settings(max_examples=10)
@given(cuts=st.lists(st.integers(1, 2000), max_size=40))
def test_any_cut_equals_the_whole_utterance(source, cuts):
    pcm = encoding.voice(source, 0.7)
    converter = Converter(source, PHONE)
    at_once = audioop.lin2ulaw(converter.convert(pcm) + converter.flush(), 2)
    pieces = list(material.cut(pcm, [count * source.frame_bytes for count in cuts]))
    assert mulaw(source, pieces) == at_once
    # Fixed-size frames are the same data, and only the last is padded.
    encoder, frames = open_encoder("mulaw", source), Frames()
    sent = [frame for piece in pieces for frame in frames.cut(encoder.encode(piece))]
    sent += frames.cut(encoder.finish()) + frames.finish()
    assert {len(frame) for frame in sent} == {160}
    assert b"".join(sent) == at_once.ljust(len(sent) * 160, b"\xff")


def test_tones_above_4_khz_do_not_alias():
    time = np.arange(24_000) / 24_000
    high = (8000 * np.sin(2 * np.pi * 7000 * time)).astype("<i2").tobytes()
    heard = np.frombuffer(g711.decode(mulaw(material.MONO24, [high])), "<i2")
    assert np.std(heard[200:-200].astype(float)) < 10, "7 kHz would alias to 1 kHz"
