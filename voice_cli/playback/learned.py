"""Device latency and prebuffer learned from earlier runs, to avoid underflows and underruns with `auto`.

After an underflow, the device gets a higher latency in the next run, and a lower one after many clean runs. After an
underrun in more than one of the last runs, the backend's speech gets a head start, which grows while it is too short. A
device or backend without failures is not stored.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from voice_cli.folders import user_folder, write_atomically
from voice_cli.playback.sinks.device import LATENCY
from voice_cli.playback.timeline import PlaybackMetrics

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


def state_path(environment: Mapping[str, str] = os.environ) -> str:
    """Return the path of the file."""
    return os.path.join(user_folder("state", environment), "learned.json")


class Learned:
    """What was learned about one device and one backend. A file that cannot be read or written is ignored."""

    def __init__(self, device: str | None, backend: str, path: str | None = None) -> None:
        self._path = path or state_path()
        self._device = device or "default"
        self._backend = backend
        known = _read(self._path)
        self._devices, self._backends = _dict(known.get("devices")), _dict(known.get("backends"))
        entry = _dict(self._devices.get(self._device))
        self.latency = _limited(entry.get("latency"), LATENCY, MAX_LATENCY)
        """Seconds: the latency to ask of the device."""
        self._clean = int(_limited(entry.get("clean"), 0, CLEAN_RUNS))
        needed = self._backends.get(backend)
        needed = needed if isinstance(needed, list) else []
        self._needed = [_limited(seconds, 0.0, MAX_HEAD_START) for seconds in needed][-RUNS:]
        """Seconds: the head starts that the backend's last runs needed."""

    @property
    def head_start(self) -> float:
        """Seconds to buffer in addition: the second highest need of the last runs, to ignore a single outlier."""
        return sorted(self._needed)[-2] if len(self._needed) > 1 else 0.0

    def note(self, metrics: PlaybackMetrics) -> None:
        """Update from a run that played, and save changes."""
        before = dict(self._devices), dict(self._backends)
        self._note_device(metrics)
        self._note_backend(metrics)
        if (self._devices, self._backends) != before:
            import json

            parts = {"devices": self._devices, "backends": self._backends}
            known = json.dumps({name: entries for name, entries in parts.items() if entries})
            with contextlib.suppress(OSError):
                os.makedirs(os.path.dirname(self._path), exist_ok=True)
                write_atomically(self._path, known.encode())

    def _note_device(self, metrics: PlaybackMetrics) -> None:
        latency, clean = self.latency, self._clean
        if metrics.device_underflows:
            latency, clean = min(MAX_LATENCY, latency * GROWTH), 0
        elif (metrics.audio_ms or 0) > SHORT_MS:
            clean += 1
            if clean >= CLEAN_RUNS:
                latency, clean = latency - STEP, 0
        self._devices.pop(self._device, None)
        if latency > LATENCY:
            self._devices[self._device] = {"latency": round(latency, 4), "clean": clean}

    def _note_backend(self, metrics: PlaybackMetrics) -> None:
        needed = 0.0
        if metrics.underruns == 1:  # a backend with more underruns is too slow for any head start
            needed = min(max(MIN_HEAD_START, 2 * self.head_start), MAX_HEAD_START)
        elif not metrics.underruns and self.head_start > MIN_HEAD_START:
            needed = self.head_start / 2
        last = [*self._needed, round(needed, 3)][-RUNS:]
        self._backends.pop(self._backend, None)
        if any(last):
            self._backends[self._backend] = last


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _limited(value: Any, lowest: float, highest: float) -> float:
    return min(max(value, lowest), highest) if isinstance(value, int | float) else lowest


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            import json  # imported before the first sound only if the file exists

            known = json.load(file, parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return {}
    return _dict(known)
