"""Content-Type headers to and from `Encoding` (RFC 9110 section 8.3, RFC 7845 section 9, RFC 2586).

Parsed by hand: `email.message` takes longer to import than a server takes to answer.
"""

import re
from collections.abc import Mapping

from voice_cli.audio import MAX_CHANNELS, MAX_HERTZ, MIN_HERTZ, AudioFormat, Encoding
from voice_cli.codecs import table
from voice_cli.codecs.sample_types import SAMPLE_TYPES
from voice_cli.printable import one_line

DEFAULT_PCM = AudioFormat(rate=24_000, channels=1)
"""The format of raw PCM if none is declared: that of OpenAI's `response_format: pcm`."""

_G711_TYPES = {
    **dict.fromkeys(("audio/pcmu", "audio/mulaw", "audio/ulaw", "audio/x-mulaw", "audio/x-ulaw"), "mulaw"),
    **dict.fromkeys(("audio/pcma", "audio/alaw", "audio/x-alaw"), "alaw"),
}
"""Media types of raw G.711 and its variants, 8000 Hz if no parameter says otherwise."""
_RATE_HEADERS = ("x-sample-rate", "x-audio-sample-rate")
_CHANNELS_HEADERS = ("x-channels", "x-num-channels", "x-audio-channels")
"""Headers in which some servers say the format of their PCM."""
_KINDS = {
    **dict.fromkeys(("", "pcm", "lpcm", "linear", "linear_pcm", "int", "integer", "signed", "signed_int"), "s"),
    **dict.fromkeys(("signed_integer", "s", "l"), "s"),
    **dict.fromkeys(("float", "floating_point", "ieee_float", "f"), "f"),
    **dict.fromkeys(("unsigned", "unsigned_int", "unsigned_integer", "u"), "u"),
    **dict.fromkeys(("mulaw", "mu_law", "ulaw", "u_law", "pcmu"), "mulaw"),
    **dict.fromkeys(("alaw", "a_law", "pcma"), "alaw"),
}
"""What servers call a kind of samples."""
_NEUTRAL = frozenset({"", "application/octet-stream", "binary/octet-stream", "audio/*", "*/*"})
"""Media types that say nothing."""
_PART = re.compile(r';?((?:[^";]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+)', re.DOTALL)
"""The text up to the next semicolon that is not in quotes; without backtracking, so in linear time."""


def encoding_in(headers: Mapping[str, str], pcm: Encoding | None = None) -> Encoding:
    """Return the encoding that a response's headers declare; their names are in lower case.

    `X-Sample-Rate` and similar headers set the format of PCM, and of a type that says nothing, without a format. `pcm`:
    the encoding of s16le without any of them.
    """
    encoding = encoding_of(headers.get("content-type"))
    if encoding.format is not None or encoding.codec not in ("pcm", None):
        return encoding
    rate, channels = (
        next((number for name in names if (number := _number(headers.get(name, ""), *limits)) is not None), None)
        for names, limits in ((_RATE_HEADERS, (MIN_HERTZ, MAX_HERTZ)), (_CHANNELS_HEADERS, (1, MAX_CHANNELS)))
    )
    if rate is None:
        return pcm if pcm is not None and encoding == Encoding("pcm") else encoding
    return encoding._replace(format=AudioFormat(rate, channels or DEFAULT_PCM.channels))


def encoding_of(content_type: str | None) -> Encoding:
    """Parse a Content-Type header.

    Raw PCM has a format only if a parameter names its rate or several channels; the rest is that of `DEFAULT_PCM`.
    audio/L16 is little-endian unless a parameter says otherwise: RFC 2586 says big-endian, but speech servers send
    little-endian.
    """
    essence, parameters = _parse(content_type or "")
    found = table.by_media_type(essence)
    codec = found.name if found is not None else None
    if codec == "pcm" or essence in _G711_TYPES:
        return _raw(essence, parameters) or Encoding(None, unsupported=one_line(content_type or ""))
    if codec == "opus" and "opus" not in parameters.get("codecs", "opus").lower():
        codec = None
    is_neutral = (
        codec is not None or essence in _NEUTRAL or (essence.startswith("application/") and not is_text(essence))
    )
    return Encoding(codec, unsupported="" if is_neutral else one_line(content_type or ""))


def is_text(media_type: str) -> bool:
    """Return whether a media type, in lower case, is one of text."""
    essence = media_type.partition(";")[0].strip()
    return (
        essence.startswith("text/")
        or re.search(r"\b(json|xml|javascript|yaml|problem|x-www-form)", essence) is not None
    )


def _raw(essence: str, parameters: dict[str, str]) -> Encoding | None:
    """Return the encoding of raw PCM or G.711; None: it is a kind that is not supported."""
    samples = _samples(essence, parameters)
    rates = [parameters[name] for name in ("rate", "samplerate", "sample_rate") if name in parameters]
    rate = _number(rates[0], MIN_HERTZ, MAX_HERTZ) if rates else None
    channels = _number(parameters["channels"], 1, MAX_CHANNELS) if "channels" in parameters else None
    if samples not in SAMPLE_TYPES or (rates and rate is None) or ("channels" in parameters and channels is None):
        return None
    if samples in ("mulaw", "alaw"):
        return Encoding("pcm", AudioFormat(rate or 8000, channels or 1), samples)
    if rate is None and channels in (None, DEFAULT_PCM.channels):
        return Encoding("pcm", None, samples)
    return Encoding("pcm", AudioFormat(rate or DEFAULT_PCM.rate, channels or DEFAULT_PCM.channels), samples)


def _samples(essence: str, parameters: dict[str, str]) -> str:
    """Return the type of the samples, which need not be a known one."""
    if essence in _G711_TYPES:
        return _G711_TYPES[essence]
    name = next((parameters[key] for key in ("encoding", "format", "codec") if parameters.get(key)), "")
    word = re.sub(r"[-. ]", "_", name.lower()).removeprefix("pcm_")
    match = re.fullmatch(r"([a-z_]*?)_?(8|16|24|32|64)?_?(le|be)?", word)
    if match is None or match[1] not in _KINDS:
        return "unknown"
    kind = _KINDS[match[1]]
    if kind in ("mulaw", "alaw"):
        return kind
    keys = ("bits", "bit_depth", "bitdepth", "bits_per_sample", "depth", "width")
    bits = match[2] or next((parameters[key] for key in keys if key in parameters), "32" if kind == "f" else "16")
    order = match[3] or next(
        (parameters[key] for key in ("endianness", "endian", "byte_order") if key in parameters), "le"
    )
    if bits == "8":
        return "u8" if kind == "u" or "l8" in essence else "s8"
    return f"{kind}{bits}{'be' if order.lower().startswith(('be', 'big', 'network')) else 'le'}"


def content_type_of(encoding: Encoding) -> str:
    """Return the Content-Type header of an encoding."""
    codec = table.by_name(encoding.codec) if encoding.codec is not None else None
    if codec is None or not codec.media_types:
        return "application/octet-stream"
    parameters = codec.parameters
    if encoding.codec == "pcm" and encoding.format is not None:
        parameters = f"rate={encoding.format.rate}; channels={encoding.format.channels}"
    return "; ".join(filter(None, (codec.media_types[0], parameters)))


def _number(text: str, minimum: int, maximum: int) -> int | None:
    """Parse a number; None: it is not one, or is not in this range."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 9
    return int(text) if is_number and minimum <= int(text) <= maximum else None


def _parse(content_type: str) -> tuple[str, dict[str, str]]:
    """Split a header into its essence and its parameters, names in lower case, values without their quotes."""
    essence, *parts = _PART.findall(content_type)
    parameters: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        parameters.setdefault(name.strip().lower().replace("-", "_"), value.strip().strip('"'))
    return essence.strip().lower(), parameters
