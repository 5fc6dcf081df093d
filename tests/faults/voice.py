"""What the servers speak: a voice for listeners, and a noise for tests."""

from functools import cache

from faults.listed import Sound
from support.sound import speech
from voice_cli.audio import AudioFormat
from voice_cli.backends.base import SpeechRequest
from voice_cli.codecs import open_encoder, table

FORMAT = AudioFormat(24_000, 1)
TAKES = (1.0, 1.04, 0.97, 1.08, 0.94)
"""The speed of each take."""


def encoded(pcm: bytes, codec: str) -> Sound:
    """Return the sound of PCM in `FORMAT`."""
    if codec == "pcm":
        return Sound(pcm, f"audio/pcm; rate={FORMAT.rate}", FORMAT.seconds(len(pcm) // FORMAT.frame_bytes))
    encoder = open_encoder(codec, FORMAT)
    data = encoder.encode(pcm) + encoder.finish()
    return Sound(data, table.BUILT_IN[codec].media_types[0], FORMAT.seconds(len(pcm) // FORMAT.frame_bytes))


def spoken_pcm(text: str, take: int = 0) -> bytes:
    """Return the text, spoken by the embedded voice, in `FORMAT`."""
    from voice_cli.backends.local.espeak import EspeakBackend
    from voice_cli.pcm.convert import Converter

    backend = EspeakBackend()
    try:
        stream = backend.synthesize(SpeechRequest(text, speed=TAKES[take % len(TAKES)]))
        pcm = b"".join(stream)
        converter = Converter(stream.expected.format or FORMAT, FORMAT)
        return converter.convert(pcm) + converter.flush()
    finally:
        backend.close()


def spoken(text: str, codec: str, take: int) -> Sound:
    """Return the text, spoken by the embedded voice."""
    return encoded(spoken_pcm(text, take), codec)


SECONDS = 2.0


@cache
def noise(_text: str, codec: str, take: int) -> Sound:
    """Return `SECONDS` of noise, of which each take differs."""
    return encoded(speech(SECONDS, seed=take + 1).tobytes(), codec)
