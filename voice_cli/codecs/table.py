"""The codecs, and all that is known of each without importing it. A codec is added here, or by an entry point.

A package adds a codec with an entry point of the group `voice_cli.codecs`, named as the codec is and leading to a
`Codec`. Entry points are read only when a name, a media type or a suffix is not found here: the table is on the way to
the first request.
"""

from functools import cache
from importlib import import_module
from typing import NamedTuple

ENTRY_POINTS = "voice_cli.codecs"


class Codec(NamedTuple):
    """A codec, its two classes and the marks of its streams."""

    name: str
    module: str
    """Imported when a stream of the codec is opened. Its `load`, if it has one, is called by `preload`."""
    decoder: str | None = None
    """Class in `module`, a `base.Decoder`, made without arguments (PCM: with its format); None: no decoder."""
    encoder: str | None = None
    """Class in `module`, a `base.Encoder`, made with the source's format and a rate or None; None: no encoder."""
    media_types: tuple[str, ...] = ()
    """In lower case, without parameters; the first one is the one to announce."""
    parameters: str = ""
    """To announce behind the media type."""
    suffixes: tuple[str, ...] = ()
    """Of files, in lower case, with the dot."""
    first_bytes: tuple[bytes, ...] = ()
    """Any of which a stream begins with, and no stream of another codec does."""
    muxer: str | None = None
    """ffmpeg's name of the file format, for files of a codec without an encoder."""

    def load_class(self, name: str) -> type:
        """Import the module and return its class `name`."""
        found: type = getattr(import_module(self.module), name)
        return found


BUILT_IN = {
    codec.name: codec
    for codec in (
        Codec(
            "pcm",
            "voice_cli.codecs.pcm",
            decoder="PcmDecoder",
            encoder="PcmEncoder",
            media_types=("audio/pcm", "audio/x-pcm", "audio/raw", "audio/l16"),
            suffixes=(".pcm", ".raw"),
        ),
        Codec(
            "wav",
            "voice_cli.codecs.wav",
            decoder="WavDecoder",
            encoder="WavEncoder",
            media_types=("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
            suffixes=(".wav", ".wave"),
            first_bytes=(b"RIFF", b"RF64"),
        ),
        Codec(
            "opus",
            "voice_cli.codecs.opus",
            decoder="OpusDecoder",
            encoder="OpusEncoder",
            media_types=("audio/ogg", "application/ogg", "audio/opus"),
            parameters="codecs=opus",
            suffixes=(".opus", ".ogg"),
            first_bytes=(b"OggS",),
        ),
        Codec(
            "mp3",
            "voice_cli.codecs.mp3",
            decoder="Mp3Decoder",
            encoder="Mp3Encoder",
            media_types=("audio/mpeg", "audio/mp3", "audio/x-mp3"),
            suffixes=(".mp3",),
            first_bytes=(b"ID3",),
        ),
        Codec(
            "aac",
            "voice_cli.codecs.aac",
            decoder="AacDecoder",
            encoder="AacEncoder",
            media_types=("audio/aac", "audio/aacp", "audio/x-aac"),
            suffixes=(".aac",),
        ),
        Codec(
            "flac",
            "voice_cli.codecs.flac",
            decoder="FlacDecoder",
            encoder="FlacEncoder",
            media_types=("audio/flac", "audio/x-flac"),
            suffixes=(".flac",),
            first_bytes=(b"fLaC",),
        ),
        Codec(
            "mulaw",
            "voice_cli.codecs.mulaw",
            decoder="MulawDecoder",
            encoder="MulawEncoder",
            media_types=("audio/basic",),
        ),
    )
}
_BY_MEDIA_TYPE = {media_type: codec for codec in BUILT_IN.values() for media_type in codec.media_types}
_BY_SUFFIX = {suffix: codec for codec in BUILT_IN.values() for suffix in codec.suffixes}


def by_name(name: str) -> Codec | None:
    """Return the codec called `name`, one from an entry point included; None: there is none."""
    return BUILT_IN.get(name) or next((codec for codec in added() if codec.name == name), None)


def by_media_type(essence: str) -> Codec | None:
    """Return the codec of a media type, in lower case and without parameters."""
    codec = _BY_MEDIA_TYPE.get(essence)
    if codec is None and essence.startswith("audio/"):
        return next((codec for codec in added() if essence in codec.media_types), None)
    return codec


def by_suffix(suffix: str) -> Codec | None:
    """Return the codec of a file's suffix, in lower case and with its dot."""
    return _BY_SUFFIX.get(suffix) or next((codec for codec in added() if suffix in codec.suffixes), None)


@cache
def added() -> tuple[Codec, ...]:
    """Return the codecs of entry points, those with a built-in codec's name left out."""
    from importlib.metadata import entry_points

    found = (point.load() for point in entry_points(group=ENTRY_POINTS) if point.name not in BUILT_IN)
    return tuple(codec for codec in found if isinstance(codec, Codec) and codec.name not in BUILT_IN)
