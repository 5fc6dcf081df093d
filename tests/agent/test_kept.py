"""What the agent keeps: the device, and backends."""

import threading

import pytest

from support.threads import WAIT
from voice_cli.agent import kept
from voice_cli.agent.kept import KeptBackends, KeptSink
from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError, UsageError
from voice_cli.playback.sinks import device

MONO = AudioFormat(24000, 1)


@pytest.fixture
def sink():
    made = KeptSink()
    yield made
    made.release()


def speak(sink, wanted=MONO, *, device=None, latency=0.03, wake=0.0):
    opened = sink.at(device, latency, wake).open(wanted)
    sink.start(lambda out, *_: None)
    assert sink.is_alive
    sink.close()
    return opened


def test_a_second_speech_uses_the_open_device(portaudio, sink):
    for _ in range(3):
        assert speak(sink) == MONO
    (stream,) = portaudio.streams
    assert (stream.active, stream.closed) == (False, False)
    sink.release()
    assert stream.closed
    assert sink.latency == 0.0


@pytest.mark.parametrize(
    "change",
    [{"wanted": AudioFormat(22050, 1)}, {"device": 1}, {"latency": 0.05}],
    ids=lambda change: next(iter(change)),
)
def test_another_format_or_device_is_opened_anew(portaudio, sink, change):
    speak(sink)
    speak(sink, **change)
    first, second = portaudio.streams
    assert (first.closed, second.closed) == (True, False)


def test_the_device_is_closed_after_seconds(portaudio, sink, monkeypatch):
    closed = threading.Event()
    monkeypatch.setattr(kept, "DEVICE_SECONDS", 0.0)
    speak(sink)
    monkeypatch.setattr(portaudio.streams[0], "close", lambda **_: closed.set())
    assert portaudio.streams[0].closed or closed.wait(WAIT)


def test_a_device_that_went_away_meanwhile_is_opened_anew(portaudio, sink, monkeypatch):
    speak(sink)
    monkeypatch.setattr(portaudio.streams[0], "start", lambda: (_ for _ in ()).throw(portaudio.PortAudioError("gone")))
    speak(sink)
    assert [stream.closed for stream in portaudio.streams] == [True, False]


def test_a_device_that_lost_its_server_meanwhile_is_opened_anew(portaudio, sink, monkeypatch):
    monkeypatch.setattr(device, "are_open", lambda _connections: len(portaudio.streams) > 1)
    sink.at(None, 0.03, 0.0).open(MONO)
    sink.close()
    portaudio.streams[0].start = None  # PortAudio would not return
    speak(sink)
    assert [stream.closed for stream in portaudio.streams] == [True, False]


def test_a_device_that_is_lost_in_a_speech_is_kept_as_it_was_opened_again(portaudio, sink):
    sink.at(None, 0.03, 0.0).open(MONO)
    sink.start(lambda out, *_: None)
    portaudio.streams[0].active = False
    assert not sink.is_alive
    assert sink.reopen(MONO) == MONO
    sink.start(lambda out, *_: None)
    sink.close()
    speak(sink)
    assert [stream.closed for stream in portaudio.streams] == [True, False]
    assert portaudio.initialized == 1


def test_a_device_that_cannot_be_opened_again_is_not_kept(portaudio, sink):
    sink.at(1, 0.03, 0.0).open(MONO)
    assert sink.name == "speakers"
    portaudio.refused = lambda *_: True
    with pytest.raises(DeviceError):
        sink.reopen(MONO)
    assert sink.name == "speakers"
    sink.close()
    portaudio.refused = lambda *_: False
    speak(sink, device=1)
    assert portaudio.streams[-1].active is False


def test_a_device_that_does_not_open_is_an_error_and_not_kept(portaudio, sink):
    portaudio.start_fails = True
    with pytest.raises(DeviceError):
        sink.at(None, 0.03, 0.0).open(MONO)
    sink.close()
    assert portaudio.initialized == 1, "the devices are listed again"
    portaudio.start_fails = False
    speak(sink)


def test_a_device_that_begins_to_play_is_not_closed_by_the_timer(portaudio, sink):
    """The timer fires while `open` has the lock."""
    speak(sink)
    timer = sink._timer
    sink.at(None, 0.03, 0.0).open(MONO)
    timer.function()
    sink.start(lambda out, *_: None)
    assert sink.is_alive


class Closing:
    def __init__(self, name, options):
        self.name, self.options, self.is_closed = name, options, False

    def close(self):
        self.is_closed = True


@pytest.fixture
def backends(monkeypatch):
    def open_backend(name, **options):
        if name == "none":
            raise UsageError("there is no backend 'none'")
        return Closing(name, options)

    monkeypatch.setattr(kept, "open_backend", open_backend)
    made = KeptBackends()
    yield made
    made.close()


def test_a_backend_is_kept_by_its_name_and_options(backends):
    with backends.use("espeak", {"a": 1}) as first:
        pass
    with backends.use("espeak", {"a": 1}) as second, backends.use("espeak", {"a": 2}) as third:
        assert second is first
        assert third is not first
    assert not first.is_closed
    backends.close()
    assert first.is_closed
    assert third.is_closed


def test_a_server_that_another_speech_uses_gets_a_connection_more(backends):
    with backends.use("http", {}) as first:
        with backends.use("http", {}) as second:
            assert second is not first
        assert second.is_closed
    with backends.use("http", {}) as again:
        assert again is first


def test_an_engine_is_shared(backends):
    with backends.use("espeak", {}) as first, backends.use("espeak", {}) as second:
        assert second is first


def test_the_one_not_used_for_longest_is_closed(backends):
    used = []
    for number in range(kept.MAX_BACKENDS + 1):
        with backends.use("espeak", {"number": number}) as backend:
            used.append(backend)
    assert [backend.is_closed for backend in used] == [True] + [False] * kept.MAX_BACKENDS


def test_a_backend_that_does_not_open_is_an_error(backends):
    with pytest.raises(UsageError), backends.use("none", {}):
        pass
