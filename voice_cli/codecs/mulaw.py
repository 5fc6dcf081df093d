"""Raw µ-law (ITU-T G.711): 8000 Hz, mono, a byte a sample, no header."""

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import Decoder, Encoder
from voice_cli.errors import UsageError
from voice_cli.pcm import g711


class MulawDecoder(Decoder):
    """Each byte is a sample, so nothing is carried and nothing can be cut."""

    def decode(self, data: bytes) -> list[PcmChunk]:
        return [PcmChunk(g711.FORMAT, g711.decode(data))] if data else []

    def flush(self) -> list[PcmChunk]:
        return []


class MulawEncoder(Encoder):
    """The source may have any rate; `rate` is 8000 or None."""

    def __init__(self, source: AudioFormat, rate: int | None) -> None:
        if rate not in (None, g711.FORMAT.rate):
            raise UsageError(f"mulaw is {g711.FORMAT.rate} Hz, not {rate}")
        super().__init__(source, Encoding("mulaw", g711.FORMAT), g711.FORMAT)

    def _encoded(self, pcm: bytes) -> bytes:
        return g711.encode(pcm)
