"""DeviceSink on a fake PortAudio: the formats tried, the errors, and the callback. tests/e2e uses a real one."""

import sys
import threading
import time

import pytest

from support.portaudio import FakeStream, PortAudioError
from support.threads import WAIT, wait_until
from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError
from voice_cli.playback.sinks import device
from voice_cli.playback.sinks.device import DeviceSink, output_devices
from voice_cli.playback.sinks.portaudio import is_busy, is_stuck, reload_devices

MONO = AudioFormat(24000, 1)


def test_the_device_is_opened_at_the_streams_format(portaudio):
    sink = DeviceSink()
    assert sink.latency == 0.0
    assert sink.open(MONO) == MONO
    assert portaudio.tried == [(24000, 1)]
    assert portaudio.streams[0].pull(10) == bytes(20), "only silence plays before start"
    assert sink.latency == pytest.approx(0.031)


def test_refused_format_falls_back_to_the_default_rate_and_stereo(portaudio):
    portaudio.refused = lambda rate, channels: (rate, channels) != (48000, 2)
    assert DeviceSink().open(MONO) == AudioFormat(48000, 2)
    assert portaudio.tried[0] == (24000, 1)
    assert len(portaudio.tried) == len(set(portaudio.tried)) == 4


def test_channels_are_limited_to_those_of_the_device(portaudio):
    assert DeviceSink().open(AudioFormat(48000, 6)) == AudioFormat(48000, 2)
    assert portaudio.tried == [(48000, 2)]


def test_device_that_refuses_all_formats_is_an_error(portaudio):
    portaudio.refused = lambda *_: True
    with pytest.raises(DeviceError) as caught:
        DeviceSink().open(MONO)
    assert "cannot open output device 'speakers'" in caught.value.message
    assert "Invalid sample rate" in caught.value.message
    assert "RawOutputStream" not in caught.value.message
    assert "{device}" in caught.value.hint.template


def test_opening_again_closes_the_stream(portaudio):
    sink = DeviceSink()
    sink.open(MONO)
    sink.open(AudioFormat(44100, 2))
    assert portaudio.streams[0].closed
    assert not portaudio.streams[1].closed
    sink.close()
    sink.close()
    assert portaudio.streams[1].aborted
    assert portaudio.streams[1].closed
    assert sink.latency == 0.0
    assert not sink.is_alive


def test_is_alive_while_the_stream_is_active(portaudio):
    sink = DeviceSink()
    assert not sink.is_alive
    sink.open(MONO)
    sink.start(lambda *_: None)
    assert sink.is_alive
    portaudio.streams[0].active = False
    assert not sink.is_alive


def test_device_that_does_not_start_is_an_error(portaudio):
    portaudio.start_fails = True
    sink = DeviceSink()

    def play():
        sink.open(MONO)
        sink.start(lambda *_: None)

    with pytest.raises(DeviceError, match="cannot start"):
        play()
    sink.close()
    assert all(stream.closed for stream in portaudio.streams)


def test_dac_times_are_on_the_monotonic_clock(portaudio):
    pulled = []

    def pull(out, dac_time, underflow, _discarded):
        pulled.append((dac_time, underflow))
        out[:] = b"\7" * len(out)

    sink = DeviceSink()
    sink.open(AudioFormat(24000, 2))
    sink.start(pull)
    before = time.monotonic()
    assert portaudio.streams[0].pull(10, adc=0.123) == b"\7" * 40
    portaudio.streams[0].pull(10, adc=0.123, underflow=True)
    after = time.monotonic()
    for dac_time, _ in pulled:
        assert before + 0.123 <= dac_time <= after + 0.123
    assert [underflow for _, underflow in pulled] == [False, True]


@pytest.mark.parametrize(("adc", "discarded"), [(-0.001, True), (10.0, False)])
def test_a_block_that_came_too_late_was_discarded(portaudio, adc, discarded):
    pulled = []
    sink = DeviceSink()
    sink.open(MONO)
    sink.start(lambda _out, _dac_time, *flags: pulled.append(flags))
    for underflow in (False, False, True):
        portaudio.streams[0].pull(10, adc=adc, underflow=underflow)
    assert pulled == [(False, False), (False, False), (True, discarded)]


@pytest.mark.parametrize("seconds", [-1.0, 10.0])
def test_only_a_device_that_starts_quickly_is_restarted(portaudio, monkeypatch, seconds):
    monkeypatch.setattr(device, "QUICK_START", seconds)
    sink = DeviceSink()
    sink.open(MONO)
    (stream,) = portaudio.streams
    sink.start(lambda out, *_: out.__setitem__(slice(None), b"\7" * len(out)))
    assert stream.aborted == (seconds > 0)
    assert stream.active
    assert stream.pull(10) == b"\7" * 20


def test_without_dac_times_the_latency_is_used(portaudio):
    pulled = []
    sink = DeviceSink(latency=0.05)
    sink.open(MONO)
    sink.start(lambda _out, dac_time, *_: pulled.append(dac_time))
    before = time.monotonic()
    portaudio.streams[0].pull(10)
    assert before < pulled[0] <= time.monotonic() + 0.06


@pytest.mark.parametrize(("name", "words"), [("two", "'two'"), (99, "99"), ("nothing", "'nothing'")])
def test_missing_device_is_an_error(portaudio, name, words):
    with pytest.raises(DeviceError) as caught:
        DeviceSink(name).open(MONO)
    assert words in caught.value.message
    assert "the list of devices" in str(caught.value.hint)


def test_the_nearest_name_of_a_device_is_suggested(portaudio):
    with pytest.raises(DeviceError, match="did you mean 'speakers'"):
        DeviceSink("speekers").open(MONO)


def test_no_device_is_an_error(portaudio):
    portaudio.devices = []
    with pytest.raises(DeviceError, match="no output device"):
        DeviceSink().open(MONO)


def test_output_devices_are_listed(portaudio):
    assert output_devices() == [
        {
            "index": 1,
            "name": "speakers",
            "host": "ALSA",
            "channels": 2,
            "rate": 48000,
            "latency": 0.01,
            "default": True,
        }
    ]


@pytest.mark.parametrize(
    ("platform", "line"),
    [("linux", "libportaudio2"), ("darwin", "brew install portaudio"), ("sunos5", "install PortAudio")],
)
def test_a_missing_portaudio_has_an_install_hint(monkeypatch, platform, line):
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Raising(OSError("PortAudio library not found")), *sys.meta_path])
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(DeviceError, match="PortAudio library is missing") as caught:
        DeviceSink().open(MONO)
    assert line in caught.value.hint


class Raising:
    """A module finder that raises an error for sounddevice."""

    def __init__(self, error):
        self._error = error

    def find_spec(self, name, *_):
        if name == "sounddevice":
            raise self._error


def test_portaudio_that_does_not_start_is_an_error(monkeypatch):
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Raising(PortAudioError("Error initializing PortAudio")), *sys.meta_path])
    with pytest.raises(DeviceError, match="does not start"):
        DeviceSink().open(MONO)


def test_wake_plays_silence_first(portaudio, monkeypatch):
    sink = DeviceSink(wake=0.5)
    sink.open(MONO)
    now = time.monotonic()
    monkeypatch.setattr(device.time, "monotonic", lambda: now)
    sink.start(lambda out, *_: out.__setitem__(slice(None), b"\1" * len(out)))
    assert portaudio.streams[0].pull(10) == bytes(20)
    now += 0.6
    assert portaudio.streams[0].pull(10) == b"\1" * 20


def test_a_device_that_started_slowly_once_is_measured_again(portaudio, monkeypatch):
    now = 0.0
    sink = DeviceSink()
    start = FakeStream.start

    def start_slowly(stream):
        nonlocal now
        now += 0.02 if not now else 0.0
        start(stream)

    monkeypatch.setattr(FakeStream, "start", start_slowly)
    monkeypatch.setattr(device.time, "monotonic", lambda: now)
    sink.open(MONO)
    (stream,) = portaudio.streams
    sink.start(lambda *_: None)
    assert not stream.aborted, "it plays silence, since it started slowly"
    sink.stop()
    sink.resume()
    stream.aborted = False
    sink.start(lambda *_: None)
    assert stream.aborted, "it is started again for the first frame"


def test_a_stopped_device_stays_open_and_starts_again(portaudio):
    sink = DeviceSink()
    sink.open(MONO)
    sink.start(lambda out, *_: out.__setitem__(slice(None), b"\1" * len(out)))
    sink.stop()
    (stream,) = portaudio.streams
    assert (stream.active, stream.closed) == (False, False)
    sink.resume()
    sink.start(lambda out, *_: out.__setitem__(slice(None), b"\2" * len(out)))
    assert stream.pull(2) == b"\2" * 4
    assert sink.is_alive


def test_a_device_that_stopped_by_itself_is_not_started(portaudio):
    """PortAudio would not return."""
    sink = DeviceSink()
    sink.open(MONO)
    (stream,) = portaudio.streams
    stream.active = False
    stream.start = stream.abort = None
    with pytest.raises(DeviceError, match="stopped"):
        sink.start(lambda *_: None)


def test_a_stopped_device_that_lost_its_server_is_not_started(portaudio, monkeypatch):
    connections = iter([frozenset(), frozenset({(1 << 20, "socket:[1]")})])
    monkeypatch.setattr(device, "server_connections", lambda: next(connections))
    sink = DeviceSink()
    sink.open(MONO)
    sink.stop()
    portaudio.streams[0].start = None
    for call in (sink.resume, lambda: sink.start(lambda *_: None)):
        with pytest.raises(DeviceError, match="stopped"):
            call()


def test_a_stopped_device_that_does_not_answer_is_left(portaudio, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(device, "START_SECONDS", 0.0)
    sink = DeviceSink()
    sink.open(MONO)
    sink.stop()
    (stuck,) = portaudio.streams
    monkeypatch.setattr(stuck, "start", lambda: answered.wait(WAIT))
    try:
        with pytest.raises(DeviceError, match="does not answer"):
            sink.start(lambda *_: None)
        assert is_stuck()
        assert is_busy()
        sink.close()
        assert not stuck.closed, "it is not touched"
        assert sink.reopen(MONO) == MONO
        assert portaudio.initialized == 0
        with pytest.raises(DeviceError, match="does not answer"):
            reload_devices()
        sink.start(lambda out, *_: out.__setitem__(slice(None), b"\1" * len(out)))
        assert portaudio.streams[1].pull(2) == b"\1" * 4
        assert stuck.pull(2) == bytes(4), "only the open stream pulls"
    finally:
        answered.set()
    wait_until(lambda: not is_stuck(), "the call has not ended")


def test_a_device_that_hangs_is_closed_on_a_thread(portaudio, monkeypatch):
    answered = threading.Event()
    monkeypatch.setattr(device, "CLOSE_SECONDS", 0.0)
    monkeypatch.setattr(device, "HUNG_SECONDS", -1.0)
    for end in ("close", "stop"):
        sink = DeviceSink()
        sink.open(MONO)
        sink.start(lambda *_: None)
        stream = portaudio.streams[-1]
        monkeypatch.setattr(stream, "abort", lambda **_: answered.wait(WAIT))
        getattr(sink, end)()
        assert not sink.is_alive
        assert not stream.closed
    answered.set()
    wait_until(lambda: not is_stuck(), "the call has not ended")
    assert all(stream.closed for stream in portaudio.streams)


def test_reopening_lists_the_devices_anew(portaudio):
    sink = DeviceSink(1)
    sink.open(MONO)
    assert sink.name == "speakers"
    portaudio.devices.insert(0, portaudio.devices[0])
    assert sink.reopen(MONO) == MONO
    assert portaudio.initialized == 1
    assert portaudio.streams[0].closed
    assert portaudio.streams[1].options["device"] == "speakers", "it may have another number"


def test_a_portaudio_that_does_not_start_again_is_tried_again(portaudio):
    sink = DeviceSink()
    sink.open(MONO)
    portaudio.initialize_fails = True
    for _ in range(2):
        with pytest.raises(DeviceError, match="does not start"):
            sink.reopen(MONO)
    portaudio.initialize_fails = False
    assert sink.reopen(MONO) == MONO
    assert sink.name is None
