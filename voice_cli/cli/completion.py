"""What a shell completes."""

from collections.abc import Callable

from voice_cli.errors import VoiceError


def complete_profile(incomplete: str) -> list[str]:
    """Return the names of profiles that begin so."""
    from voice_cli.config import load
    from voice_cli.presets import PRESETS

    try:
        return [name for name in {**load().profiles, **PRESETS} if name.startswith(incomplete)]
    except VoiceError:
        return []


def complete_word(metavar: str) -> Callable[[str], list[str]]:
    """Return what completes one of the words of a metavar, such as `auto|on|off`."""
    words = metavar.split("|")
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def complete_voice(incomplete: str) -> list[str]:
    """Return the names of voices of the catalogue that begin so."""
    from voice_cli.voices.catalogue import catalogue

    try:
        return [name for name in catalogue() if name.startswith(incomplete)]
    except VoiceError:
        return []
