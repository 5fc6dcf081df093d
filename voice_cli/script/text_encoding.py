"""Bytes of a file or a pipe to text: UTF-8, or what a byte order mark says (Unicode Standard, section 23.8).

Bytes that are not text, such as a sound file, are refused. A few invalid bytes become replacement characters.
"""

import codecs

from voice_cli.errors import FileError

MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16's, which it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""The byte order marks and their encodings."""

FORMATS = {
    b"%PDF-": "a PDF",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "compressed by gzip",
    b"RIFF": "a WAV file",
    b"OggS": "an Ogg file",
    b"fLaC": "a FLAC file",
    b"ID3": "an MP3 file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x7fELF": "a program",
}
"""First bytes of formats that are named in the error."""

BLOCK_BYTES = 4096
"""Bytes that are judged together."""
MIN_INVALID = 8
"""A block with fewer invalid characters is text."""
MAX_INVALID_SHARE = 0.2
"""A block with a larger share of invalid characters is not text. Latin-1 has some 0.05, random bytes 0.5."""

_INVALID = dict.fromkeys({0xFFFD, *range(32)} - {*b"\a\b\t\n\v\f\r\x0e\x0f\x1b"})
"""Replacement characters, and the control characters that neither text nor a terminal's output has."""


class TextDecoder:
    """Decodes the bytes of one text, in pieces."""

    def __init__(self, name: str) -> None:
        """Set the name of the file or pipe, for errors."""
        self._name = name
        self._head: bytes | None = b""
        """The first bytes, while they may be the start of a mark; None: the encoding is known."""
        self._decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")("replace")

    def decode(self, data: bytes, *, final: bool = False) -> str:
        """Return the text of the next bytes.

        Raises:
            FileError: they are not text.

        """
        if self._head is not None:
            data = self._head + data
            if not final and any(mark != data and mark.startswith(data) for mark in MARKS):
                self._head = data
                return ""
            self._head = None
            self._refuse_formats(data)
            mark = next((mark for mark in MARKS if data.startswith(mark)), b"")
            self._decoder = codecs.getincrementaldecoder(MARKS.get(mark, "utf-8"))("replace")
            data = data[len(mark) :]
        blocks = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
        texts = [self._decoder.decode(block) for block in blocks]
        if final:
            texts.append(self._decoder.decode(b"", final=True))
        for text in texts:
            invalid = len(text) - len(text.translate(_INVALID))
            if invalid >= MIN_INVALID and invalid > MAX_INVALID_SHARE * len(text):
                raise self._not_text("it has bytes that are neither UTF-8 nor UTF-16 with a byte order mark")
        return "".join(texts)

    def _refuse_formats(self, data: bytes) -> None:
        for first, name in FORMATS.items():
            if data.startswith(first):
                raise self._not_text(f"it is {name}")

    def _not_text(self, reason: str) -> FileError:
        return FileError(f"{self._name} is not text: {reason}", hint="convert it to UTF-8 text")


def decode_text(data: bytes, name: str) -> str:
    """Return the text of a whole file or pipe; raises as `TextDecoder.decode`."""
    return TextDecoder(name).decode(data, final=True)
