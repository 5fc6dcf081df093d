"""The noise guard: false alarms on speech and music, and detection rate on compressed and random bytes.

python tests/bench/noise.py [--hours 1]
"""

import argparse
import gzip
import random
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from voice_cli.audio import AudioFormat
from voice_cli.backends import open_backend
from voice_cli.backends.base import SpeechRequest
from voice_cli.codecs import open_encoder
from voice_cli.codecs.noise import BLOCK_SAMPLES, BLOCKS, NoiseGuard
from voice_cli.errors import DecodeError

WINDOW = 2 * BLOCKS * BLOCK_SAMPLES
"""Bytes of a stream that the guard examines."""
LEVELS = (-40, -20, -6, 0, 3, 6, 9, 12, 15, 18, 24, 30, 40, 60)
"""Decibels."""
TEXTS = (
    "She sells sea shells by the sea shore. Six thick thistle sticks. Shush! Hiss, fizz, sizzle, zip.",
    "Fischers Fritze fischt frische Fische. Zwischen zwei Zwetschgenzweigen zwitschern zwei Schwalben.",
    "The quick brown fox jumps over the lazy dog. 1, 2, 3, 4, 5, 6, 7, 8, 9, 10.",
)
VOICES = ("en-us", "en-gb", "de", "fr-fr", "es", "it", "pl", "ru", "tr", "pt-br", "sv", "nl")


def refuses(pcm: bytes, channels: int = 1) -> bool:
    try:
        NoiseGuard(channels).check(pcm)
    except DecodeError:
        return True
    return False


def windows(pcm: bytes, step: int = WINDOW) -> Iterator[bytes]:
    for at in range(0, len(pcm) - WINDOW + 1, step):
        yield pcm[at : at + WINDOW]


def at_levels(signal: "np.ndarray") -> Iterator[bytes]:
    """Yield a signal at each level, clipped."""
    for level in LEVELS:
        yield np.clip(np.rint(signal * 10 ** (level / 20)), -32768, 32767).astype("<i2").tobytes()


def speech() -> Iterator["np.ndarray"]:
    backend = open_backend("espeak")
    for voice in VOICES:
        for text in TEXTS:
            pcm = b"".join(backend.synthesize(SpeechRequest(text, voice=voice)))
            signal = np.frombuffer(pcm, "<i2").astype(float)
            yield signal
            yield signal[::2]  # telephone bandwidth
            yield np.diff(signal, prepend=0.0) * 4  # a bright voice


def music(rng: "np.random.Generator") -> "np.ndarray":
    """Return 4 s of up to twelve tones of one waveform, sometimes with noise."""
    time = np.arange(4 * 24_000) / 24_000
    wave = (
        lambda phase: np.sin(2 * np.pi * phase),
        lambda phase: 2 * phase - 1,
        lambda phase: np.sign(phase - 0.5),
        lambda phase: 4 * abs(phase - 0.5) - 1,
    )[rng.integers(4)]
    signal = sum(
        rng.random() * wave((time * hertz + rng.random()) % 1) for hertz in rng.uniform(40, 9000, rng.integers(1, 13))
    )
    if rng.random() < 0.3:
        signal = signal + rng.normal(0, rng.random(), len(time))
    return signal / abs(signal).max() * 32767


def bytes_of_codecs() -> Iterator[tuple[str, bytes]]:
    random_bytes = random.Random(1)
    yield "random (as encrypted)", random_bytes.randbytes(1 << 20)
    backend = open_backend("espeak")
    pcm = b"".join(b"".join(backend.synthesize(SpeechRequest(text, voice=voice))) for voice in VOICES for text in TEXTS)
    yield "gzip of PCM", gzip.compress(pcm)[16:]
    words = "".join(random_bytes.choices(["voice ", "of ", "the ", "machine ", "speaks, "], k=300_000))
    yield "gzip of text", gzip.compress(words.encode())[16:]
    source = AudioFormat(22_050, 1)
    for codec in ("mp3", "opus", "aac", "flac"):
        encoder = open_encoder(codec, source)
        yield codec, (encoder.encode(pcm) + encoder.finish())[64:]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="of speech and of music, over all levels")
    hours = parser.parse_args().hours
    rng = np.random.default_rng(1)
    sources = {"speech": speech(), "music": (music(rng) for _ in count())}
    for name, signals in sources.items():
        seconds, alarms = 0.0, 0
        for signal in signals:
            for pcm in at_levels(signal):
                seconds += len(pcm) / 48_000
                alarms += sum(refuses(window) for window in windows(pcm))
            if seconds > 3600 * hours:
                break
        print(f"{name}: {alarms} false alarms in {seconds / 3600:.2f} h of 24 kHz at {len(LEVELS)} levels")
    for name, data in bytes_of_codecs():
        found = [refuses(window) for offset in (0, 1) for window in windows(data[offset:], WINDOW // 2)]
        print(f"{name}: {100 * np.mean(found):.2f} % of {len(found)} places found")


if __name__ == "__main__":
    main()
