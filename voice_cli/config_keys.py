"""The keys of the settings: their kinds, and checks of their values."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from voice_cli.audio import CODECS, codec_names
from voice_cli.errors import nearest


class Key(NamedTuple):
    """The properties of a key, besides its default."""

    kind: type
    """str, float, int, bool, list for a list of strings, or dict for a table of strings."""
    check: Callable[[Any], str | None] | None = None
    """Returns what is wrong with a value, or None."""
    env: str | None = None
    """The environment variable that sets it."""
    shown: bool = True
    """False: the value may contain a secret, and is left out of messages."""
    numbers: tuple[type, ...] = ()
    """The types of numbers that a string key accepts in the file."""


def keys_of(settings: type) -> dict[str, Key]:
    """Return the keys of a class of settings by name, in their order."""
    return {name: annotation.__metadata__[0] for name, annotation in settings.__annotations__.items()}


def between(low: float, high: float) -> Callable[[float], str | None]:
    return lambda value: None if low <= value <= high else f"must be from {low:g} to {high:g}"


def whole(low: int, high: int) -> Callable[[float], str | None]:
    return lambda value: None if value in range(low, high + 1) else f"must be a whole number from {low} to {high}"


def one_of(choices: Iterable[str]) -> Callable[[str], str | None]:
    names = tuple(choices)
    return lambda value: None if value in names else f"must be one of {', '.join(names)}{nearest(value, names)}"


def known_codec(value: str) -> str | None:
    return None if value in CODECS else one_of(codec_names())(value)


def variable_name(value: str) -> str | None:
    return None if value.isidentifier() else "must be the name of an environment variable, not the key itself"


def header_name(value: str) -> str | None:
    is_token = value.isascii() and value.replace("-", "").replace("_", "").isalnum()
    return None if is_token else "must be the name of an HTTP header"


SMOOTH = ("auto", "start", "pauses", "off")
"""Where a speech waits that arrives too slowly: before its start, in its pauses, as it suits (`auto`), or anywhere."""


def check_prebuffer(value: str) -> str | None:
    """Return what is wrong with a prebuffer, `auto` or milliseconds; None: nothing."""
    try:
        return None if value == "auto" or 0 <= float(value) <= 10_000 else "must be from 0 to 10000 ms"
    except ValueError:
        return "must be 'auto' or a number of milliseconds"
