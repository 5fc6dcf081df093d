"""Content-Type headers to and from `Encoding` (RFC 9110 section 8.3, RFC 7845 section 9, RFC 2586).

Parsed by hand: `email.message` takes longer to import than a server takes to answer.
"""

import re

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs import table

DEFAULT_PCM = AudioFormat(rate=24_000, channels=1)
"""The format of raw PCM if none is declared: that of OpenAI's `response_format: pcm`."""

_MAX_HERTZ = 768_000
_MAX_CHANNELS = 255
_PART = re.compile(r';?((?:[^";]++|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z))*+)', re.DOTALL)
"""The text up to the next semicolon that is not in quotes; without backtracking, so in linear time."""


def encoding_of(content_type: str | None) -> Encoding:
    """Parse a Content-Type header.

    Raw PCM has a format only if a parameter names its rate or its channels; the other one is that of `DEFAULT_PCM`.
    audio/L16 is little-endian here: RFC 2586 says big-endian, but speech servers send little-endian.
    """
    essence, parameters = _parse(content_type or "")
    found = table.by_media_type(essence)
    codec = found.name if found is not None else None
    if codec == "opus" and "opus" not in parameters.get("codecs", "opus").lower():
        codec = None
    if codec != "pcm":
        return Encoding(codec)
    rate = _number(parameters.get("rate") or parameters.get("samplerate"), _MAX_HERTZ)
    channels = _number(parameters.get("channels"), _MAX_CHANNELS)
    if rate is None and channels is None:
        return Encoding(codec)
    return Encoding(codec, AudioFormat(rate or DEFAULT_PCM.rate, channels or DEFAULT_PCM.channels))


def content_type_of(encoding: Encoding) -> str:
    """Return the Content-Type header of an encoding."""
    codec = table.by_name(encoding.codec) if encoding.codec is not None else None
    if codec is None or not codec.media_types:
        return "application/octet-stream"
    parameters = codec.parameters
    if encoding.codec == "pcm" and encoding.format is not None:
        parameters = f"rate={encoding.format.rate}; channels={encoding.format.channels}"
    return "; ".join(filter(None, (codec.media_types[0], parameters)))


def _number(text: str | None, maximum: int) -> int | None:
    """Parse a number from 1 to `maximum`; None: it is not one."""
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 9:
        return None
    number = int(text)
    return number if 0 < number <= maximum else None


def _parse(content_type: str) -> tuple[str, dict[str, str]]:
    """Split a header into its essence and its parameters, names in lower case, values without their quotes."""
    essence, *parts = _PART.findall(content_type)
    parameters: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        parameters.setdefault(name.strip().lower(), value.strip().strip('"'))
    return essence.strip().lower(), parameters
