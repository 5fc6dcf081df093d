"""Errors in the command line's words: a hint names settings and listings, and here they become flags and commands."""

from voice_cli.cli.options import options
from voice_cli.errors import Hint, VoiceError


def words(hint: str | Hint) -> str:
    """Return a hint's text: ``{timeout}`` becomes ``--timeout``, ``{list_voices}`` becomes ``voice voices``."""
    if isinstance(hint, str):
        return hint
    names = {name: option.long for name, option in options().items()}
    return hint.render(names | {f"list_{listing}": f"voice {listing}" for listing in ("voices", "devices", "engines")})


def line_of(error: VoiceError) -> str:
    """Return what happened, and what to do in parentheses."""
    return f"{error.message} ({words(error.hint)})" if error.hint else error.message
