"""A deterministic engine for any process: each word takes a fixed time and always has the same audio."""

import time
import zlib

import numpy as np

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import Voice
from voice_cli.backends.local.worker import EngineBackend

FORMAT = AudioFormat(24_000, 1)
VOICES = tuple(f"voice-{letter}" for letter in "abcdefghijklmnop")
WORD_SECONDS = 0.1
"""Audio per word."""
WORK_SECONDS = 0.005
"""Computing time per word."""
LONG = " ".join(f"This is sentence number {number} of a long text." for number in range(60))
"""About 50 s of audio, which take some seconds to generate."""
BREAKS = "Broken"
"""The word that makes it fail."""


class SteadyEngine(EngineBackend):
    """Accepts any options."""

    name = "steady"
    has_speed = True
    voices_are_files = True
    runs_on_torch = True

    def __init__(self, **_options):
        super().__init__()

    @property
    def expected_format(self):
        return FORMAT

    def voices(self):
        return [Voice(name, name, "en") for name in VOICES]

    def load(self):
        pass

    def speak(self, generation):
        generation.format = FORMAT
        for word in generation.request.text.split():
            if word.startswith(BREAKS):
                raise RuntimeError("it broke")
            time.sleep(WORK_SECONDS)
            if not generation.write(sound_of(word, generation.request.voice)):
                return


def sound_of(word, voice=None):
    """Return a word's audio: loud in every sample, so that none of it is trimmed as silence."""
    rng = np.random.default_rng(zlib.crc32(f"{word} {voice}".encode()))
    frames = FORMAT.frames(WORD_SECONDS)
    return (rng.integers(1_000, 8_000, frames) * rng.choice((-1, 1), frames)).astype("<i2").tobytes()
