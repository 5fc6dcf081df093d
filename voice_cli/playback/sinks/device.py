"""The sound device, through PortAudio (python-sounddevice).

- The callback gets a raw buffer (`RawOutputStream`), so that numpy is not loaded.
- `outputBufferDacTime` is on PortAudio's clock, which differs between systems, so each callback computes the offset to
  ours. If a host reports no DAC time (0), the requested latency is used.
- Starting: in a running device, the first frame waits behind buffered silence. A stopped one has no such delay, but may
  be suspended: HDMI and Bluetooth start slowly, and lose frames meanwhile. So the device is opened early and plays
  silence; if it starts quickly, it is restarted for the first frame, so that its buffer begins with speech.
- Stopping: on some hosts, `CallbackStop` and `stop()` lose the end of the device's buffer. So the source supplies
  silence until the last frame's DAC time has passed, and then `close` drops only silence.
"""

import time
from collections.abc import Callable
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError, Hint
from voice_cli.playback.sinks.base import Sink
from voice_cli.playback.sinks.portaudio import load_sounddevice

LATENCY = 0.03
"""Seconds: the latency to ask of the device. With one of two cores busy, 25 ms underflow as rarely as 50 ms
(tests/bench/device.py); after an underflow, the next run asks for more (`playback/learned.py`)."""

QUICK_START = 0.005
"""Seconds: a device that starts within this time is restarted for the first frame."""


def output_devices() -> list[dict[str, Any]]:
    """Return the output devices: index, name, host API, channels, default rate (Hz), latency (s), default.

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

    def __init__(self, device: int | str | None = None, *, latency: float | None = None, wake: float = 0.0) -> None:
        self._device = device
        self._wanted_latency = LATENCY if latency is None else latency
        self._sounddevice: Any = None
        self._stream: Any = None
        self._starts_quickly = False
        self._pull: Callable[[memoryview, float, bool], None] | None = None
        self.wake = wake
        """Seconds of silence that `start` plays before the first frame, for devices that lose their first sound."""
        self._sounds_at = 0.0

    def open(self, wanted: AudioFormat) -> AudioFormat:
        self._sounddevice = load_sounddevice()
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
                self._start_silence()
                return candidate
        raise DeviceError(
            f"cannot open output device {info['name']!r}: {_reason(reasons[0])}",
            hint=Hint("see {list_devices} for another {device}; {save} FILE needs none"),
        ) from reasons[0]

    def _query(self) -> Any:
        try:
            return self._sounddevice.query_devices(self._device, "output")
        except (self._sounddevice.PortAudioError, ValueError) as exc:
            if self._device is None:
                message = "there is no output device"
                hint = Hint("see {list_devices}; {save} FILE needs none")
            else:
                message = f"cannot open output device {self._device!r}: no single device has that name or index"
                hint = Hint("see {list_devices}; {device} takes an index or a part of one name")
            raise DeviceError(message, hint=hint) from exc

    def start(self, pull: Callable[[memoryview, float, bool], None]) -> None:
        self._sounds_at = time.monotonic() + self.wake
        if self._starts_quickly:
            self._stream.abort(ignore_errors=True)
            self._pull = pull
            self._start()
        else:
            self._pull = pull

    def stop(self) -> None:
        """Stop at once; the device stays open. `resume` before the next `start`. Never raises."""
        self._pull = None
        if self._stream is not None:
            self._stream.abort(ignore_errors=True)

    def resume(self) -> None:
        """Prepare a stopped device for `start`: play silence, if it started slowly the last time."""
        if not self._starts_quickly:
            self._start_silence()

    def _start_silence(self) -> None:
        """Start, and note how long that takes: on a busy machine, it may take long once."""
        began = time.monotonic()
        self._start()
        self._starts_quickly = time.monotonic() - began <= QUICK_START

    def _start(self) -> None:
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as exc:
            raise DeviceError(f"cannot start the output device: {_reason(exc)}") from exc

    def _callback(self, out: Any, _frames: int, clock: Any, status: Any) -> None:
        view = memoryview(out).cast("B")
        pull = self._pull
        now = time.monotonic()
        if pull is None or now < self._sounds_at:
            view[:] = bytes(len(view))
            return
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
    """Return PortAudio's message without the error number and function name."""
    text = str(error.args[0]) if error.args else str(error)
    return text.removeprefix("Error opening RawOutputStream: ")
