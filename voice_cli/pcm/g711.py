"""µ-law, the telephone's 8 bits a sample (ITU-T G.711): to PCM."""

from voice_cli.audio import AudioFormat

FORMAT = AudioFormat(rate=8000, channels=1)


def _sample(code: int) -> int:
    bits = ~code & 0xFF
    exponent, mantissa = bits >> 4 & 7, bits & 15
    magnitude = ((2 * mantissa + 33) << exponent) - 33 << 2
    return -magnitude if bits & 0x80 else magnitude


_SAMPLES = [_sample(code).to_bytes(2, "little", signed=True) for code in range(256)]
_LOW = bytes(sample[0] for sample in _SAMPLES)
_HIGH = bytes(sample[1] for sample in _SAMPLES)


def decode(data: bytes) -> bytes:
    """Give µ-law as s16le. Each byte is a sample, so any cut of it will do."""
    samples = bytearray(2 * len(data))
    samples[0::2] = data.translate(_LOW)
    samples[1::2] = data.translate(_HIGH)
    return bytes(samples)
