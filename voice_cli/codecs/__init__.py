"""Decoders and encoders: the bytes of one stream to and from s16le PCM.

A codec's module is imported when a stream of the codec is opened, so no stream waits for another codec's library.
"""

from contextlib import suppress
from importlib import import_module

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs import table
from voice_cli.codecs.base import Decoder, Encoder
from voice_cli.codecs.media_types import DEFAULT_PCM
from voice_cli.codecs.sniff import sniff
from voice_cli.errors import DecodeError, EngineError, Hint, UsageError, nearest

__all__ = ["DEFAULT_PCM", "Decoder", "Encoder", "open_decoder", "open_encoder", "preload"]

_MIN_HERTZ, _MAX_HERTZ = 4_000, 96_000
"""Limits of the rate to encode at: no built-in codec has higher ones, and a rate costs the server work and memory."""


def open_decoder(
    announced: Encoding | None, expected: Encoding, head: bytes, *, final: bool, is_external: bool = True
) -> tuple[str, Decoder] | None:
    """Return (codec, decoder) for a stream, found by its announcement and its first bytes.

    None: more bytes are needed; call again with a longer head. It is never None if `final`.

    Args:
        announced: the encoding that the backend announced.
        expected: the encoding that was requested.
        head: the stream's first bytes. They are not consumed: pass them to `decode`.
        final: the stream ends after `head`.
        is_external: the stream comes from outside this process.

    Raises:
        ServerError: the stream is text, such as an error page.
        DecodeError: there is no decoder for it, or its codec is not recognised.
        EngineError: a codec of another package does not load.

    """
    name = sniff(announced, expected, head, final=final)
    if name is None:
        return None
    codec = table.by_name(name)
    if codec is None or codec.decoder is None:
        raise DecodeError(f"the server sent {name}, which voice does not decode", hint=Hint("ask for another {format}"))
    make = codec.load_class(codec.decoder)
    if name != "pcm":
        return name, make()
    samples = announced.samples if announced is not None and announced.codec == "pcm" else expected.samples
    # Only an encoding that is PCM knows the format: that of an expected MP3 says nothing about this stream.
    formats = [e.format for e in (announced, expected) if e is not None and e.codec in ("pcm", None)]
    return name, make(next(filter(None, formats), DEFAULT_PCM), samples, is_external=is_external)


def open_encoder(codec: str, source: AudioFormat, *, rate: int | None = None) -> Encoder:
    """Return the encoder of one stream.

    Args:
        codec: a codec's name.
        source: the format of the PCM: mono or stereo. The stream has as many channels, except that mulaw has one.
        rate: hertz of the stream; None: the source's, or the nearest that the codec has. Opus is always 48000, and
            mulaw 8000.

    Raises:
        UsageError: there is no such codec, or it has no such format.
        EngineError: a codec of another package does not load.

    """
    found = table.by_name(codec)
    if found is None or found.encoder is None:
        known = ", ".join(name for name, one in table.BUILT_IN.items() if one.encoder)
        raise UsageError(f"there is no codec {codec!r}{nearest(codec, table.BUILT_IN)}", hint=f"the codecs: {known}")
    if source.channels not in (1, 2):
        raise UsageError(f"cannot encode {source.channels} channels")
    if rate is not None and not _MIN_HERTZ <= rate <= _MAX_HERTZ:
        raise UsageError(f"cannot encode at {rate} Hz", hint=f"ask for {_MIN_HERTZ} to {_MAX_HERTZ}")
    encoder: Encoder = found.load_class(found.encoder)(source, rate)
    return encoder


def preload(codec: str) -> None:
    """Import what decoding `codec` needs, ahead of its stream. Any thread.

    Errors are left to the stream that needs the codec.

    Raises:
        ValueError: there is no such codec.

    """
    try:
        found = table.by_name(codec)
    except EngineError:
        return
    if found is None:
        raise ValueError(f"no such codec: {codec}")
    if found.decoder is not None:
        with suppress(Exception):  # a package's module may raise anything
            getattr(import_module(found.module), "load", lambda: None)()
