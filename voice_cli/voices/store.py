"""Get voices into the user's data folder, and remove them. A voice is there whole or not at all."""

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime

from voice_cli.errors import FileError, UsageError, nearest
from voice_cli.printable import one_line
from voice_cli.voices.catalogue import Entry, RemoteFile, choose, is_name
from voice_cli.voices.download import Progress, check_address, download, sha256_of
from voice_cli.voices.installed import ABOUT, InstalledVoice, voices_folder, voices_in
from voice_cli.voices.unpack import is_archive, unpack


def entry_of(what: str, entries: Mapping[str, Entry], name: str | None = None, sha256: str = "") -> Entry:
    """Return the entry for a name of the catalogue, an address, or a file or folder of this machine.

    Raises:
        UsageError: it is none of them.

    """
    entry = choose(what, entries.items())
    if entry is not None and "/" not in what:
        return entry._replace(name=name or entry.name)
    if "://" in what:
        urls = [what, f"{what}.json"] if what.partition("?")[0].endswith(".onnx") else [what]
        files = tuple(RemoteFile(url, sha256=sha256 if at == 0 else "") for at, url in enumerate(urls))
        return Entry(name or _name_from(files[0].name), "", (), "", "", 1, None, files)
    path = os.path.expanduser(what)
    if os.path.exists(path):
        return Entry(name or _name_from(os.path.basename(os.path.abspath(path))), "", (), "", "", 1, None, ())
    raise UsageError(f"there is no voice, address or file {one_line(what)!r}{nearest(what, entries)}")


def _name_from(file: str) -> str:
    for suffix in (".tar.bz2", ".tar.gz", ".tar.xz", ".tgz", ".tar", ".zip", ".onnx"):
        if file.lower().endswith(suffix):
            return file[: -len(suffix)]
    return file


def get(
    what: str,
    entry: Entry,
    *,
    on_progress: Progress = lambda *_: None,
    environment: Mapping[str, str] = os.environ,
    timeout: float = 30.0,
    pause: float = 1.0,
) -> InstalledVoice:
    """Download or copy a voice into the data folder, and return it. An existing one of its name is replaced.

    An interrupted download is continued by the next call. `timeout`, `pause`: as `download`.

    Raises:
        UsageError: the name is not one, or the files are not a voice.
        NetworkError, ServerError, FileError: as `download` and `unpack`.

    """
    if not is_name(entry.name):
        raise UsageError(f"{one_line(entry.name)!r} cannot be the name of a voice", hint="letters, digits and -_.+")
    for file in entry.files:
        check_address(file)
    folder = voices_folder(environment)
    staging = os.path.join(folder, f".{entry.name}")
    arriving, new = os.path.join(staging, "download"), os.path.join(staging, "new")
    try:
        os.makedirs(arriving, exist_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        os.mkdir(new)
    except OSError as error:
        raise FileError(f"cannot write in {folder}: {error.strerror}") from error
    sums: dict[str, str] = {}
    known = {file.name for file in entry.files}
    before = 0
    for file in entry.files:
        path = os.path.join(arriving, file.name)

        def progress(done: int, total: int | None, before: int = before) -> None:
            on_progress(before + done, entry.size or (before + total if total else None))

        if os.path.exists(path):  # by an earlier call, which checked it
            sums[file.name] = sha256_of(path)
        else:
            sums[file.name] = download(file, path, on_progress=progress, timeout=timeout, pause=pause)
        before += os.path.getsize(path)
    with contextlib.suppress(OSError):
        for stray in set(os.listdir(arriving)) - known:
            os.unlink(os.path.join(arriving, stray))
    _fill(new, [os.path.join(arriving, file.name) for file in entry.files] or [os.path.expanduser(what)])
    about = {
        "name": entry.name,
        "engine": entry.engine,
        "language": ", ".join(entry.languages),
        "quality": entry.quality,
        "licence": entry.licence,
        "source": [file.url for file in entry.files] or [os.path.abspath(os.path.expanduser(what))],
        "sha256": sums,
        "size": _size(new),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with open(os.path.join(new, ABOUT), "w", encoding="utf-8") as output:
        json.dump({key: value for key, value in about.items() if value}, output, indent=1)
    target = os.path.join(folder, entry.name)
    if next(voices_in(new, entry.name), None) is None:
        shutil.rmtree(staging, ignore_errors=True)
        hint = "a voice is a Piper, Kokoro or sherpa-onnx model (*.onnx)"
        raise UsageError(f"{one_line(what)} has no voice of an engine", hint=hint)
    _replace(new, target, os.path.join(staging, "old"))
    shutil.rmtree(staging, ignore_errors=True)
    return next(voices_in(target, entry.name))


def _fill(new: str, sources: list[str]) -> None:
    """Unpack or copy the sources into the new folder."""
    try:
        for source in sources:
            if os.path.isdir(source):
                shutil.copytree(source, new, dirs_exist_ok=True)
            elif is_archive(source) and not source.endswith(".npz"):
                unpack(source, new)
            else:
                for path in (source, *([f"{source}.json"] if os.path.exists(f"{source}.json") else [])):
                    shutil.copy2(path, os.path.join(new, os.path.basename(path)))
    except OSError as error:
        raise FileError(f"cannot copy {error.filename}: {error.strerror}") from error


def _replace(new: str, target: str, old: str) -> None:
    try:
        shutil.rmtree(old, ignore_errors=True)
        if os.path.exists(target):
            os.rename(target, old)
        os.rename(new, target)
    except OSError as error:
        raise FileError(f"cannot write {target}: {error.strerror}") from error


def _size(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(place, name)) for place, _, names in os.walk(folder) for name in names)


def remove(voice: InstalledVoice, environment: Mapping[str, str] = os.environ) -> None:
    """Delete a downloaded voice.

    Raises:
        UsageError: it is part of a Python package.
        FileError: it cannot be deleted.

    """
    if voice.is_package:
        raise UsageError(f"the voice {voice.name} is part of a Python package", hint="remove it with: pip uninstall")
    folder = voices_folder(environment)
    name = os.path.relpath(voice.model, folder).split(os.sep)[0]
    try:
        aside = os.path.join(folder, f".{name}-removed")
        os.rename(os.path.join(folder, name), aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise FileError(f"cannot remove {voice.name}: {error.strerror}") from error
