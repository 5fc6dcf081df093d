"""What a stream is, by what was announced and by its first bytes.

Servers lie about types: MP3 under audio/pcm plays as noise, an error page as a click. Bytes that can hardly
be anything else win over the announcement; where bytes prove nothing (raw PCM can begin with anything), it
counts.
"""

from voice_cli.audio import Encoding
from voice_cli.codecs import table
from voice_cli.codecs.headers import (
    ADTS_HEADER_BYTES,
    MPEG_HEADER_BYTES,
    adts_header,
    id3v2_length,
    mpeg_header,
)
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
"""So many printable bytes in a row are a text: by chance, of random PCM, one stream in 10²⁷ begins so."""
_LINE_BYTES = 240
"""The longest first line to wait for, and to quote."""
_TAG_BYTES = 4096
"""The longest ID3 tag to look behind."""


class _MoreBytes(Exception):  # noqa: N818  not an error: the head is too short to tell
    pass


def sniff(announced: Encoding | None, expected: Encoding, head: bytes, *, final: bool) -> str | None:
    """Name the codec (one of `CODECS`) of the stream that begins with `head`; None: more bytes are needed.

    However a stream is cut, the answer is the same; at most some 8 KiB are asked for, and of PCM two bytes
    unless they look like the start of something else.

    Raises:
        ServerError: `head` is a text. Quotes its first line.
        DecodeError: it is a kind of sound that is not decoded here, or nothing says what it is.

    """
    said = announced.codec if announced is not None else None
    try:
        return _sniff(said, expected.codec, head, final=final)
    except _MoreBytes:
        return None


def _sniff(said: str | None, asked: str | None, head: bytes, *, final: bool) -> str:
    for magic, codec in _FIRST_BYTES.items():
        if _begins(head, magic, final=final):
            return _behind_id3(said, head, final=final) if magic == b"ID3" else codec
    for magic, name in _UNDECODED.items():
        if _begins(head, magic, final=final):
            raise _undecoded(name)
    claim = said or asked
    if said is None and head[:2] == b"\0\0"[: len(head)]:
        # Silence begins so as well: worth a wait only where nobody said that it is PCM.
        if len(head) < 8 and not final:
            raise _MoreBytes
        if head[4:8] == b"ftyp":
            raise _undecoded("MP4")
    _refuse_text(head, final=final)
    synced = _synced(head, 0, sure=claim not in ("mp3", "aac"), final=final)
    if synced is not None:
        return synced
    if claim is None:
        for added in table.added():
            if head.startswith(added.first_bytes):
                return added.name
        raise DecodeError("the server did not say what it sent, and the bytes do not tell", hint=_HINT)
    if asked == "pcm":
        # A server that always writes the same Content-Type: of all codecs, only PCM has no mark of its own.
        return "pcm"
    return claim


def _begins(head: bytes, magic: bytes, *, final: bool) -> bool:
    if len(head) < len(magic) and not final and magic.startswith(head):
        raise _MoreBytes
    return head.startswith(magic)


def _behind_id3(said: str | None, head: bytes, *, final: bool) -> str:
    """Tell what an ID3 tag is the head of: nearly always MP3, by HTTP live streaming's rules AAC."""
    if said in ("mp3", "aac", "flac"):
        return said
    if len(head) < 10:
        if final:
            return "mp3"
        raise _MoreBytes
    length = id3v2_length(head)
    if length > _TAG_BYTES:
        return "mp3"
    if len(head) < length + 4 and not final:
        raise _MoreBytes
    if head.startswith(b"fLaC", length):
        return "flac"
    return _synced(head, length, sure=False, final=final) or "mp3"


def _synced(head: bytes, at: int, *, sure: bool, final: bool) -> str | None:
    """Tell whether an MPEG audio or ADTS frame begins at `at`; `sure` wants to see a second one follow it."""
    start = head[at : at + 2]
    if start[:1] != b"\xff":
        return None
    if len(start) < 2:
        if final:
            return None
        raise _MoreBytes
    if start[1] & 0xE0 != 0xE0:
        return None
    is_adts = start[1] & 0xF6 == 0xF0
    codec, parse = ("aac", adts_header) if is_adts else ("mp3", mpeg_header)
    size = ADTS_HEADER_BYTES if is_adts else MPEG_HEADER_BYTES
    if len(head) < at + size:
        if final:
            return None
        raise _MoreBytes
    first = parse(head, at)
    if first is None or not sure:
        return codec if first else None
    following = at + first.length
    if len(head) < following + size:
        if not final:
            raise _MoreBytes
        return codec if len(head) == following else None
    second = parse(head, following)
    return codec if second is not None and second.key == first.key else None


def _refuse_text(head: bytes, *, final: bool) -> None:
    run = head[:_TEXT_BYTES]
    if not run or not _printable(run):
        return
    if len(run) < _TEXT_BYTES and not final:
        raise _MoreBytes
    if len(run) < 4 and not run.isascii():
        return  # one character, or a part of one, that two samples are as likely to look like
    line, newline, _ = head.lstrip().partition(b"\n")
    if not newline and len(head) < _LINE_BYTES and not final:
        raise _MoreBytes
    quoted = one_line(line.decode(errors="replace"))
    raise ServerError(f"the server sent a text where sound was due: {quoted}")


def _printable(run: bytes) -> bool:
    """Tell whether `run` is UTF-8 text; it may end in the middle of a character."""
    try:
        text = run.decode()
    except UnicodeDecodeError as exc:
        if exc.reason != "unexpected end of data":
            return False
        text = run[: exc.start].decode()
    return all(character.isprintable() or character in "\t\r\n\ufeff" for character in text)


def _undecoded(name: str) -> DecodeError:
    return DecodeError(f"the server sent {name}, which voice does not decode", hint=_HINT)
