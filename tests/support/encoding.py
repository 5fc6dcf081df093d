"""Helpers for the encoders' tests and benchmark: test audio, encoding and decoding."""

import subprocess
from collections.abc import Iterable
from functools import cache

import numpy as np

from support import material
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.codecs import Encoder, open_decoder, open_encoder
from voice_cli.pcm import g711

ALL = ("pcm", "wav", "mp3", "opus", "aac", "flac", "mulaw")
LOSSY = ("mp3", "opus", "aac", "mulaw")

MONO16 = AudioFormat(16_000, 1)
MONO22 = AudioFormat(22_050, 1)

LEAD = {"mp3": 1105, "aac": 1024}
"""Leading frames of silence in codecs that cannot declare their encoder delay."""
_FFMPEG = {
    "wav": ("-f", "wav"),
    "mp3": ("-f", "mp3"),
    "opus": ("-f", "ogg"),
    "aac": ("-f", "aac"),
    "flac": ("-f", "flac"),
    "mulaw": ("-f", "mulaw", "-ar", "8000"),
}


@cache
def voice(audio_format: AudioFormat, seconds: float) -> bytes:
    """Return voice-like s16le audio: gliding harmonics with pauses, different in each channel."""
    time = np.arange(audio_format.frames(seconds)) / audio_format.rate
    channels = []
    for channel in range(audio_format.channels):
        phase = 2 * np.pi * ((110 + 30 * channel) * time + 4 * np.sin(2 * np.pi * 1.7 * time))
        harmonics = range(1, 20)
        tone = sum(np.sin(k * phase) / (k + 1) * (1 + np.cos(k * (1 + np.sin(5 * time)))) for k in harmonics)
        channels.append(np.clip(np.sin(2 * np.pi * 2.2 * time + channel) + 0.6, 0, 1) * tone)
    return np.clip(np.stack(channels, axis=1) * 6000, -32_768, 32_767).astype("<i2").tobytes()


def stream(encoder: Encoder, pieces: Iterable[bytes]) -> bytes:
    """Encode the pieces and finish the stream."""
    return b"".join([*(encoder.encode(piece) for piece in pieces), encoder.finish()])


def encoded(codec: str, source: AudioFormat, pcm: bytes, *, rate: int | None = None) -> tuple[Encoding, bytes]:
    """Encode in one call."""
    encoder = open_encoder(codec, source, rate=rate)
    return encoder.encoding, stream(encoder, [pcm])


def decoded(encoding: Encoding, data: bytes, *, truncated: bool = False) -> bytes:
    """Decode with our decoders and check the format that the encoder announced."""
    if encoding.codec == "mulaw":
        return g711.decode(data)
    found = open_decoder(None, encoding, data, final=True)
    assert found is not None
    codec, decoder = found
    assert codec == encoding.codec
    runs = material.joined(material.run(decoder, [data], truncated=truncated))
    assert [audio_format for audio_format, _ in runs] in ([], [encoding.format])
    return b"".join(pcm for _, pcm in runs)


def decoded_by_ffmpeg(encoding: Encoding, data: bytes) -> bytes:
    """Decode with the ffmpeg command and check that it reports no errors."""
    command = ["ffmpeg", "-v", "error", *_FFMPEG[encoding.codec], "-i", "pipe:0", "-f", "s16le", "pipe:1"]
    done = subprocess.run(command, input=data, capture_output=True, check=True)
    assert not done.stderr
    return done.stdout


def mono(audio_format: AudioFormat, pcm: bytes) -> "np.ndarray":
    """Return the first channel's samples as floats."""
    return np.frombuffer(pcm, "<i2")[:: audio_format.channels].astype(float)


def likeness(ours: "np.ndarray", theirs: "np.ndarray") -> float:
    """Return the correlation of two signals of equal length."""
    return float(np.corrcoef(ours, theirs)[0, 1])
