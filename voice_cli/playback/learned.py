"""Device latency and prebuffer learned from earlier runs, to avoid underflows and underruns with `auto`.

After an underflow, the device gets a higher latency in the next run, and a lower one after many clean runs. Of a
backend, the last runs are stored: how fast and how regularly the audio arrived. If it arrived more slowly than it is
played, `supply` computes the reserve from that. If only some of it was late, in more than one run, the speech gets a
head start. A device without failures and a backend that was always fast enough are not stored.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from voice_cli.playback.sinks.device import LATENCY
from voice_cli.playback.timeline import PlaybackMetrics
from voice_cli.state_file import as_dict, limited, read_section, state_path, update_section

MAX_LATENCY = 0.12
"""Seconds: the highest latency asked of a device."""
GROWTH = 1.5
"""The latency is multiplied by this after a run with an underflow."""
CLEAN_RUNS = 25
"""Runs without an underflow after which the latency is reduced by `STEP`."""
STEP = 0.005
"""Seconds."""

RUNS = 8
"""How many of a backend's last runs are stored."""
MOST_BACKENDS = 64
"""How many backends are stored; the one that was used longest ago is dropped."""
MAX_HEAD_START = 0.5
"""Seconds."""
BRIDGED = 0.05
"""Seconds of lag without a head start: the prebuffer bridges them."""
SLOW_RATE = 1.2
"""Seconds of audio a second. A backend that was always faster is not stored."""
SHORT_MS = 1000
"""Milliseconds: nothing is learned from shorter speech, except underflows."""


class Run(NamedTuple):
    """How the audio of one speech arrived."""

    rate: float
    """Seconds of audio a second, after the first byte. If slower than real time: what the lag is for its length."""
    lag: float
    """Seconds from the first byte to the earliest start with which playback would never have waited."""
    chars_per_second: float
    """Code points of the text for each second of audio; 0: not known."""

    @property
    def is_slow(self) -> bool:
        return self.rate < SLOW_RATE

    @property
    def head_start(self) -> float:
        """Seconds that a backend, fast enough as a whole, would have needed in addition, within limits."""
        return 0.0 if self.rate < 1 else min(max(0.0, self.lag - BRIDGED), MAX_HEAD_START)


LIMITS = ((0.02, 100.0), (0.0, 60.0), (0.0, 100.0))
"""The lowest and the highest value of each field of `Run`."""


class Learned:
    """What was learned about one device and one backend. A file that cannot be read or written is ignored."""

    def __init__(self, device: str | None, backend: str, path: str | None = None) -> None:
        self._path = path or state_path()
        self._device = device or "default"
        self._backend = backend
        self._read_device(read_section(self._path, "devices"))
        self._read_backend(read_section(self._path, "backends"))

    def _read_device(self, devices: dict[str, Any]) -> None:
        entry = as_dict(devices.get(self._device))
        self.latency = limited(entry.get("latency"), LATENCY, MAX_LATENCY)
        """Seconds: the latency to ask of the device."""
        self._clean = int(limited(entry.get("clean"), 0, CLEAN_RUNS))

    def _read_backend(self, backends: dict[str, Any]) -> None:
        stored = backends.get(self._backend)
        self._runs = [
            Run(*(limited(value, lowest, highest) for value, (lowest, highest) in zip(run, LIMITS, strict=True)))
            for run in (stored if isinstance(stored, list) else [])
            if isinstance(run, list) and len(run) == len(LIMITS)
        ][-RUNS:]

    @property
    def rate(self) -> float | None:
        """Seconds of audio a second in the last runs; None: not known."""
        return _median(run.rate for run in self._runs) if self._runs else None

    @property
    def chars_per_second(self) -> float | None:
        """Code points of the text for each second of audio in the last runs; None: not known."""
        known = [run.chars_per_second for run in self._runs if run.chars_per_second >= 1]
        return _median(known) if known else None

    @property
    def head_start(self) -> float:
        """Seconds to buffer in addition: the second highest need of the last runs, to ignore a single outlier."""
        return sorted(run.head_start for run in self._runs)[-2] if len(self._runs) > 1 else 0.0

    def note(self, metrics: PlaybackMetrics, *, of_backend: bool = True) -> None:
        """Update the file from a run that played, and from what other processes have stored meanwhile.

        `of_backend`: the backend was asked for all of it.
        """
        update_section(self._path, "devices", lambda devices: self._note_device(devices, metrics))
        if of_backend:
            update_section(self._path, "backends", lambda backends: self._note_backend(backends, metrics))

    def _note_device(self, devices: dict[str, Any], metrics: PlaybackMetrics) -> None:
        self._read_device(devices)
        latency, clean = self.latency, self._clean
        if metrics.device_underflows:
            latency, clean = min(MAX_LATENCY, latency * GROWTH), 0
        elif (metrics.audio_ms or 0) > SHORT_MS:
            clean += 1
            if clean >= CLEAN_RUNS:
                latency, clean = latency - STEP, 0
        devices.pop(self._device, None)
        if latency > LATENCY:
            devices[self._device] = {"latency": round(latency, 4), "clean": clean}

    def _note_backend(self, backends: dict[str, Any], metrics: PlaybackMetrics) -> None:
        self._read_backend(backends)
        backends.pop(self._backend, None)
        rate, audio, lag = metrics.arrival_rate, metrics.audio_ms or 0.0, metrics.arrival_lag_ms or 0.0
        if rate is not None and audio > SHORT_MS:
            if rate < 1:
                rate = audio / (audio + lag)
            run = (rate, lag / 1000, metrics.chars_per_second or 0.0)
            self._runs = [*self._runs, Run(*(round(value, 4) for value in run))][-RUNS:]
        if any(run.is_slow or run.head_start > 0 for run in self._runs):
            backends[self._backend] = self._runs
        while len(backends) > MOST_BACKENDS:
            del backends[next(iter(backends))]


def _median(values: Iterable[float]) -> float:
    """Return the middle one of the values, the lower one of two."""
    known = sorted(values)
    return known[(len(known) - 1) // 2]
