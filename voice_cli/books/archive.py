"""The parts of a ZIP archive and XML from outside, within bounds.

Nothing is extracted to the disk, so the names in an archive lead nowhere else.
"""

import posixpath
import zipfile
import zlib
from urllib.parse import unquote
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from voice_cli.errors import FileError

MAX_PART_BYTES = 32 << 20
"""Of one part, uncompressed."""
MAX_ALL_BYTES = 512 << 20
"""Of all parts that are read."""
MAX_DIRECTORY_BYTES = 8 << 20
"""Of the archive's list of its parts."""
MAX_DEPTH = 256
"""Of XML elements."""

_END = b"PK\x05\x06"
_END_BYTES = 22


class Archive:
    """A ZIP archive whose parts are read whole. Close it."""

    def __init__(self, path: str) -> None:
        """Open it; raise FileError if it is damaged, or OSError."""
        self._path = path
        _check_directory(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
            raise FileError(f"{path} is damaged: {exc}") from exc
        self._names = frozenset(self._zip.namelist())
        self._left = MAX_ALL_BYTES

    def close(self) -> None:
        self._zip.close()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str) -> bytes:
        """Return a part.

        Raises:
            FileError: it is missing, damaged, protected, or too large.

        """
        if name not in self._names:
            raise FileError(f"{self._path} is damaged: it has no {name}")
        try:
            with self._zip.open(name) as file:
                data = file.read(min(MAX_PART_BYTES, self._left) + 1)
        except RuntimeError as exc:  # encrypted
            raise FileError(f"{self._path} is protected: {exc}") from exc
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OSError) as exc:
            raise FileError(f"{self._path} is damaged: {name}: {exc}") from exc
        self._left -= len(data)
        if len(data) > MAX_PART_BYTES or self._left < 0:
            raise FileError(f"{self._path}: {name} is too large when it is uncompressed")
        return data

    def xml(self, name: str) -> Element:
        """Return the root of a part that is XML. Raises as `read`."""
        try:
            return parse_xml(self.read(name))
        except ValueError as exc:
            raise FileError(f"{self._path} is damaged: {name}: {exc}") from exc


def _check_directory(path: str) -> None:
    """Refuse an archive with a very long list of parts, which `zipfile` would read into memory."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END_BYTES - 65_535 - 20))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0:
        raise FileError(f"{path} is damaged: it is no ZIP archive")
    length = int.from_bytes(tail[at + 12 : at + 16], "little")
    if length > MAX_DIRECTORY_BYTES or tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):
        raise FileError(f"{path} has too many parts")


def parse_xml(data: bytes) -> Element:
    """Return the root of an XML document, with the names of elements and attributes without prefixes.

    Raises:
        ValueError: it is not well-formed, declares entities, which may expand without bound, or is nested too deeply.

    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def begin(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} elements are inside each other")
        builder.start(_local(name), {_local(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_local(name))

    def refuse(*_: object) -> None:
        raise ValueError("it declares entities")

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as exc:
        raise ValueError(str(exc)) from exc
    return builder.close()


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def resolve(base: str, href: str) -> tuple[str, str] | None:
    """Return the part and the fragment that a reference in part `base` leads to; None: outside of the archive."""
    target, _, fragment = href.partition("#")
    if "://" in target or target.startswith(("/", "data:", "mailto:")):
        return None
    if not target:
        return base, unquote(fragment)
    name = posixpath.normpath(posixpath.join(posixpath.dirname(base), unquote(target)))
    return None if name.startswith("../") else (name, unquote(fragment))
