r"""How words are pronounced: a table of the config, applied to what is spoken, not to what is reported.

A key is one or more whole words; in lower case it matches any case. A key between slashes is a regular expression of
Python's `re` (`/(\d+)°C/`, `/sql/i`), whose value may use its groups (`\1`). The words are replaced first, the longest
first and in one pass, so no value is replaced again; then the regular expressions, in the order of the table.
"""

import re
from collections.abc import Mapping

from voice_cli.errors import ConfigError

_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}


class Pronunciations:
    """A table that was checked."""

    def __init__(self, table: Mapping[str, object]) -> None:
        """Raise ConfigError, with the key, if an entry cannot be used."""
        self._exact: dict[str, str] = {}
        self._any_case: dict[str, str] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        for key, value in table.items():
            where = f"[pronounce] {key!r}"
            if not isinstance(value, str):
                raise ConfigError(f"{where}: must be text, not {type(value).__name__}")
            expression = re.fullmatch(r"/(.*)/([a-z]*)", key, re.DOTALL)
            words = " ".join(key.split())
            if expression:
                self._patterns.append((_compile(expression[1], expression[2], value, where), value))
            elif not words:
                raise ConfigError(f"{where}: the key is empty")
            else:
                (self._any_case if key == key.lower() else self._exact)[words] = value
        keys = sorted([*self._exact, *self._any_case], key=len, reverse=True)
        # Not `\b`, since a key may begin or end with a sign (`C++`, `.NET`).
        alternatives = "|".join(r"\s+".join(map(re.escape, key.split())) for key in keys)
        self._words = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE) if keys else None

    def apply(self, spoken: str) -> str:
        """Return the text to send to the voice."""
        if self._words:
            spoken = self._words.sub(self._replacement, spoken)
        for pattern, value in self._patterns:
            spoken = pattern.sub(value, spoken)
        return spoken

    def _replacement(self, match: re.Match[str]) -> str:
        words = " ".join(match.group().split())
        return self._exact.get(words, self._any_case.get(words.lower(), match.group()))


def _compile(expression: str, flags: str, value: str, where: str) -> re.Pattern[str]:
    unknown = set(flags) - set(_FLAGS)
    if unknown:
        raise ConfigError(f"{where}: unknown flag: {', '.join(sorted(unknown))}", hint="the flags are i, m, s and x")
    bits = sum(_FLAGS[flag] for flag in set(flags))
    try:
        pattern = re.compile(expression, bits)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{where}: invalid regular expression: {error}") from error
    if pattern.search(""):
        raise ConfigError(f"{where}: the regular expression matches the empty string")
    try:
        # The empty alternative matches, so the value is parsed, with its references to groups.
        re.compile(f"{expression}\n|", bits).sub(value, "")
    except (re.error, IndexError) as error:
        raise ConfigError(f"{where}: invalid replacement: {error}") from error
    return pattern
