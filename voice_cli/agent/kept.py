"""What the agent keeps between speeches: the device for seconds, and backends with their connections and models."""

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from voice_cli.audio import AudioFormat
from voice_cli.backends import is_remote, open_backend
from voice_cli.backends.base import Backend
from voice_cli.errors import DeviceError
from voice_cli.playback.sinks.base import Pull, Sink
from voice_cli.playback.sinks.device import DeviceSink

DEVICE_SECONDS = 30.0
"""Seconds after a speech until the device is closed. Until then it is stopped, so it needs no processor and may sleep,
but without an audio server no other program can use it. To open it takes some 20 ms of the next speech."""

MAX_BACKENDS = 8
"""The most backends that are kept. The one that was not used for the longest time is closed."""


class KeptSink(Sink):
    """A device that stays open, but stopped, between two speeches. One speech uses it at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sink: DeviceSink | None = None
        self._settings: tuple[int | str | None, float] = (None, 0.0)
        self._opened: tuple[Any, ...] = ()
        """The settings and the wanted format of the open device."""
        self._format: AudioFormat | None = None
        self._wake = 0.0
        self._timer: threading.Timer | None = None

    def at(self, device: int | str | None, latency: float, wake: float) -> "KeptSink":
        """Set the device, its latency and its `wake` (seconds) for the next speech, and return the sink."""
        self._settings, self._wake = (device, latency), wake
        return self

    def open(self, wanted: AudioFormat) -> AudioFormat:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            key = (self._settings, wanted)
            if self._sink is not None and self._format is not None and key == self._opened:
                with contextlib.suppress(DeviceError):  # the audio server was restarted while it was stopped
                    self._sink.resume()
                    return self._format
            return self._open(key)

    def _open(self, key: tuple[Any, ...]) -> AudioFormat:
        if self._sink is not None:
            self._sink.close()
        device, latency = key[0]
        self._sink = DeviceSink(device, latency=latency)
        self._opened, self._format = (), None
        try:
            self._format = self._sink.open(key[1])
        except DeviceError:  # it may be a device that was plugged in after the agent began
            self._format = self._sink.reopen(key[1])
        self._opened = key
        return self._format

    def start(self, pull: Pull) -> None:
        with self._lock:
            if self._sink is None:
                raise RuntimeError("start() before open()")
            self._sink.wake = self._wake
            try:
                self._sink.start(pull)
            except DeviceError:  # the audio server was restarted while the device was stopped
                before = self._format
                if self._open(self._opened) != before:
                    raise
                self._sink.wake = self._wake
                self._sink.start(pull)

    def reopen(self, wanted: AudioFormat) -> AudioFormat:
        with self._lock:
            if self._sink is None:
                raise RuntimeError("reopen() before open()")
            self._opened = ()
            self._format = self._sink.reopen(wanted)
            self._opened = (self._settings, wanted)
            return self._format

    def close(self) -> None:
        """Stop, and close the device after `DEVICE_SECONDS`."""
        with self._lock:
            if self._sink is not None:
                self._sink.stop()
                if not self._opened:
                    self._sink = None
                elif self._timer is None:
                    self._timer = threading.Timer(DEVICE_SECONDS, self._expire)
                    self._timer.daemon = True
                    self._timer.start()

    def release(self) -> None:
        """Close the device now."""
        with self._lock:
            self._release()

    def _expire(self) -> None:
        with self._lock:
            if self._timer is threading.current_thread():  # else a speech has begun meanwhile
                self._release()

    def _release(self) -> None:
        if self._sink is not None:
            self._sink.close()
        self._sink, self._timer, self._opened = None, None, ()

    @property
    def latency(self) -> float:
        return self._sink.latency if self._sink is not None else 0.0

    @property
    def pulled_at(self) -> float:
        return self._sink.pulled_at if self._sink is not None else 0.0

    @property
    def name(self) -> str | None:
        return self._sink.name if self._sink is not None else None

    @property
    def is_alive(self) -> bool:
        return self._sink is not None and self._sink.is_alive


class _Kept:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.users = 0
        self.used_at = 0.0


class KeptBackends:
    """Backends by name and options. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    @contextlib.contextmanager
    def use(self, name: str, options: Mapping[str, Any]) -> Iterator[Backend]:
        """Yield a backend: a kept one, unless that is a server's and another speech uses it.

        Raises:
            UsageError, BackendError: as `open_backend`.

        """
        key = repr((name, sorted(options.items())))
        with self._lock:
            kept = self._kept.get(key)
            is_shared = kept is None or not kept.users or not is_remote(name)
            if is_shared:
                if kept is None:
                    kept = self._kept[key] = _Kept(open_backend(name, **options))
                kept.users += 1
        try:
            if is_shared and kept is not None:
                yield kept.backend
            else:
                with contextlib.closing(open_backend(name, **options)) as backend:
                    yield backend
        finally:
            if is_shared and kept is not None:
                with self._lock:
                    kept.users -= 1
                    kept.used_at = time.monotonic()
                    closed = self._excess()
                for backend in closed:
                    backend.close()

    def _excess(self) -> list[Backend]:
        unused = sorted((kept.used_at, key) for key, kept in self._kept.items() if not kept.users)
        return [self._kept.pop(key).backend for _, key in unused[: max(0, len(self._kept) - MAX_BACKENDS)]]

    def close(self) -> None:
        """Close all. No speech may be in use."""
        with self._lock:
            kept, self._kept = self._kept, {}
        for one in kept.values():
            one.backend.close()
