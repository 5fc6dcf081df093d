"""One short text from a server in one format: when its bytes arrive, and what they are."""

import math
import time
from typing import Any, NamedTuple

from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.codecs import Decoder, open_decoder
from voice_cli.config import Settings
from voice_cli.errors import DecodeError, ServerError, UnmarkedEnd, VoiceError

TEXT = "Hello. This is a test of the voice. It has four sentences, some of them longer. So it shows what is streamed."
"""A server that streams by the sentence sends the first one early."""
AT_ONCE = 0.1
"""If all bytes arrive within this part of the time to the first one, the server does not stream."""
QUICK = 0.3
"""Seconds: within this time, it makes no difference whether a server streams."""


class Probe(NamedTuple):
    """What one request showed."""

    error: VoiceError | None = None
    """Why there is no complete sound; None: there is one, and all else is known."""
    codec: str = ""
    """What the bytes are."""
    rate: int = 0
    """Hertz."""
    frames: int = 0
    announced: tuple[str, int] | None = None
    """The codec and rate (0: not announced) that the response's head declares."""
    ttfb_ms: float = 0.0
    seconds: float = 0.0
    """From the request to the last byte."""
    streams: bool = False
    """Whether sound arrives before all of it is made."""

    def as_object(self) -> dict[str, Any]:
        """Return it for JSON."""
        if self.error is not None:
            return {"error": self.error.message}
        return {
            "codec": self.codec,
            "rate": self.rate,
            "ttfb_ms": round(self.ttfb_ms, 1),
            "seconds": round(self.seconds, 3),
            "streams": self.streams,
        }


def probe(backend: Backend, settings: Settings, codec: str) -> Probe:
    """Request `TEXT` in a format, and decode the answer."""
    profile = settings.profile
    request = SpeechRequest(
        TEXT, voice=profile.voice, model=profile.model, codec=codec, instructions=profile.instructions
    )
    head, decoder = b"", None
    rate = frames = 0
    name = ""
    first = last = None
    sent = time.monotonic()
    try:
        stream = backend.synthesize(request)
        for data in stream:
            last = time.monotonic()
            first = last if first is None else first
            if decoder is None:
                head += data
                found = open_decoder(stream.announced, stream.expected, head, final=False)
                if found is None:
                    continue
                name, decoder = found
                data = head  # noqa: PLW2901
            rate, frames = _decoded(decoder, data, rate, frames)
        if decoder is None:
            if not head:
                raise ServerError(f"{backend.where} sent no audio", hint="see its log")
            name, decoder = _opened(open_decoder(stream.announced, stream.expected, head, final=True))
            rate, frames = _decoded(decoder, head, rate, frames)
        try:
            for chunk in decoder.flush():
                rate, frames = chunk.format.rate, frames + chunk.frames
        except UnmarkedEnd:
            pass
        if not frames:
            raise ServerError(f"{backend.where} sent no audio", hint="see its log")
    except VoiceError as exc:
        return Probe(exc)
    first, last = first or sent, last or sent
    waited, lasted = first - stream.timestamps.get("request_sent", sent), last - first
    announced = stream.announced
    told = None
    if announced is not None and announced.codec is not None:
        told = (announced.codec, announced.format.rate if announced.format and announced.codec == "pcm" else 0)
        told = told if told != (name, 0) else None
    return Probe(
        codec=name,
        rate=rate,
        frames=frames,
        announced=told,
        ttfb_ms=1000 * waited,
        seconds=last - sent,
        streams=last - sent < QUICK or lasted > AT_ONCE * waited,
    )


def _decoded(decoder: Decoder, data: bytes, rate: int, frames: int) -> tuple[int, int]:
    for chunk in decoder.decode(data):
        rate, frames = chunk.format.rate, frames + chunk.frames
    return rate, frames


def _opened(found: tuple[str, Decoder] | None) -> tuple[str, Decoder]:
    if found is None:
        raise DecodeError("the stream is not recognised")
    return found


def rate_is_wrong(pcm: Probe, wav: Probe) -> bool:
    """Return whether PCM has the rate of the WAV of the same text, and not the one at which it is played.

    A server that resampled it has sent another number of frames. Two takes of a text may differ in length, so the two
    numbers only have to be clearly nearer to the same than to those of a resampled take.
    """
    if wav.error is not None or pcm.codec != "pcm" or wav.codec != "wav" or pcm.rate == wav.rate:
        return False
    ratio = math.log(pcm.frames / wav.frames)
    return abs(ratio) < abs(ratio - math.log(pcm.rate / wav.rate)) / 2
