"""A codec for voice-cli: raw PCM of 16000 Hz, mono, with unsigned samples of 8 bits."""

from voice_cli.audio import AudioFormat, Encoding, PcmChunk
from voice_cli.codecs.base import Decoder, Encoder
from voice_cli.codecs.table import Codec
from voice_cli.errors import UsageError

FORMAT = AudioFormat(rate=16_000, channels=1)
SIGNED = bytes(code ^ 0x80 for code in range(256))

CODEC = Codec(
    "u8",
    "voice_u8",
    decoder="U8Decoder",
    encoder="U8Encoder",
    media_types=("audio/x-u8",),
    suffixes=(".u8",),
)


class U8Decoder(Decoder):
    """A byte is a sample, so nothing is buffered."""

    def decode(self, data):
        samples = bytearray(2 * len(data))
        samples[1::2] = data.translate(SIGNED)
        return [PcmChunk(FORMAT, bytes(samples))] if data else []

    def flush(self):
        return []


class U8Encoder(Encoder):
    """Takes PCM of any rate and channels; `Encoder` converts it to `FORMAT`."""

    def __init__(self, source, rate):
        if rate not in (None, FORMAT.rate):
            raise UsageError(f"u8 is {FORMAT.rate} Hz, not {rate}")
        super().__init__(source, Encoding("u8", FORMAT), FORMAT)

    def _encoded(self, pcm):
        return pcm[1::2].translate(SIGNED)
