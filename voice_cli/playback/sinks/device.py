"""The sound device, through PortAudio (python-sounddevice).

Four things that PortAudio's users learn late are settled here:

- The callback gets a raw buffer (`RawOutputStream`), so no numpy is loaded for it.
- `outputBufferDacTime` is on PortAudio's clock, which is another one on each system; the offset to ours is taken in
  each callback. A host that gives no DAC time (0) is taken at its word about its latency.
- Starting: a running device plays what it holds before it plays us, so the first frame waits for all its latency. One
  that is stopped does not, but may be asleep: HDMI and Bluetooth take their time, and swallow what comes meanwhile. So
  it is opened and kept awake with silence while the server thinks, and started anew for the first frame, if it starts
  quickly: then the buffer is filled with speech at once, and the first frame leaves at once.
- Stopping: `CallbackStop` and `stop()` each lose the device's latency at the tail on some hosts. The player goes on
  pulling silence until the last frame's DAC time has passed, so closing here may drop what is left: it is silence.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError
from voice_cli.playback.sinks.base import Sink

LATENCY = 0.05
"""Seconds of sound that the device is asked to hold. The first frame does not wait for it (see `start`), so it costs
little: with one of two cores busy, 35 ms underflowed in 7 of 10 runs, this in 2, and 70 ms in no fewer; and on
PulseAudio each underflow loses what the device held (tests/bench/device.py)."""

QUICK_START = 0.005
"""Seconds: a host whose device starts within them is started anew for the first frame."""

NO_PORTAUDIO = {
    "linux": "install it: apt install libportaudio2 (or: dnf install portaudio)",
    "darwin": "install it: brew install portaudio",
}

SONAME = "libportaudio.so.2"
"""PortAudio on Linux."""

_loader: threading.Thread | None = None
"""The thread of `load_soon`."""


def load_sounddevice() -> Any:
    """Import sounddevice, which loads and starts PortAudio: tens of milliseconds, and noise on file descriptor 2.

    Raises:
        DeviceError: there is no PortAudio, or it does not start.

    """
    if _loader is not None and _loader is not threading.current_thread():
        _loader.join()  # two threads in PortAudio's start are one too many
    try:
        import sounddevice
    except OSError as exc:
        hint = NO_PORTAUDIO.get(sys.platform, "install PortAudio")
        raise DeviceError("the PortAudio library is missing", hint=hint) from exc
    except Exception as exc:  # sounddevice.PortAudioError, of a module that did not load
        raise DeviceError(f"PortAudio does not start: {exc}") from exc
    return sounddevice


def load_soon() -> None:
    """Begin to load PortAudio on a thread of its own: most of that time it waits for the system, and not for Python.

    What goes wrong shows when a device is opened. Not on Windows, where PortAudio's COM belongs to the thread that
    started it.

    While it `is_loading`, the process must not end as usual: the C library's farewell takes ALSA's and PulseAudio's
    data away under the thread (signal 11, in a third of such ends).
    """
    global _loader  # noqa: PLW0603  a process has one PortAudio
    if sys.platform != "win32":
        _loader = threading.Thread(target=_try_to_load, name="voice-portaudio", daemon=True)
        _loader.start()


def is_loading() -> bool:
    """Tell whether PortAudio is being loaded on the thread of `load_soon`."""
    return _loader is not None and _loader.is_alive()


def _try_to_load() -> None:
    with contextlib.suppress(DeviceError), _portaudio_started():
        load_sounddevice()


@contextlib.contextmanager
def _portaudio_started() -> Iterator[None]:
    """Have PortAudio started by when sounddevice starts it, which then only counts up.

    It waits 30 ms for the sound server without the interpreter: meanwhile what sounddevice stands on is imported, which
    takes almost as long.
    """
    try:
        import ctypes

        portaudio = ctypes.CDLL(SONAME)
    except OSError:
        yield  # elsewhere it is found by another name
        return
    starting = threading.Thread(target=portaudio.Pa_Initialize, name="voice-portaudio-start", daemon=True)
    starting.start()
    try:
        for name in ("ctypes.util", "platform", "sysconfig", "_sounddevice"):
            with contextlib.suppress(ImportError):
                import_module(name)
    finally:
        starting.join()
    yield
    portaudio.Pa_Terminate()


def output_devices() -> list[dict[str, Any]]:
    """List the devices that can play: index, name, host API, channels, default rate (Hz), latency (s), default.

    Raises:
        DeviceError: as `load_sounddevice`.

    """
    sounddevice = load_sounddevice()
    hosts = sounddevice.query_hostapis()
    default = sounddevice.default.device[1]
    return [
        {
            "index": index,
            "name": device["name"],
            "host": hosts[device["hostapi"]]["name"],
            "channels": device["max_output_channels"],
            "rate": round(device["default_samplerate"]),
            "latency": device["default_low_output_latency"],
            "default": index == default,
        }
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_output_channels"] > 0
    ]


class DeviceSink(Sink):
    """An output device by index, by (part of) its name, or the system's default."""

    def __init__(self, device: int | str | None = None, *, latency: float | None = None) -> None:
        self._device = device
        self._wanted_latency = LATENCY if latency is None else latency
        self._sounddevice: Any = None
        self._stream: Any = None
        self._starts_quickly = False
        self._pull: Callable[[memoryview, float, bool], None] | None = None

    def load(self) -> None:
        """Load PortAudio, which is most of what opening a device costs."""
        if self._sounddevice is None:
            self._sounddevice = load_sounddevice()

    def open(self, wanted: AudioFormat) -> AudioFormat:
        self.load()
        self.close()
        info = self._query()
        default_rate = round(info["default_samplerate"])
        channels = min(wanted.channels, max(1, info["max_output_channels"]))
        reasons = []
        for candidate in dict.fromkeys(
            AudioFormat(rate, count) for rate in (wanted.rate, default_rate) for count in (channels, 2)
        ):
            try:
                self._stream = self._sounddevice.RawOutputStream(
                    samplerate=candidate.rate,
                    channels=candidate.channels,
                    dtype="int16",
                    device=self._device,
                    latency=self._wanted_latency,
                    callback=self._callback,
                    prime_output_buffers_using_stream_callback=True,
                )
            except self._sounddevice.PortAudioError as exc:
                reasons.append(exc)
            else:
                began = time.monotonic()
                self._start()
                self._starts_quickly = time.monotonic() - began <= QUICK_START
                return candidate
        raise DeviceError(
            f"the output device {info['name']!r} does not open: {_reason(reasons[0])}",
            hint="voice devices lists the others; --device takes one, --save FILE needs none",
        ) from reasons[0]

    def _query(self) -> Any:
        try:
            return self._sounddevice.query_devices(self._device, "output")
        except (self._sounddevice.PortAudioError, ValueError) as exc:
            if self._device is None:
                message = "there is no output device"
                hint = "voice devices lists what the system has; --save FILE needs none"
            else:
                message = f"no single output device is {self._device!r}"
                hint = "voice devices lists them; --device takes a number or a part of one name"
            raise DeviceError(message, hint=hint) from exc

    def start(self, pull: Callable[[memoryview, float, bool], None]) -> None:
        if self._starts_quickly:
            self._stream.abort(ignore_errors=True)
            self._pull = pull
            self._start()
        else:
            self._pull = pull

    def _start(self) -> None:
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as exc:
            raise DeviceError(f"the output device does not start: {_reason(exc)}") from exc

    def _callback(self, out: Any, _frames: int, clock: Any, status: Any) -> None:
        view = memoryview(out).cast("B")
        pull = self._pull
        if pull is None:
            view[:] = bytes(len(view))
            return
        now = time.monotonic()
        dac_time = clock.outputBufferDacTime
        leaves_at = now + (dac_time - clock.currentTime if dac_time else self._wanted_latency)
        pull(view, leaves_at, status.output_underflow)

    def close(self) -> None:
        stream, self._stream = self._stream, None
        self._pull = None
        if stream is not None:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)

    @property
    def latency(self) -> float:
        return float(self._stream.latency) if self._stream is not None else 0.0

    @property
    def is_alive(self) -> bool:
        return self._stream is not None and bool(self._stream.active)


def _reason(error: Exception) -> str:
    """Give PortAudio's own words, without its error number and function name."""
    text = str(error.args[0]) if error.args else str(error)
    return text.removeprefix("Error opening RawOutputStream: ")
