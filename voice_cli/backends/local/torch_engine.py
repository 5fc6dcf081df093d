"""What the engines on torch share: the device, their chatter, and files that are voices."""

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
from voice_cli.errors import UsageError

DEVICES = ("cuda", "mps", "cpu")
"""From the quickest to the one that is always there."""


def check_device(wanted: str | None) -> str | None:
    """Check that it is a name of a device; None, and `auto`: the quickest that is there.

    Raises:
        UsageError: it is none.

    """
    if wanted is None or wanted == "auto":
        return None
    if wanted.partition(":")[0] not in DEVICES:
        raise UsageError(f"there is no compute device {wanted!r}", hint=f"auto, {', '.join(DEVICES)}, or as cuda:1")
    return wanted


def pick_device(torch: Any, wanted: str | None) -> str:
    """Return the device to run on: the one that is wanted, or the quickest that is there.

    Raises:
        UsageError: the wanted one is not there.

    """
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if wanted is None:
        return next(name for name in DEVICES if there[name]())
    if not there[wanted.partition(":")[0]]():
        raise UsageError(f"torch finds no {wanted} here", hint="compute = 'auto' takes what is there")
    return wanted


def device_here(wanted: str | None) -> str:
    """As `pick_device`, with torch imported if it is there; a device that is not is told by its absence."""
    if not is_installed("torch"):
        return ""
    try:
        return pick_device(import_module("torch"), wanted)
    except UsageError:
        return ""


def empty_cache(torch: Any, device: str) -> None:
    """Return freed memory to the system, where torch caches it."""
    if torch is not None and device.startswith("cuda"):
        torch.cuda.empty_cache()


class _Others:
    """Standard output, for every thread but those that are hushed."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.hushed: dict[int, int] = {}
        """Thread to how many times it is."""

    def write(self, text: str) -> int:
        return len(text) if threading.get_ident() in self.hushed else int(self.stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_quiet = threading.Lock()


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Drop what libraries print to standard output from this thread: the sound itself may be going there. Nests."""
    me = threading.get_ident()
    with _quiet:
        others = sys.stdout if isinstance(sys.stdout, _Others) else _Others(sys.stdout)
        others.hushed[me] = others.hushed.get(me, 0) + 1
        sys.stdout = others
    try:
        yield
    finally:
        with _quiet:
            others.hushed[me] -= 1
            if not others.hushed[me]:
                del others.hushed[me]
            if not others.hushed and sys.stdout is others:
                sys.stdout = others.stream


@contextlib.contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """While it lasts, the object's method is another."""
    is_own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)  # the class's is seen again


def no_progress_bars() -> None:
    """Have tqdm, transformers and the hub draw none; before they are imported."""
    for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")


class VoiceFolder:
    """Folders whose files of some suffixes are voices, by their names without it."""

    def __init__(self, folders: Sequence[str], suffixes: Sequence[str], *, allow_paths: bool = True) -> None:
        """Take the folders, the first first; `allow_paths` False: no file elsewhere, whatever a request says."""
        self._folders = [os.path.expanduser(folder) for folder in folders]
        self._suffixes = tuple(suffixes)
        self._allow_paths = allow_paths

    def files(self) -> dict[str, str]:
        """Return name to path."""
        found: dict[str, str] = {}
        for folder in self._folders:
            for path in sorted(glob.glob(os.path.join(glob.escape(folder), "**", "*"), recursive=True)):
                name, suffix = os.path.splitext(os.path.basename(path))
                if suffix.lower() in self._suffixes:
                    found.setdefault(name, path)
        return found

    def find(self, voice: str) -> str:
        """Return the path of a voice: one of the folder's by name, whatever its case, or a path.

        Raises:
            UsageError: there is none.

        """
        files = self.files()
        lowered = {name.lower(): path for name, path in files.items()}
        path = files.get(voice) or lowered.get(voice.lower())
        if path is not None:
            return path
        path = os.path.expanduser(voice)
        if self._allow_paths and path.lower().endswith(self._suffixes) and os.path.isfile(path):
            return path
        known = ", ".join(files)
        kinds = " or ".join(self._suffixes)
        raise UnknownVoiceError(
            f"there is no voice {voice!r}", hint=f"it has: {known[:200]}" if known else f"a path of a file: {kinds}"
        )


class TorchBackend(EngineBackend):
    """An engine on torch whose voices are files: all that is not its model."""

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
        """Take what an engine's own constructor was given.

        `install`: the command for a torch that does not load. `models_voices`: a folder that comes with the model, and
        after the others.

        Raises:
            UsageError: there is no such compute device.

        """
        super().__init__()
        self._install = install
        self._wanted_device = check_device(compute)
        self._device = ""
        """Where the loaded model is."""
        folders = [*([voices] if isinstance(voices, str) else voices or ()), models_voices]
        self._folder = VoiceFolder([folder for folder in folders if folder], suffixes, allow_paths=allow_paths)
        self._torch: Any = None

    @property
    def compute_device(self) -> str:
        return self._device or device_here(self._wanted_device)

    def load(self) -> None:
        """Import torch, and settle on the device: the first thing of an engine's own `load`."""
        no_progress_bars()
        with hushed():
            self._torch = load(self.name, "torch", self._install)
            self._device = pick_device(self._torch, self._wanted_device)

    def unload(self) -> None:
        """Free the model's memory: the last step of an engine's own `unload`."""
        empty_cache(self._torch, self._device)
