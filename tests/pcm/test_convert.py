"""Conversion of rate, channels and volume, independently of the cut."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support import material
from voice_cli.audio import AudioFormat
from voice_cli.pcm.convert import Converter, amplify

PAIRS = [
    (AudioFormat(24000, 1), AudioFormat(48000, 1)),
    (AudioFormat(44100, 1), AudioFormat(48000, 2)),
    (AudioFormat(44100, 2), AudioFormat(24000, 1)),
    (AudioFormat(22050, 1), AudioFormat(44100, 1)),
    (AudioFormat(8000, 1), AudioFormat(44100, 2)),
    (AudioFormat(24000, 1), AudioFormat(24000, 2)),
    (AudioFormat(48000, 2), AudioFormat(48000, 1)),
]


def converted(source, target, pieces):
    converter = Converter(source, target)
    return b"".join([converter.convert(piece) for piece in pieces] + [converter.flush()])


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda pair: str(pair).replace(" ", ""))
@settings(max_examples=15)
@given(cuts=st.lists(st.integers(0, 700), max_size=40))
def test_the_samples_do_not_depend_on_the_cut(source, target, cuts):
    data = material.speech(source, 0.1)
    whole = converted(source, target, [data])
    pieces = material.cut(data, [count * source.frame_bytes for count in cuts])
    assert converted(source, target, pieces) == whole


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=lambda pair: str(pair).replace(" ", ""))
@settings(max_examples=30)
@given(frames=st.integers(0, 60) | st.integers(0, 12_000))
@example(frames=1)
def test_the_duration_is_kept(source, target, frames):
    data = material.speech(source, 1.5)[: frames * source.frame_bytes]
    got = converted(source, target, material.every(480 * source.frame_bytes, data))
    assert len(got) == round(frames * target.rate / source.rate) * target.frame_bytes


@pytest.mark.parametrize(("rate", "wanted"), [(44100, 24000), (24000, 48000), (22050, 44100), (24000, 44100)])
def test_tone_keeps_its_frequency_and_phase(rate, wanted):
    def tone(hertz):
        return 10_000 * np.sin(2 * np.pi * 440 * np.arange(hertz // 2) / hertz)

    data = np.rint(tone(rate)).astype("<i2").tobytes()
    got = np.frombuffer(
        converted(AudioFormat(rate, 1), AudioFormat(wanted, 1), material.every(346, data)), "<i2"
    ).astype(float)
    inside = slice(wanted // 50, len(got) - wanted // 50)
    error = got[inside] - tone(wanted)[: len(got)][inside]
    assert np.sqrt(np.mean(error**2)) < 10, "60 dB below the tone"


def test_the_same_format_is_not_changed():
    converter = Converter(material.MONO24, material.MONO24)
    data = material.speech(material.MONO24, 0.1)
    assert converter.convert(data) is data
    assert converter.flush() == b""


def test_empty_input_gives_empty_output():
    converter = Converter(material.MONO24, material.MONO48)
    assert converter.convert(b"") == b""
    assert converter.flush() == b""


def test_mono_to_stereo_and_back():
    data = struct.pack("<4h", 100, -200, 300, 32767)
    both = struct.unpack("<8h", converted(AudioFormat(8000, 1), AudioFormat(8000, 2), [data]))
    assert both[::2] == both[1::2] == (100, -200, 300, 32767)
    sides = struct.pack("<4h", 100, 300, -1000, -3000)
    middle = struct.unpack("<2h", converted(AudioFormat(8000, 2), AudioFormat(8000, 1), [sides]))
    assert middle == pytest.approx((200, -2000), abs=1)


def test_mono_to_stereo_at_another_rate_has_the_same_level():
    data = material.speech(material.MONO24, 0.5)
    mono = struct.iter_unpack("<h", converted(material.MONO24, AudioFormat(48000, 1), [data]))
    stereo = struct.iter_unpack("<hh", converted(material.MONO24, AudioFormat(48000, 2), [data]))
    assert [(sample, sample) for (sample,) in mono] == list(stereo)


@pytest.mark.parametrize("channels", [3, 4, 6, 8])
def test_surround_is_mixed_to_stereo(channels):
    source = AudioFormat(48000, channels)
    data = material.speech(source, 0.1)
    assert len(converted(source, AudioFormat(48000, 2), [data])) == pytest.approx(4800 * 4, abs=8)


def test_volume_scales_rounds_and_clips():
    def louder(gain, *values):
        data = struct.pack(f"<{len(values)}h", *values)
        return struct.unpack(f"<{len(values)}h", amplify(data, gain))

    assert louder(0.5, 0, 100, -100, 32767, -32768) == (0, 50, -50, 16384, -16384)
    assert louder(4, 10_000, -10_000, 8191, -8192) == (32767, -32768, 32764, -32768)
    assert louder(0, 1, -1, 32767) == (0, 0, 0)


@given(st.binary(max_size=200).map(lambda data: data[: len(data) // 2 * 2]), st.floats(0, 4))
def test_volume_does_not_overflow(data, gain):
    before = np.frombuffer(data, "<i2").astype(float)
    after = np.frombuffer(amplify(data, gain), "<i2").astype(float)
    wanted = np.clip(before * gain, -32768, 32767)
    assert np.all(np.abs(after - wanted) <= 0.51 + 1e-6 * np.abs(wanted))


@pytest.mark.parametrize("gain", [0.0, 0.1, 0.5, 1.3, 4.0])
def test_volume_is_the_same_with_and_without_numpy(gain, monkeypatch):
    data = material.speech(AudioFormat(48000, 2), 0.1) + struct.pack("<4h", 32767, -32768, 5, -5)
    with_numpy = amplify(data, gain)
    monkeypatch.delitem(sys.modules, "numpy")
    assert amplify(data, gain) == with_numpy


def test_full_volume_returns_the_input():
    data = b"\1\2" * 10
    assert amplify(data, 1.0) is data
    assert amplify(b"", 2.0) == b""


def test_no_library_is_loaded_without_a_conversion():
    program = (
        "import sys\n"
        "from voice_cli.audio import AudioFormat\n"
        "from voice_cli.pcm.convert import Converter, amplify\n"
        "Converter(AudioFormat(24000, 1), AudioFormat(24000, 1)).convert(b'xx'); amplify(b'xx', 0.5)\n"
        "assert not {'av', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
