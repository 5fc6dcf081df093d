"""Read an ONNX file's metadata, without onnx and without the weights.

A file is one protobuf message, ModelProto (onnx.proto3): `metadata_props` is its field 14; other fields are skipped.
sherpa-onnx exits the process if an entry that it needs is missing, so it is checked first.
"""

import io
import os
from collections.abc import Collection, Iterator
from typing import BinaryIO

_METADATA_PROPS = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_ENTRY_BYTES = 1 << 20


def read_metadata(path: str) -> dict[str, str]:
    """Return the file's metadata; empty if it has none or is not an ONNX file."""
    notes: dict[str, str] = {}
    with open(path, "rb") as file:
        for _, data in _fields(file, os.fstat(file.fileno()).st_size, {_METADATA_PROPS}):
            # A StringStringEntryProto: the key is field 1, the value field 2.
            entry = dict(_fields(io.BytesIO(data), len(data), {1, 2}))
            key, value = (entry.get(number, b"").decode("utf-8", "replace") for number in (1, 2))
            notes[key] = value
    return notes


def _fields(file: BinaryIO, size: int, wanted: Collection[int]) -> Iterator[tuple[int, bytes]]:
    """Yield the number and bytes of the wanted fields of a message, up to its end or a malformed field."""
    while (head := _varint(file)) is not None:
        field, kind = head >> 3, head & 7
        length = _varint(file) if kind in (_VARINT, _BYTES) else {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _VARINT and length is not None:  # the value itself
            continue
        if length is None or length > size - file.tell():
            return
        if kind == _BYTES and field in wanted and length <= _MAX_ENTRY_BYTES:
            yield field, file.read(length)
        else:
            file.seek(length, os.SEEK_CUR)


def _varint(file: BinaryIO) -> int | None:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    return None
