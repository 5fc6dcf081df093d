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

import contextlib
import time
from functools import partial
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError, Hint, nearest
from voice_cli.playback.sinks.base import Pull, Sink
from voice_cli.playback.sinks.connections import are_open, server_connections
from voice_cli.playback.sinks.portaudio import call_within, is_stuck, load_sounddevice, reload_devices

LATENCY = 0.03
"""Seconds: the latency to ask of the device. With one of two cores busy, 25 ms underflow as rarely as 50 ms
(tests/bench/device.py); after an underflow, the next run asks for more (`playback/learned.py`)."""

START_SECONDS = 1.5
"""Seconds in which a stopped device starts; PortAudio itself waits for 1 s, and can then be stuck."""

HUNG_SECONDS = 1.0
"""Seconds without a callback after which a device may be stuck, so that it is closed on another thread."""

CLOSE_SECONDS = 1.0
"""Seconds to wait for that thread."""

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
        self._pull: Pull | None = None
        self.wake = wake
        """Seconds of silence that `start` plays before the first frame, for devices that lose their first sound."""
        self._sounds_at = 0.0
        self._token = object()
        """Of the open stream."""
        self._is_running = False
        """Whether it was started and not stopped."""
        self._pulled_at = 0.0
        self._was_late = False
        """Whether the last block was ready only after its first frame was due."""
        self._connections: frozenset[tuple[int, str]] = frozenset()
        """The open device's connections to an audio server."""
        self._name: str | None = None
        """The name of the device that was opened."""

    def open(self, wanted: AudioFormat) -> AudioFormat:
        self._sounddevice = load_sounddevice()
        self.close()
        info = self._query()
        self._name = info["name"]
        default_rate = round(info["default_samplerate"])
        channels = min(wanted.channels, max(1, info["max_output_channels"]))
        before = server_connections()
        reasons = []
        for candidate in dict.fromkeys(
            AudioFormat(rate, count) for rate in (wanted.rate, default_rate) for count in (channels, 2)
        ):
            self._token = object()
            try:
                self._stream = self._sounddevice.RawOutputStream(
                    samplerate=candidate.rate,
                    channels=candidate.channels,
                    dtype="int16",
                    device=self._device,
                    latency=self._wanted_latency,
                    callback=partial(self._callback, self._token),
                    prime_output_buffers_using_stream_callback=True,
                )
            except self._sounddevice.PortAudioError as exc:
                reasons.append(exc)
            else:
                self._connections = server_connections() - before
                self._start_silence()
                return candidate
        raise DeviceError(
            f"cannot open output device {info['name']!r}: {_reason(reasons[0])}",
            hint=Hint("see {list_devices} for another {device}; {save} FILE needs none"),
        ) from reasons[0]

    def reopen(self, wanted: AudioFormat) -> AudioFormat:
        self.close()
        if not is_stuck():
            reload_devices()
        if isinstance(self._device, int):  # the devices may have other numbers now
            names = [device["name"] for device in output_devices()]
            if names.count(self._name) == 1:
                self._device = self._name
        return self.open(wanted)

    def _query(self) -> Any:
        try:
            return self._sounddevice.query_devices(self._device, "output")
        except (self._sounddevice.PortAudioError, ValueError) as exc:
            if self._device is None:
                message = "there is no output device"
                hint = Hint("see {list_devices}; {save} FILE needs none")
            else:
                near = nearest(str(self._device), (device["name"] for device in output_devices()))
                message = f"cannot open output device {self._device!r}: no single device has that name or index{near}"
                hint = Hint("see {list_devices}; {device} takes an index or a part of one name")
            raise DeviceError(message, hint=hint) from exc

    def start(self, pull: Pull) -> None:
        self._check()
        self._sounds_at = time.monotonic() + self.wake
        self._was_late = False
        if self._starts_quickly:
            was_running = self._is_running
            self._stream.abort(ignore_errors=True)
            self._pull = pull
            if was_running:
                self._start()
            else:
                self._start_stopped()
        else:
            self._pull = pull

    def stop(self) -> None:
        """Stop at once; the device stays open. `resume` before the next `start`. Never raises."""
        if self._is_hung:
            self.close()
        self._pull, self._is_running = None, False
        if self._stream is not None:
            self._stream.abort(ignore_errors=True)

    def resume(self) -> None:
        """Prepare a stopped device for `start`: play silence, if it started slowly the last time.

        Raises:
            DeviceError: it must be opened again.

        """
        self._check()
        if not self._starts_quickly:
            began = time.monotonic()
            self._start_stopped()
            self._starts_quickly = time.monotonic() - began <= QUICK_START

    def _check(self) -> None:
        """Raise if the device has stopped by itself, or has lost its server: then PortAudio would wait for ever."""
        if self._stream is None or (self._is_running and not self.is_alive) or not are_open(self._connections):
            raise DeviceError("the output device stopped")

    def _start_stopped(self) -> None:
        """Start a device that was stopped for some time, in which its server may have lost it."""
        try:
            call_within(START_SECONDS, partial(self._start_stream, self._stream), self._stream)
        except DeviceError:
            if is_stuck():
                self._stream = None
            raise
        self._is_running = True

    def _start_silence(self) -> None:
        """Start, and note how long that takes: on a busy machine, it may take long once."""
        began = time.monotonic()
        self._start()
        self._starts_quickly = time.monotonic() - began <= QUICK_START

    def _start(self) -> None:
        self._start_stream(self._stream)
        self._is_running = True

    def _start_stream(self, stream: Any) -> None:
        self._pulled_at = time.monotonic()
        try:
            stream.start()
        except self._sounddevice.PortAudioError as exc:
            raise DeviceError(f"cannot start the output device: {_reason(exc)}") from exc

    def _callback(self, token: object, out: Any, _frames: int, clock: Any, status: Any) -> None:
        view = memoryview(out).cast("B")
        pull = self._pull if token is self._token else None  # else of a stream that was stuck when it was closed
        self._pulled_at = now = time.monotonic()
        if pull is None or now < self._sounds_at:
            view[:] = bytes(len(view))
            return
        dac_time = clock.outputBufferDacTime
        leaves_at = now + (dac_time - clock.currentTime if dac_time else self._wanted_latency)
        underflow = status.output_underflow
        # The device is empty before a late block is written: then PortAudio's write fails, which drops the block.
        pull(view, leaves_at, underflow, underflow and self._was_late)
        self._was_late = time.monotonic() > leaves_at

    def close(self) -> None:
        is_hung = self._is_hung
        stream, self._stream = self._stream, None
        self._pull, self._is_running = None, False
        if stream is None:
            return

        def close() -> None:
            stream.abort(ignore_errors=True)
            stream.close(ignore_errors=True)

        if is_hung:
            with contextlib.suppress(DeviceError):
                call_within(CLOSE_SECONDS, close, stream)
        else:
            close()

    @property
    def _is_hung(self) -> bool:
        """Whether the device is active, but has not called back for some time: its server may be frozen."""
        return self.is_alive and time.monotonic() - self._pulled_at > HUNG_SECONDS

    @property
    def latency(self) -> float:
        return float(self._stream.latency) if self._stream is not None else 0.0

    @property
    def pulled_at(self) -> float:
        return self._pulled_at

    @property
    def name(self) -> str | None:
        return None if self._device is None else self._name or str(self._device)

    @property
    def is_alive(self) -> bool:
        return self._stream is not None and bool(self._stream.active)


def _reason(error: Exception) -> str:
    """Return PortAudio's message without the error number and function name."""
    text = str(error.args[0]) if error.args else str(error)
    return text.removeprefix("Error opening RawOutputStream: ")
