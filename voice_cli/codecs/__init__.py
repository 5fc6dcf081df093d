"""From the bytes of one stream, in whatever codec and cut, to s16le PCM.

A codec's module is imported when a stream of that codec is met, so that nobody waits for a library that the
stream does not need.
"""

from importlib import import_module
from typing import cast

from voice_cli.audio import Encoding
from voice_cli.codecs.base import Decoder
from voice_cli.codecs.media_types import DEFAULT_PCM
from voice_cli.codecs.sniff import sniff

__all__ = ["Decoder", "open_decoder", "preload"]

_DECODERS = {
    "pcm": ("pcm", "PcmDecoder"),
    "wav": ("wav", "WavDecoder"),
    "opus": ("opus", "OpusDecoder"),
    "mp3": ("mpeg", "Mp3Decoder"),
    "aac": ("adts", "AacDecoder"),
    "flac": ("flac", "FlacDecoder"),
}
"""Codec → its module here, and the class in it."""


def open_decoder(
    announced: Encoding | None, expected: Encoding, head: bytes, *, final: bool
) -> tuple[str, Decoder] | None:
    """Tell from the announcement and the first bytes what a stream is, and give (codec, decoder).

    None means that `head` is too short to tell: call again with more of the stream, from its start. It
    never is None once `final`, and for PCM hardly ever is with two bytes. `head` is not consumed: give it
    to `decode`.

    Args:
        announced: what the backend says that the stream is, or None.
        expected: what was asked for.
        head: the stream from its first byte on, as far as it is here.
        final: nothing will follow `head`.

    Raises:
        ServerError: it is a text, such as a page or an error, where sound was due.
        DecodeError: it is of a kind that is not decoded here, or of none at all.

    """
    codec = sniff(announced, expected, head, final=final)
    if codec is None:
        return None
    if codec != "pcm":
        return codec, cast("Decoder", _class(codec)())
    # Only who speaks of PCM knows its format: that of an asked-for MP3 says nothing about this stream.
    told = [e.format for e in (announced, expected) if e is not None and e.codec in ("pcm", None)]
    return codec, cast("Decoder", _class(codec)(next(filter(None, told), DEFAULT_PCM)))


def preload(codec: str) -> None:
    """Load what `codec` will need, while there is nothing else to do: the libraries, and their own start.

    Never fails: a library that is missing is reported by the stream that needs it. Any thread.

    Raises:
        ValueError: there is no such codec.

    """
    if codec not in _DECODERS:
        raise ValueError(f"no such codec: {codec}")
    module, _ = _DECODERS[codec]
    load = getattr(import_module(f"{__name__}.{module}"), "load", None)
    if load is not None:
        load()


def _class(codec: str) -> type:
    module, name = _DECODERS[codec]
    return cast("type", getattr(import_module(f"{__name__}.{module}"), name))
