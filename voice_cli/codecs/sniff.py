"""Finds a stream's codec from its announced type and its first bytes.

Servers announce wrong types: MP3 as audio/pcm plays as noise, an error page as a click. Bytes that are unlikely in any
other codec override the announcement; otherwise (raw PCM may begin with anything) it counts.
"""

from typing import NamedTuple

from voice_cli.audio import Encoding
from voice_cli.codecs import table
from voice_cli.codecs.headers import ADTS_HEADER_BYTES, MPEG_HEADER_BYTES, adts_header, id3v2_length, mpeg_header
from voice_cli.codecs.media_types import is_text
from voice_cli.errors import DecodeError, Hint, ServerError
from voice_cli.printable import one_line

HEAD_BYTES = 12
"""So many first bytes are needed, unless the stream has fewer."""

_FIRST_BYTES = {first: codec.name for codec in table.BUILT_IN.values() for first in codec.first_bytes}
UNDECODED = (
    # (name, position, the bytes there)
    *(("MP4", 4, box) for box in (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"free", b"skip", b"emsg")),
    ("WebM", 0, b"\x1a\x45\xdf\xa3"),
    ("big-endian WAV", 0, b"RIFX"),
    ("Wave64", 0, b"riff\x2e\x91\xcf\x11"),
    ("AIFF", 8, b"AIFF"),
    ("AIFF", 8, b"AIFC"),
    ("AU", 0, b".snd"),
    ("Core Audio Format", 0, b"caff"),
    ("ASF (WMA)", 0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    ("ADIF (AAC)", 0, b"ADIF"),
    ("AMR", 0, b"#!AMR"),
    ("SILK", 0, b"#!SILK"),
    ("SILK", 1, b"#!SILK"),
    ("WavPack", 0, b"wvPk"),
    ("Monkey's Audio", 0, b"MAC "),
    ("Musepack", 0, b"MPCK"),
    ("True Audio", 0, b"TTA1"),
    ("DSD", 0, b"DSD "),
    ("MIDI", 0, b"MThd"),
    ("Flash video", 0, b"FLV\1"),
    ("gzip", 0, b"\x1f\x8b\x08"),
    ("ZIP", 0, b"PK\x03\x04"),
    ("Zstandard", 0, b"\x28\xb5\x2f\xfd"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("PDF", 0, b"%PDF-"),
    ("PNG", 0, b"\x89PNG\r\n"),
    ("GIF", 0, b"GIF8"),
)
"""Formats that are refused by name. Each of these byte sequences begins one stream of PCM in 2²⁴ or fewer."""
_TS_PACKET = 188
_WITH_FIRST_BYTES = frozenset({"wav", "opus", "mp3", "aac", "flac"})
"""Codecs whose streams are recognised, whatever is announced."""
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
        """Return whether the stream begins with `magic`; raise _MoreBytes if the bytes that decide it may follow."""
        if magic.startswith(self.data):
            self.has(len(magic))
        return self.data.startswith(magic)


def sniff(announced: Encoding | None, expected: Encoding, head: bytes, *, final: bool) -> str | None:
    """Return the name of the codec of the stream that begins with `head`; None: more bytes are needed.

    The result does not depend on how the stream is cut. `HEAD_BYTES` are enough, unless they look like the start of a
    format that more bytes must confirm; then at most some 8 KiB are needed.

    Raises ServerError, which quotes the first line, if `head` is text, and DecodeError if it is audio that is not
    decoded here or not recognised.
    """
    try:
        return _sniff(announced or Encoding(None), expected.codec, _Head(head, final))
    except _MoreBytes:
        return None


def _sniff(announced: Encoding, expected: str | None, head: _Head) -> str:
    head.has(HEAD_BYTES)
    for magic, codec in _FIRST_BYTES.items():
        if head.begins(magic):
            return _after_id3(announced.codec, head) if magic == b"ID3" else codec
    for name, at, magic in UNDECODED:
        if head.data.startswith(magic, at):
            raise _undecoded(name)
    if _is_transport_stream(head):
        raise _undecoded("an MPEG transport stream")
    if _is_loas(head):
        raise _undecoded("LATM (AAC)")
    _refuse_text(head)
    claim = announced.codec or expected
    synced = _synced(head, 0, sure=claim not in ("mp3", "aac"))
    if synced is not None:
        return synced
    if claim not in table.BUILT_IN:
        for added in table.added():
            if any(head.begins(first) for first in added.first_bytes):
                return added.name
    if announced.unsupported:
        raise _unsupported(announced.unsupported, head)
    if claim is None:
        raise DecodeError("the server sent a format that is not recognised, and no content type", hint=_HINT)
    if expected == "pcm" and announced.codec in _WITH_FIRST_BYTES:
        # A server that always sends the same Content-Type: its bytes are not of that codec.
        return "pcm"
    return claim


def _unsupported(media_type: str, head: _Head) -> ServerError:
    """Return the error for a type that is not decoded, with the first line if it is text."""
    if not is_text(media_type.lower()):
        return DecodeError(f"the server sent {media_type}, which voice does not decode", hint=_HINT)
    line = head.data.lstrip()
    if b"\n" not in line:
        head.has(_LINE_BYTES)
    return ServerError(f"the server sent {media_type} instead of audio: {_first_line(line)}")


def _is_transport_stream(head: _Head) -> bool:
    """Return whether three packets of an MPEG transport stream begin the stream (ISO 13818-1 section 2.4.3)."""
    if not head.begins(b"\x47") or not head.has(2 * _TS_PACKET + 1):
        return False
    return head.data[0 : 2 * _TS_PACKET + 1 : _TS_PACKET] == b"\x47\x47\x47"


def _is_loas(head: _Head) -> bool:
    """Return whether two LATM elements in a LOAS stream begin the stream (ISO 14496-3 section 1.7.2)."""
    data = head.data
    if not data.startswith(b"\x56") or not head.has(3) or data[1] & 0xE0 != 0xE0:
        return False
    following = 3 + ((data[1] & 0x1F) << 8 | data[2])
    return head.has(following + 2) and data[following] == 0x56 and data[following + 1] & 0xE0 == 0xE0


def _after_id3(announced: str | None, head: _Head) -> str:
    """Return the codec after an ID3 tag: nearly always MP3; AAC in HTTP live streaming."""
    if announced == "mp3" or not head.has(10):
        return "mp3"
    length = id3v2_length(head.data)
    if length > _TAG_BYTES:
        return announced if announced in ("aac", "flac") else "mp3"
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
    line = head.data.lstrip()
    if b"\n" not in line:
        head.has(_LINE_BYTES)
    raise ServerError(f"the server sent text instead of audio: {_first_line(line)}")


def _first_line(text: bytes) -> str:
    return one_line(text.partition(b"\n")[0].decode(errors="replace"))


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
