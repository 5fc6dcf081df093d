"""The codecs, and all that is known of each without importing it.

A package adds a codec with an entry point of the group `voice_cli.codecs`, which has the codec's name and leads to a
`Codec`. Entry points are read only if a name, a media type or a suffix is not built in.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from voice_cli.audio import CODEC_ENTRY_POINTS
from voice_cli.errors import EngineError
from voice_cli.printable import one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Codec(NamedTuple):
    """A codec: its two classes, and how its streams are recognised."""

    name: str
    """One from an entry point has the entry point's name."""
    module: str
    """Imported when a stream of the codec is opened. `codecs.preload` calls its function `load`, if it has one."""
    decoder: str | None = None
    """Class in `module`, a `base.Decoder`, made without arguments (PCM: with its format); None: no decoder."""
    encoder: str | None = None
    """Class in `module`, a `base.Encoder`, made with the source's format and a rate or None; None: no encoder."""
    media_types: tuple[str, ...] = ()
    """In lower case, without parameters; the first one is announced."""
    suffixes: tuple[str, ...] = ()
    """Of files, in lower case, with the dot."""
    first_bytes: tuple[bytes, ...] = ()
    """A stream begins with one of these, and no stream of another codec does."""
    parameters: str = ""
    """To announce after the media type."""

    def load_class(self, name: str) -> Any:
        """Import the module and return its class `name`; raise EngineError if it does not load."""
        try:
            return getattr(import_module(self.module), name)
        except Exception as exc:  # a package's module may raise anything
            raise _load_error(self.name, self.module, exc) from exc


def _built_in(
    name: str,
    media_types: tuple[str, ...],
    suffixes: tuple[str, ...] = (),
    first_bytes: tuple[bytes, ...] = (),
    parameters: str = "",
) -> Codec:
    classes = f"{name.capitalize()}Decoder", f"{name.capitalize()}Encoder"
    return Codec(name, f"voice_cli.codecs.{name}", *classes, media_types, suffixes, first_bytes, parameters)


BUILT_IN = {
    codec.name: codec
    for codec in (
        _built_in(
            "pcm", ("audio/pcm", "audio/x-pcm", "audio/raw", "audio/x-raw", "audio/lpcm", "audio/l16"), (".pcm", ".raw")
        ),
        _built_in(
            "wav",
            ("audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"),
            (".wav", ".wave"),
            (b"RIFF", b"RF64", b"BW64"),
        ),
        _built_in("opus", ("audio/ogg", "application/ogg", "audio/opus"), (".opus", ".ogg"), (b"OggS",), "codecs=opus"),
        _built_in("mp3", ("audio/mpeg", "audio/mp3", "audio/x-mp3"), (".mp3",), (b"ID3",)),
        _built_in("aac", ("audio/aac", "audio/aacp", "audio/x-aac"), (".aac",)),
        _built_in("flac", ("audio/flac", "audio/x-flac"), (".flac",), (b"fLaC",)),
        _built_in("mulaw", ("audio/basic",)),
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
    """Return the codecs of entry points, except those with a built-in codec's name.

    Raises EngineError if one of them does not load.
    """
    from importlib.metadata import entry_points

    return tuple(_load(point) for point in entry_points(group=CODEC_ENTRY_POINTS) if point.name not in BUILT_IN)


def _load(point: "EntryPoint") -> Codec:
    try:
        codec = point.load()
    except Exception as exc:  # it runs a package's code
        raise _load_error(point.name, point.value, exc) from exc
    if not isinstance(codec, Codec):
        raise _load_error(point.name, point.value, TypeError("it is not a Codec"))
    return codec._replace(name=point.name)


def _load_error(name: str, place: str, cause: Exception) -> EngineError:
    reason = one_line(f"{type(cause).__name__}: {cause}")
    return EngineError(f"the codec {name} ({place}) does not load: {reason}")
