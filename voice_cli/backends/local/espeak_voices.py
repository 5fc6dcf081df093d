"""espeak-ng's voices, as its data files describe them (docs/voices.md of espeak-ng).

`espeak_ListVoices` returns the same, but waits for running requests.
"""

import os
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from voice_cli.backends.base import UnknownVoiceError
from voice_cli.errors import Hint


class VoiceFile(NamedTuple):
    """A file of `espeak-ng-data/lang` or `espeak-ng-data/voices/!v`."""

    identifier: str
    """The path below `lang` or `voices`."""
    name: str
    languages: list[tuple[int, str]]
    """(priority, tag); the lowest priority is preferred."""
    gender: str

    @property
    def id(self) -> str:
        return self.identifier.rpartition("/")[2]

    @property
    def language(self) -> str:
        return self.languages[0][1] if self.languages else ""

    @property
    def is_variant(self) -> bool:
        return self.identifier.startswith("!v/")


@cache
def voice_files(data: str) -> list[VoiceFile]:
    """Read the voices, then the variants, of an `espeak-ng-data` folder, once, sorted by id."""
    found = [*_read_voices(f"{data}/lang", ""), *_read_voices(f"{data}/voices", "")]
    return sorted(found, key=lambda file: (file.is_variant, file.id.lower()))


def _read_voices(folder: str, prefix: str) -> Iterator[VoiceFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _read_voices(entry.path, f"{prefix}{entry.name}/")
            else:
                yield _read_voice(entry.path, prefix + entry.name)


def _read_voice(path: str, identifier: str) -> VoiceFile:
    name, gender, languages = "", "male", []
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition("//")[0].strip().partition(" ")
            words = value.split()
            if key == "name":
                name = value.strip()
            elif key == "gender" and words:
                gender = words[0].lower()
            elif key == "language" and words:
                priority = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 5
                languages.append((priority, words[0]))
    return VoiceFile(identifier, name, languages, gender)


def find(wanted: str, files: list[VoiceFile]) -> VoiceFile:
    """Return the voice or variant with that id, name or language, or raise UsageError."""
    tag = wanted.replace("_", "-").lower()
    for file in files:
        if wanted.lower() in (file.id.lower(), file.name.lower(), file.identifier.lower()) or tag == file.id.lower():
            return file
    spoken = [
        (priority, file.identifier, file)
        for file in files
        if not file.is_variant
        for priority, language in file.languages
        if language.lower() == tag
    ]
    if spoken:
        return min(spoken, key=lambda found: found[:2])[2]
    import difflib

    known = {name.lower(): name for file in files for name in (file.name, file.id.lower())}
    voices = [file for file in files if not file.is_variant]
    known.update((language, language) for file in voices for _, language in file.languages)
    names = [known[match] for match in difflib.get_close_matches(tag, known, n=2)]
    nearest = f"the nearest: {', '.join(names)}; " if names else ""
    raise UnknownVoiceError(
        f"espeak-ng has no {'voice' if voices else 'variant'} {wanted!r}",
        hint=Hint("{nearest}see {list_voices}", nearest=nearest),
    )
