r"""How words are said: a table from the config, applied to what is spoken, never to what is reported.

A key is a word or several, replaced where they stand whole; written in small letters it stands for any case. A key
between slashes is a regular expression of Python's `re` (`/(\d+)°C/`, `/sql/i`), whose value may name its groups
(`\1`).
The words are looked up first, the longest first, all in one pass, so that no value is replaced again; then the regular
expressions, one after the other as the table has them.
"""

import re
from collections.abc import Mapping

from voice_cli.errors import ConfigError

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


class Pronunciations:
    """A table that is checked when it is made."""

    def __init__(self, table: Mapping[str, object], *, name: str = "pronounce") -> None:
        """Take the table, and the name that it has in the config.

        Raises:
            ConfigError: an entry cannot be used; the message names its key.

        """
        self._exact: dict[str, str] = {}
        self._folded: dict[str, str] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for key, value in table.items():
            where = f"[{name}] {key!r}"
            if not isinstance(value, str):
                raise ConfigError(f"{where}: must be text, not {type(value).__name__}")
            expression = re.fullmatch(r"/(.*)/([a-z]*)", key, re.DOTALL)
            if expression:
                self._patterns.append((_compiled(expression[1], expression[2], value, where), value))
            elif not key.strip():
                raise ConfigError(f"{where}: the key is empty")
            elif key == key.lower():
                self._folded[_spaced(key)] = value
            else:
                self._exact[_spaced(key)] = value
        self._words = _any_of([*self._exact, *self._folded])

    def __bool__(self) -> bool:
        return bool(self._words or self._patterns)

    def apply(self, spoken: str) -> str:
        """Give the text as it is to be sent to the voice."""
        if self._words:
            spoken = self._words.sub(self._said, spoken)
        for pattern, value in self._patterns:
            spoken = pattern.sub(value, spoken)
        return spoken

    def _said(self, match: re.Match[str]) -> str:
        words = _spaced(match.group())
        exact = self._exact.get(words)
        if exact is not None:
            return exact
        return self._folded.get(words.lower(), match.group())


def _spaced(words: str) -> str:
    """Give the words with one space between them, as the table's keys have them."""
    return " ".join(words.split())


def _any_of(keys: list[str]) -> re.Pattern[str] | None:
    if not keys:
        return None
    keys = sorted(keys, key=len, reverse=True)
    # `\b` would not do: a key may begin or end with a sign (`C++`, `.NET`).
    words = "|".join(r"\s+".join(re.escape(word) for word in key.split()) for key in keys)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)


def _compiled(expression: str, flags: str, value: str, where: str) -> re.Pattern[str]:
    unknown = set(flags) - set(_FLAGS)
    if unknown:
        raise ConfigError(f"{where}: no such flag: {', '.join(sorted(unknown))}", hint="there are i, m, s and x")
    bits = 0
    for flag in flags:
        bits |= _FLAGS[flag]
    try:
        pattern = re.compile(expression, bits)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{where}: no regular expression: {error}") from error
    if pattern.search(""):
        raise ConfigError(f"{where}: matches where there is nothing")
    try:
        # The empty alternative matches, so the value is read, with its references to groups.
        re.compile(f"{expression}\n|", bits).sub(value, "")
    except (re.error, IndexError) as error:
        raise ConfigError(f"{where}: the value cannot replace it: {error}") from error
    return pattern
