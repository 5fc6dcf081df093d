"""A backend for voice-cli that beeps once for each word."""

import math
import struct

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import Voice
from voice_cli.backends.local.worker import EngineBackend
from voice_cli.errors import UsageError

FORMAT = AudioFormat(rate=16_000, channels=1)
PITCHES = {"low": 220, "high": 880}


class BeepBackend(EngineBackend):
    """Beeps of a tenth of a second, each followed by as much silence."""

    name = "beep"
    settings = ("compute",)

    def __init__(self, *, compute=None):
        super().__init__()
        if compute not in (None, "auto", "cpu"):
            raise UsageError(f"beep does not run on {compute!r}", hint="it runs on cpu")

    def voices(self):
        return [Voice(name) for name in PITCHES]

    def check(self, request):
        if request.voice is not None and request.voice not in PITCHES:
            raise UsageError(f"beep has no voice {request.voice!r}", hint=f"it has: {', '.join(PITCHES)}")

    def check_options(self, options):
        if not 0 <= options.get("loudness", 0.5) <= 1:
            raise UsageError("loudness must be from 0 to 1")

    def load(self):
        """Load the model here. A beep needs none."""

    def speak(self, generation):
        request = generation.request
        generation.format = FORMAT
        pitch = PITCHES[request.voice or "low"]
        level = 32_767 * request.options.get("loudness", 0.5)
        frames = FORMAT.frames(0.1)
        wave = [round(level * math.sin(2 * math.pi * pitch * frame / FORMAT.rate)) for frame in range(frames)]
        beep = struct.pack(f"<{frames}h", *wave) + bytes(FORMAT.frame_bytes * frames)
        for _ in request.text.split():
            if not generation.write(beep):
                return
