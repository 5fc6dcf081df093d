"""Device latency and prebuffer learned from earlier runs, to avoid underflows and underruns with `auto`.

After an underflow, the device gets a higher latency in the next run, and a lower one after many clean runs. After an
underrun in more than one of the last runs, the backend's speech gets a head start, which grows while it is too short. A
device or backend without failures is not stored.
"""

from typing import Any

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
MIN_HEAD_START, MAX_HEAD_START = 0.04, 0.5
"""Seconds. The first head start is the lowest one, and is doubled while underruns occur."""
SHORT_MS = 1000
"""Milliseconds: shorter speech does not count as a clean run of the device."""


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
        needed = backends.get(self._backend)
        needed = needed if isinstance(needed, list) else []
        self._needed = [limited(seconds, 0.0, MAX_HEAD_START) for seconds in needed][-RUNS:]
        """Seconds: the head starts that the backend's last runs needed."""

    @property
    def head_start(self) -> float:
        """Seconds to buffer in addition: the second highest need of the last runs, to ignore a single outlier."""
        return sorted(self._needed)[-2] if len(self._needed) > 1 else 0.0

    def note(self, metrics: PlaybackMetrics) -> None:
        """Update the file from a run that played, and from what other processes have stored meanwhile."""
        update_section(self._path, "devices", lambda devices: self._note_device(devices, metrics))
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
        needed = 0.0
        if metrics.underruns == 1:  # a backend with more underruns is too slow for any head start
            needed = min(max(MIN_HEAD_START, 2 * self.head_start), MAX_HEAD_START)
        elif not metrics.underruns and self.head_start > MIN_HEAD_START:
            needed = self.head_start / 2
        last = [*self._needed, round(needed, 3)][-RUNS:]
        backends.pop(self._backend, None)
        if any(last):
            backends[self._backend] = last
