"""Unpack tar and zip archives from elsewhere: files and folders only, all inside the folder, of a limited size."""

import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from voice_cli.errors import FileError
from voice_cli.printable import one_line

MAX_BYTES = 8 << 30
"""The most bytes that an archive may unpack to: a damaged or hostile one could fill the disk."""
MAX_FILES = 20_000

_Member = tuple[str, bool, BinaryIO | None]
"""Path, whether it is a folder, and the content."""


def is_archive(path: str) -> bool:
    """Return whether a file is a tar archive, perhaps compressed, or a zip archive."""
    return _is_tar(path) or zipfile.is_zipfile(path)


def _is_tar(path: str) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, OSError, ValueError):  # damaged, or too short
        return False


def unpack(path: str, folder: str, *, max_bytes: int = MAX_BYTES, max_files: int = MAX_FILES) -> None:
    """Unpack an archive into an existing folder. A folder that contains all other members is left out.

    Raises:
        FileError: it is damaged or too large, or has a link, a device, or a path that leaves the folder; or the disk
            is full.

    """
    name = os.path.basename(path)
    left = max_bytes
    try:
        for count, (member, is_folder, content) in enumerate(_members(path)):
            if count >= max_files:
                raise FileError(f"{name} has more than {max_files} files")
            target = os.path.join(folder, *_parts(name, member))
            if is_folder:
                os.makedirs(target, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "xb") as file:
                while content is not None and (data := content.read(min(1 << 20, left + 1))):
                    left -= len(data)
                    if left < 0:
                        raise FileError(f"{name} unpacks to more than {max_bytes} bytes")
                    file.write(data)
    except FileExistsError as error:
        raise FileError(f"{name} contains a file twice") from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise FileError(f"{name} is damaged: {one_line(str(error))}") from error
    except OSError as error:  # the disk, or a damaged compressed stream
        raise FileError(f"cannot unpack {name}: {error.strerror or one_line(str(error))}") from error
    except Exception as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{name} is damaged: {one_line(str(error))}") from error  # zlib.error, lzma.LZMAError
    _lift(folder)


def _members(path: str) -> Iterator[_Member]:
    if _is_tar(path):
        with tarfile.open(path) as tar:
            for member in tar:
                if not (member.isreg() or member.isdir()):
                    raise FileError(f"{os.path.basename(path)} has a link or a device: {one_line(member.name)}")
                yield member.name, member.isdir(), tar.extractfile(member)  # type: ignore[misc]
        return
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise FileError(f"{os.path.basename(path)} has a link or a device: {one_line(info.filename)}")
            if info.is_dir():
                yield info.filename, True, None
            else:
                with archive.open(info) as content:
                    yield info.filename, False, content  # type: ignore[misc]


def _parts(archive: str, member: str) -> list[str]:
    """Return the parts of a member's path; raise FileError if it leaves the folder."""
    parts = [part for part in member.replace("\\", "/").split("/") if part not in ("", ".")]
    is_absolute = member.startswith(("/", "\\")) or (parts and ":" in parts[0])
    if is_absolute or ".." in parts or "\0" in member:
        raise FileError(f"{archive} has a path that leaves its folder: {one_line(member)}")
    return parts


def _lift(folder: str) -> None:
    """Move the content of the only folder in `folder` up."""
    names = os.listdir(folder)
    inner = os.path.join(folder, names[0]) if len(names) == 1 else ""
    if not inner or not os.path.isdir(inner):
        return
    aside = os.path.join(folder, ".inner")
    os.rename(inner, aside)
    for name in os.listdir(aside):
        shutil.move(os.path.join(aside, name), os.path.join(folder, name))
    os.rmdir(aside)
