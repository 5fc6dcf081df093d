"""What earlier runs have shown of a device and of a backend: how much `auto` has to hold so that nothing runs dry.

Both begin with as little as holds on most machines. A device that underflowed is asked to hold more the next time,
and less again after many runs without; a backend whose speech came haltingly in more than one of the last runs is
given a head start, and a longer one while that does not do. A device and a backend that never failed are not written
down at all.
"""

import contextlib
import os
from collections.abc import Mapping
from typing import Any

from voice_cli.config import user_folder
from voice_cli.playback.sinks.device import LATENCY
from voice_cli.playback.timeline import PlaybackMetrics

MOST_LATENCY = 0.12
"""Seconds: what a device is asked to hold at most."""
GROWTH = 1.5
CLEAN_RUNS = 25
"""After so many without an underflow a device is asked to hold a little less."""
STEP = 0.005

RUNS = 8
"""How many of a backend's last runs count."""
LEAST_HEAD_START, MOST_HEAD_START = 0.04, 0.5
"""Seconds: the first that is tried, doubled while it does not do. What halts longer is waited for when it happens."""
SHORT_MS = 1000
"""Milliseconds of speech of which nothing can be learned about a device."""


def state_path(environment: Mapping[str, str] = os.environ) -> str:
    """Say where it is kept."""
    return os.path.join(user_folder("state", environment), "learned.json")


class Learned:
    """What is known of one device and one backend. A file that cannot be read or written is as if it were not there."""

    def __init__(self, device: str | None, backend: str, path: str | None = None) -> None:
        self._path = path or state_path()
        self._device = device or "default"
        self._backend = backend
        self._known = _read(self._path)
        latency, self._clean = _device_in(_part(self._known, "devices").get(self._device))
        self.latency = latency
        """Seconds that the device is asked to hold."""
        self._needed = _needed_in(_part(self._known, "backends").get(self._backend))

    @property
    def head_start(self) -> float:
        """Seconds to gather besides what the device holds.

        That of the second worst of the last runs: one may have been an accident.
        """
        return sorted(self._needed)[-2] if len(self._needed) > 1 else 0.0

    def note(self, metrics: PlaybackMetrics) -> None:
        """Learn from a run that played."""
        before = repr(self._known)
        self._note_device(metrics)
        self._note_backend(metrics)
        if repr(self._known) != before:
            _write(self._path, self._known)

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
        if metrics.underruns == 1:  # one that halts again and again is too slow: no head start bridges that
            needed = min(max(LEAST_HEAD_START, 2 * self.head_start), MOST_HEAD_START)
        elif not metrics.underruns and self.head_start > LEAST_HEAD_START:
            needed = self.head_start / 2
        last = [*self._needed, round(needed, 3)][-RUNS:]
        _keep(self._known, "backends", self._backend, last if any(last) else None)


def _part(known: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = known.get(name)
    return part if isinstance(part, dict) else {}


def _keep(known: dict[str, Any], part: str, name: str, entry: Any) -> None:
    """Put an entry in its place; None: there is none any more."""
    entries = {key: value for key, value in _part(known, part).items() if key != name}
    if entry is not None:
        entries[name] = entry
    known.pop(part, None)
    if entries:
        known[part] = entries


def _device_in(entry: Any) -> tuple[float, int]:
    """Read a device's latency, and how many runs were clean with it."""
    if not isinstance(entry, dict) or not all(isinstance(entry.get(key), int | float) for key in ("latency", "clean")):
        return LATENCY, 0
    return min(max(entry["latency"], LATENCY), MOST_LATENCY), int(min(max(entry["clean"], 0), CLEAN_RUNS))


def _needed_in(entry: Any) -> list[float]:
    """Read what a backend's last runs would have needed."""
    if not isinstance(entry, list):
        return []
    return [min(max(needed, 0.0), MOST_HEAD_START) for needed in entry if isinstance(needed, int | float)][-RUNS:]


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            import json  # before the first sound, where there is something to read

            known = json.load(file, parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(path: str, known: Mapping[str, Any]) -> None:
    import json

    partial = f"{path}.{os.getpid()}"
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(partial, "w", encoding="utf-8") as file:
            json.dump(known, file)
        os.replace(partial, path)
