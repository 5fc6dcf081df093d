"""The simulated device that the other tests use."""

import pytest

from support.null_sink import NullSink
from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError

MONO = AudioFormat(8000, 1)


def test_step_pulls_a_block_with_its_dac_time():
    sink = NullSink(latency=0.05, now=100.0)
    assert sink.open(MONO) == MONO
    asked = []

    def pull(out, dac_time, underflow, _discarded):
        asked.append((len(out), dac_time, underflow))
        out[:2] = b"\1\2"

    sink.start(pull)
    assert sink.step(80) == b"\1\2" + bytes(158)
    sink.step(40, underflow=True)
    assert asked == [(160, pytest.approx(100.05), False), (80, pytest.approx(100.06), True)]
    assert sink.now == pytest.approx(100.015)
    assert len(sink.heard) == 240


def test_is_alive_from_start_to_close():
    sink = NullSink()
    sink.open(MONO)
    assert not sink.is_alive
    sink.start(lambda *_: None)
    assert sink.is_alive
    sink.close()
    assert not sink.is_alive
    sink.close()


def test_open_again_for_another_format():
    sink = NullSink()
    sink.open(MONO)
    sink.start(lambda *_: None)
    sink.step(10)
    other = AudioFormat(44100, 2)
    assert sink.open(other) == other
    assert sink.opened == [MONO, other]
    assert not sink.is_alive
    assert sink.heard == b""


def test_supported_formats():
    sink = NullSink(rates=(48000, 44100), channels=2)
    assert sink.open(MONO) == AudioFormat(48000, 2)
    assert sink.open(AudioFormat(44100, 1)) == AudioFormat(44100, 2)
    with pytest.raises(DeviceError):
        NullSink(rates=()).open(MONO)


def test_calls_in_the_wrong_order_raise_runtime_error():
    sink = NullSink()
    with pytest.raises(RuntimeError):
        sink.start(lambda *_: None)
    sink.open(MONO)
    with pytest.raises(RuntimeError):
        sink.step(1)
