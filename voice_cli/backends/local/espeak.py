"""The embedded voice: espeak-ng in this process. Imports here delay the first sound of the process."""

from voice_cli.backends.base import SpeechRequest, UnknownVoiceError, Voice
from voice_cli.backends.local.espeak_library import FORMAT, shared_library
from voice_cli.backends.local.worker import EngineBackend, Generation

DEFAULT_VOICE = "en-us"

_NORMAL_RATE = 175
"""Words a minute at speed 1 (espeakRATE_NORMAL)."""

_MAX_VOICE_BYTES = 59
"""Bytes that espeak_SetVoiceByName looks at."""


class EspeakBackend(EngineBackend):
    """espeak-ng: PCM in chunks of at most 60 ms, without the silence before the speech, and with some 300 ms after it.

    All backends of the process share the library, which generates one request at a time.

    `voice` is an id of `voices()`, a language of one, or its name, and may have a variant (`en-us+f3`, or `+f3` for the
    default voice). An unknown one is reported by iteration.
    """

    name = "espeak"
    is_worth_caching = False
    packages = (("espeakng_loader", "espeakng-loader"),)
    expected_format = FORMAT
    has_speed = True
    speeds = (0.46, 4.0)
    """80 to 700 words a minute: within these, the speed is accurate to 3 % (measured with 1.51 and 1.52)."""

    def language(self, voice: str | None) -> str:
        tag = (voice or DEFAULT_VOICE).partition("+")[0] or DEFAULT_VOICE
        return tag if 2 <= len(tag.partition("-")[0]) <= 3 else ""  # else it is a voice's name

    def voices(self) -> list[Voice]:
        """Return the voices, then the variants (`+f3`), which go with every voice. Waits for no request."""
        return [
            Voice(
                id="+" + file.id if file.is_variant else file.id.lower(),
                name=file.name,
                language="" if file.is_variant else file.language,
                gender=file.gender,
            )
            for file in shared_library().voice_files()
        ]

    def check(self, request: SpeechRequest) -> None:
        _voice_name(request.voice)

    def load(self) -> None:
        shared_library()

    def speak(self, generation: Generation) -> None:
        request = generation.request
        shared_library().speak(generation, _voice_name(request.voice), round(_NORMAL_RATE * (request.speed or 1.0)))


def _voice_name(voice: str | None) -> str:
    """Return the name for espeak_SetVoiceByName, which opens files by it."""
    voice = voice if voice is not None else DEFAULT_VOICE
    outside = voice.startswith(("/", "!")) or ".." in voice or "\\" in voice
    if outside or not voice.isprintable() or not 0 < len(voice.encode()) <= _MAX_VOICE_BYTES:
        raise UnknownVoiceError(
            f"{voice[:_MAX_VOICE_BYTES]!r} is not a voice name", hint="espeak-ng's are like en-us or de+f3"
        )
    return DEFAULT_VOICE + voice if voice.startswith("+") else voice
