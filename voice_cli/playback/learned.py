"""Device latency and prebuffer learned from earlier runs, to avoid underflows and underruns with `auto`.

After an underflow, the device gets a higher latency in the next run, and a lower one after many clean runs. After an
underrun in more than one of the last runs, the backend's speech gets a head start, which grows while it is too short. A
device or backend without failures is not stored.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from voice_cli.config import user_folder, write_atomically
from voice_cli.playback.sinks.device import LATENCY
from voice_cli.playback.timeline import PlaybackMetrics

MOST_LATENCY = 0.12
"""Seconds: the highest latency asked of a device."""
GROWTH = 1.5
CLEAN_RUNS = 25
"""Runs without an underflow after which the latency is reduced by `STEP`."""
STEP = 0.005
"""Seconds."""

RUNS = 8
"""How many of a backend's last runs are stored."""
LEAST_HEAD_START, MOST_HEAD_START = 0.04, 0.5
"""Seconds: the first head start, which is doubled while underruns occur, and the longest."""
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
        self._known = _read(self._path)
        latency, self._clean = _device_in(_part(self._known, "devices").get(self._device))
        self.latency = latency
        """Seconds: the latency to ask of the device."""
        self._needed = _needed_in(_part(self._known, "backends").get(self._backend))

    @property
    def head_start(self) -> float:
        """Seconds to buffer in addition: the second highest need of the last runs, to ignore a single outlier."""
        return sorted(self._needed)[-2] if len(self._needed) > 1 else 0.0

    def note(self, metrics: PlaybackMetrics) -> None:
        """Update from a run that played, and save changes."""
        before = repr(self._known)
        self._note_device(metrics)
        self._note_backend(metrics)
        if repr(self._known) != before:
            self._save()

    def _save(self) -> None:
        import json

        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            write_atomically(self._path, json.dumps(self._known).encode())

    def _note_device(self, metrics: PlaybackMetrics) -> None:
        latency, clean = self.latency, self._clean
        if metrics.device_underflows:
            latency, clean = min(MOST_LATENCY, latency * GROWTH), 0
        elif (metrics.audio_ms or 0) > SHORT_MS:
            clean += 1
            if clean >= CLEAN_RUNS:
                latency, clean = latency - STEP, 0
        entry = {"latency": round(latency, 4), "clean": clean} if latency > LATENCY else None
        _keep(self._known, "devices", self._device, entry)

    def _note_backend(self, metrics: PlaybackMetrics) -> None:
        needed = 0.0
        if metrics.underruns == 1:  # a backend with more underruns is too slow for any head start
            needed = min(max(LEAST_HEAD_START, 2 * self.head_start), MOST_HEAD_START)
        elif not metrics.underruns and self.head_start > LEAST_HEAD_START:
            needed = self.head_start / 2
        last = [*self._needed, round(needed, 3)][-RUNS:]
        _keep(self._known, "backends", self._backend, last if any(last) else None)


def _part(known: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = known.get(name)
    return part if isinstance(part, dict) else {}


def _keep(known: dict[str, Any], part: str, name: str, entry: Any) -> None:
    """Set an entry, or remove it if it is None."""
    entries = {key: value for key, value in _part(known, part).items() if key != name}
    if entry is not None:
        entries[name] = entry
    known.pop(part, None)
    if entries:
        known[part] = entries


def _device_in(entry: Any) -> tuple[float, int]:
    """Return a device's latency and its number of clean runs."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), int | float) for key in ("latency", "clean")):
        return LATENCY, 0
    return min(max(entry["latency"], LATENCY), MOST_LATENCY), int(min(max(entry["clean"], 0), CLEAN_RUNS))


def _needed_in(entry: Any) -> list[float]:
    """Return the head starts that a backend's last runs needed."""
    if not isinstance(entry, list):
        return []
    return [min(max(needed, 0.0), MOST_HEAD_START) for needed in entry if isinstance(needed, int | float)][-RUNS:]


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            import json  # imported before the first sound only if the file exists

            known = json.load(file, parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
