"""Read an ONNX file's metadata, without onnx and without the weights.

A file is one protobuf message, ModelProto (onnx.proto3): `metadata_props` is its field 14, the graph its field 7, which
is skipped. sherpa-onnx exits the process if an entry that it needs is missing, so it is checked first.
"""

import os
from typing import BinaryIO

_METADATA_PROPS = 14
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_NOTE = 1 << 20


def read_metadata(path: str) -> dict[str, str]:
    """Return the file's metadata; empty if it has none or is not an ONNX file.

    Raises:
        OSError: it cannot be read.

    """
    notes: dict[str, str] = {}
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while file.tell() < size:
            head = _varint(file)
            if head is None:
                break
            field, kind = head >> 3, head & 7
            length = _varint(file) if kind == _BYTES else {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if kind == _VARINT:
                if _varint(file) is None:
                    break
            elif length is None or length > size - file.tell():
                break
            elif field == _METADATA_PROPS and length <= _LONGEST_NOTE:
                name, value = _entry(file.read(length))
                notes[name] = value
            else:
                file.seek(length, os.SEEK_CUR)
    return notes


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


def _entry(data: bytes) -> tuple[str, str]:
    """Read a StringStringEntryProto: the key is field 1, the value field 2."""
    import io

    parts = {1: "", 2: ""}
    entry = io.BytesIO(data)
    while (head := _varint(entry)) is not None:
        length = _varint(entry)
        if head & 7 != _BYTES or length is None:
            break
        parts[head >> 3] = entry.read(length).decode("utf-8", "replace")
    return parts[1], parts[2]
