"""Finds a stream's codec from its announced type and its first bytes.

Servers announce wrong types: MP3 as audio/pcm plays as noise, an error page as a click. Bytes that are unlikely in any
other codec override the announcement; otherwise (raw PCM may begin with anything) it counts.
"""

from typing import NamedTuple

from voice_cli.audio import Encoding
from voice_cli.codecs import table
from voice_cli.codecs.headers import ADTS_HEADER_BYTES, MPEG_HEADER_BYTES, adts_header, id3v2_length, mpeg_header
from voice_cli.errors import DecodeError, Hint, ServerError, one_line

_FIRST_BYTES = {first: codec.name for codec in table.BUILT_IN.values() for first in codec.first_bytes}
_UNDECODED = {
    b"\x1a\x45\xdf\xa3": "WebM",
    b"RIFX": "big-endian WAV",
    b"FORM": "AIFF",
    b".snd": "AU",
    b"#!AMR": "AMR",
    b"caff": "Core Audio Format",
    b"wvPk": "WavPack",
}
_HINT = Hint("ask for another {format}")
_TEXT_BYTES = 64
"""So many printable bytes in a row are text: of random PCM, one stream in 10²⁷ begins with them."""
_LINE_BYTES = 240
"""The longest first line to wait for and quote."""
_TAG_BYTES = 4096
"""The longest ID3 tag to wait for."""


class _MoreBytes(Exception):  # noqa: N818  not an error: the head is too short to decide
    pass


class _Head(NamedTuple):
    """The first bytes of a stream."""

    data: bytes
    final: bool
    """The stream has no more."""

    def has(self, size: int) -> bool:
        """Return whether there are `size` bytes; raise _MoreBytes if they may follow."""
        if len(self.data) < size and not self.final:
            raise _MoreBytes
        return len(self.data) >= size

    def begins(self, magic: bytes) -> bool:
        if magic.startswith(self.data):
            self.has(len(magic))
        return self.data.startswith(magic)


def sniff(announced: Encoding | None, expected: Encoding, head: bytes, *, final: bool) -> str | None:
    """Return the name of the codec of the stream that begins with `head`; None: more bytes are needed.

    The result does not depend on how the stream is cut. At most some 8 KiB are needed; two bytes of PCM are enough,
    unless they look like the start of another format.

    Raises ServerError, which quotes the first line, if `head` is text, and DecodeError if it is audio that is not
    decoded here or not recognised.
    """
    try:
        return _sniff(announced.codec if announced is not None else None, expected.codec, _Head(head, final))
    except _MoreBytes:
        return None


def _sniff(announced: str | None, expected: str | None, head: _Head) -> str:
    for magic, codec in _FIRST_BYTES.items():
        if head.begins(magic):
            return _after_id3(announced, head) if magic == b"ID3" else codec
    for magic, name in _UNDECODED.items():
        if head.begins(magic):
            raise _undecoded(name)
    claim = announced or expected
    # Silence begins with zeros too: wait only if PCM is not announced.
    if announced is None and b"\0\0".startswith(head.data[:2]) and head.has(8) and head.data[4:8] == b"ftyp":
        raise _undecoded("MP4")
    _refuse_text(head)
    synced = _synced(head, 0, sure=claim not in ("mp3", "aac"))
    if synced is not None:
        return synced
    if claim not in table.BUILT_IN:
        for added in table.added():
            if any(head.begins(first) for first in added.first_bytes):
                return added.name
    if claim is None:
        raise DecodeError("the server sent no content type and the format is not recognised", hint=_HINT)
    if expected == "pcm":
        # A server that always sends the same Content-Type: only PCM has no first bytes of its own.
        return "pcm"
    return claim


def _after_id3(announced: str | None, head: _Head) -> str:
    """Return the codec after an ID3 tag: nearly always MP3; AAC in HTTP live streaming."""
    if announced in ("mp3", "aac", "flac"):
        return announced
    if not head.has(10):
        return "mp3"
    length = id3v2_length(head.data)
    if length > _TAG_BYTES:
        return "mp3"
    head.has(length + 4)
    if head.data.startswith(b"fLaC", length):
        return "flac"
    return _synced(head, length, sure=False) or "mp3"


def _synced(head: _Head, at: int, *, sure: bool) -> str | None:
    """Return the codec if an MPEG audio or ADTS frame begins at `at`; `sure`: and another one follows it."""
    data = head.data
    if data[at : at + 1] != b"\xff" or not head.has(at + 2) or data[at + 1] & 0xE0 != 0xE0:
        return None
    is_adts = data[at + 1] & 0xF6 == 0xF0
    codec, parse = ("aac", adts_header) if is_adts else ("mp3", mpeg_header)
    size = ADTS_HEADER_BYTES if is_adts else MPEG_HEADER_BYTES
    if not head.has(at + size):
        return None
    first = parse(data, at)
    if first is None or not sure:
        return codec if first else None
    following = at + first.length
    if not head.has(following + size):
        return codec if len(data) == following else None
    second = parse(data, following)
    return codec if second is not None and second.key == first.key else None


def _refuse_text(head: _Head) -> None:
    run = head.data[:_TEXT_BYTES]
    if not run or not _printable(run):
        return
    if not head.has(_TEXT_BYTES) and len(run) < 4 and not run.isascii():
        return  # may be two samples
    line, newline, _ = head.data.lstrip().partition(b"\n")
    if not newline:
        head.has(_LINE_BYTES)
    quoted = one_line(line.decode(errors="replace"))
    raise ServerError(f"the server sent text instead of audio: {quoted}")


def _printable(run: bytes) -> bool:
    """Return whether `run` is UTF-8 text; it may end inside a character."""
    try:
        text = run.decode()
    except UnicodeDecodeError as exc:
        if exc.reason != "unexpected end of data":
            return False
        text = run[: exc.start].decode()
    return all(character.isprintable() or character in "\t\r\n\ufeff" for character in text)


def _undecoded(name: str) -> DecodeError:
    return DecodeError(f"the server sent {name}, which voice does not decode", hint=_HINT)
