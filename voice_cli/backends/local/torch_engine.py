"""The base of the engines on torch: compute device, suppressed output, and voices that are files."""

import contextlib
import glob
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from voice_cli.backends.base import UnknownVoiceError
from voice_cli.backends.local.worker import EngineBackend
from voice_cli.backends.packages import is_installed, load
from voice_cli.errors import UsageError, nearest

RECORDINGS = (".wav", ".mp3", ".flac", ".ogg")
"""Suffixes of the recordings that an engine clones."""

DEVICES = ("cuda", "mps", "cpu")
"""The fastest first; the last is always available."""


def check_device(wanted: str | None) -> str | None:
    """Return None for `auto` or None, else the device name if it is valid; or raise UsageError."""
    if wanted is None or wanted == "auto":
        return None
    if wanted.partition(":")[0] not in DEVICES:
        raise UsageError(f"there is no compute device {wanted!r}", hint=f"auto, {', '.join(DEVICES)}, or cuda:1")
    return wanted


def pick_device(torch: Any, wanted: str | None) -> str:
    """Return the wanted device, or the fastest; raise UsageError if it is not available."""
    is_available = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if wanted is None:
        return next(name for name in DEVICES if is_available[name]())
    if not is_available[wanted.partition(":")[0]]():
        raise UsageError(f"torch finds no {wanted} device", hint="compute = 'auto' selects one that is available")
    return wanted


class _FilteredStdout:
    """Standard output without the writes of some threads."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.threads: list[int] = []
        """Ids of the threads whose writes are dropped, once for each nested context."""

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() in self.threads else int(self.stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_stdout_lock = threading.Lock()


@contextlib.contextmanager
def discarded_stdout() -> Iterator[None]:
    """Drop this thread's writes to standard output, where the speech may be written. May be nested."""
    with _stdout_lock:
        filtered = sys.stdout if isinstance(sys.stdout, _FilteredStdout) else _FilteredStdout(sys.stdout)
        filtered.threads.append(threading.get_ident())
        sys.stdout = filtered
    try:
        yield
    finally:
        with _stdout_lock:
            filtered.threads.remove(threading.get_ident())
            if not filtered.threads and sys.stdout is filtered:
                sys.stdout = filtered.stream


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace a method of an object while the context is open."""
    is_own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


class VoiceFolder:
    """Folders in which files with some suffixes are voices, named without the suffix."""

    def __init__(self, folders: Sequence[str], suffixes: Sequence[str], *, allow_paths: bool = True) -> None:
        """Search the folders in order. `allow_paths`: whether a voice may be a path outside them."""
        self._folders = [os.path.expanduser(folder) for folder in folders]
        self._suffixes = tuple(suffixes)
        self._allow_paths = allow_paths

    def files(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for folder in self._folders:
            for path in sorted(glob.glob(os.path.join(glob.escape(folder), "**", "*"), recursive=True)):
                name, suffix = os.path.splitext(os.path.basename(path))
                if suffix.lower() in self._suffixes:
                    found.setdefault(name, path)
        return found

    def find(self, voice: str) -> str:
        """Return the path of a voice, by its name in a folder (case is ignored) or its path, or raise UsageError."""
        files = self.files()
        lowered = {name.lower(): path for name, path in files.items()}
        path = files.get(voice) or lowered.get(voice.lower())
        if path is not None:
            return path
        path = os.path.expanduser(voice)
        if self._allow_paths and path.lower().endswith(self._suffixes) and os.path.isfile(path):
            return path
        known = ", ".join(files)
        hint = f"it has: {known[:200]}" if known else f"give the path of a file ({' or '.join(self._suffixes)})"
        raise UnknownVoiceError(f"there is no voice {voice!r}{nearest(voice, files)}", hint=hint)


class TorchBackend(EngineBackend):
    """The base of an engine on torch whose voices are files."""

    voices_are_files = True
    runs_on_torch = True

    def __init__(
        self,
        *,
        install: str,
        compute: str | None,
        voices: str | Sequence[str] | None,
        suffixes: Sequence[str],
        allow_paths: bool,
        models_voices: str = "",
    ) -> None:
        """Store the settings; raise UsageError for an unknown compute device.

        `install`: the command that installs torch. `models_voices`: the model's own folder of voices, searched last.
        """
        super().__init__()
        self._install = install
        self._wanted_device = check_device(compute)
        self._device = ""
        folders = [*([voices] if isinstance(voices, str) else voices or ()), models_voices]
        self._folder = VoiceFolder([folder for folder in folders if folder], suffixes, allow_paths=allow_paths)
        self._torch: Any = None

    @property
    def compute_device(self) -> str:  # type: ignore[override]
        """The compute device, or the one that `load` would choose; empty: torch is missing, or has no such device."""
        if not self._device and is_installed("torch"):
            with contextlib.suppress(UsageError):
                return pick_device(import_module("torch"), self._wanted_device)
        return self._device

    def load(self) -> None:
        """Import torch and choose the device: the first step of an engine's own `load`."""
        os.environ.setdefault("TQDM_DISABLE", "1")
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        with discarded_stdout():
            self._torch = load(self.name, "torch", self._install)
            self._device = pick_device(self._torch, self._wanted_device)

    def unload(self) -> None:
        """Free the model's memory: the last step of an engine's own `unload`."""
        if self._torch is not None and self._device.startswith("cuda"):
            self._torch.cuda.empty_cache()
