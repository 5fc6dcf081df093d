"""The engine for a voice that is named without one."""

import os
from collections.abc import Mapping

from voice_cli.config import Settings
from voice_cli.errors import Hint, UsageError, nearest
from voice_cli.voices.catalogue import catalogue, choose
from voice_cli.voices.installed import engine_of, find_voice, installed_names


def with_engine(settings: Settings, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings with the engine, model and speaker of the voice, if it is an installed one.

    espeak-ng's own voices, and those of a server, keep their meaning: nothing changes if `Settings.names_only_a_voice`
    is false, or espeak-ng has the voice.

    Raises:
        UsageError: the voice can be downloaded, but is not installed; or several voices have its short name; or there
            is none, but one with a similar name.
        EngineError: no engine for it is installed.

    """
    profile = settings.profile
    if not settings.names_only_a_voice or profile.voice is None:
        return settings
    is_for_espeak = profile.backend == "espeak"
    if is_for_espeak and is_of_espeak(profile.voice):
        return settings
    found = find_voice(profile.voice, environment)
    if found is None:
        entry = choose(profile.voice, catalogue(environment).items()) if is_for_espeak else None
        if entry is not None:
            hint = Hint("{download} {name}", name=entry.name)
            raise UsageError(f"the voice {entry.name} is not installed", hint=hint)
        near = nearest(profile.voice, installed_names(environment)) if is_for_espeak else ""
        if near:
            raise UsageError(f"there is no voice {profile.voice!r}{near}", hint=Hint("see {list_voices}"))
        return settings
    voice, speaker = found
    profile = profile._replace(backend=engine_of(voice), model=voice.model, voice=speaker)
    origins = {**settings.origins, **dict.fromkeys(("backend", "model"), f"voice {voice.name}")}
    return settings._replace(profile=profile, origins=origins)


def is_of_espeak(voice: str) -> bool:
    """Return whether espeak-ng has a voice: by its name, its file's, or a language, perhaps with a variant."""
    from voice_cli.backends.base import UnknownVoiceError
    from voice_cli.backends.local.espeak_library import shared_library
    from voice_cli.backends.local.espeak_voices import find
    from voice_cli.errors import EngineError

    base = voice.partition("+")[0]
    try:
        return not base or bool(find(base, [file for file in shared_library().voice_files() if not file.is_variant]))
    except (EngineError, UnknownVoiceError):
        return False
