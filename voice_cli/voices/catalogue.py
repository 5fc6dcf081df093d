"""The voices that can be downloaded: those of `catalogue.json`, and those of the user's `voices.toml`.

Sizes and checksums are as the projects publish them. Piper's are from `voices.json` of rhasspy/piper-voices; those of
sherpa-onnx's models are known for some of them. `about_mb` is for people only: it is not checked.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeVar

from voice_cli.errors import ConfigError, UsageError
from voice_cli.folders import user_folder

QUALITIES = ("medium", "high", "low", "x_low")
"""Of several voices with one short name, the first is meant: `high` needs two or three times the processor time."""

ENGINES = ("piper", "kokoro", "sherpa")

_PIPER_NAME = re.compile(r"([a-z]{2,3}_[A-Z]{2})-(.+)-(x_low|low|medium|high)")
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}")
_HEX = {"sha256": re.compile(r"[0-9a-f]{64}"), "md5": re.compile(r"[0-9a-f]{32}")}


class RemoteFile(NamedTuple):
    """A file to download."""

    url: str
    size: int | None = None
    """Bytes, if known; a file of another size is refused."""
    sha256: str = ""
    md5: str = ""
    """Of files whose project publishes no SHA-256. It finds damage, and is no protection against forgery."""

    @property
    def name(self) -> str:
        """The last part of the path of the address."""
        return self.url.partition("?")[0].rstrip("/").rpartition("/")[2]


class Entry(NamedTuple):
    """A voice, or a model with several speakers, that can be downloaded."""

    name: str
    engine: str
    languages: tuple[str, ...]
    """BCP 47 tags."""
    quality: str
    licence: str
    """Empty: the voice's model card, which is downloaded with it, states it."""
    speakers: int
    size: int | None
    """Bytes to download, perhaps approximately."""
    files: tuple[RemoteFile, ...]


def is_name(name: str) -> bool:
    """Return whether a voice may have this name, which is also that of its folder."""
    return _NAME.fullmatch(name) is not None


def catalogue(environment: Mapping[str, str] = os.environ) -> dict[str, Entry]:
    """Return all entries by name.

    Raises:
        ConfigError: the user's file is wrong.

    """
    return {**_packaged(), **_of_user(os.path.join(user_folder("config", environment), "voices.toml"))}


@cache
def _packaged() -> dict[str, Entry]:
    with open(os.path.join(os.path.dirname(__file__), "catalogue.json"), encoding="utf-8") as file:
        tree = json.load(file)
    entries = [_piper_entry(tree["piper"]["base"], *row) for row in tree["piper"]["voices"]]
    entries += [_model_entry(model) for model in tree["models"]]
    return {entry.name: entry for entry in entries}


def _piper_entry(base: str, name: str, speakers: int, *sums: Any) -> Entry:
    locale, voice, quality = parts_of(name) or ("", name, "")
    folder = f"{base}{locale.partition('_')[0]}/{locale}/{voice}/{quality}"
    names = (f"{name}.onnx", f"{name}.onnx.json", "MODEL_CARD")
    files = tuple(
        RemoteFile(f"{folder}/{file}", size, md5=md5)
        for file, size, md5 in zip(names, sums[::2], sums[1::2], strict=True)
    )
    size = sum(file.size or 0 for file in files)
    return Entry(name, "piper", (locale.replace("_", "-"),), quality, "", speakers, size, files)


def _model_entry(model: Mapping[str, Any]) -> Entry:
    files = tuple(RemoteFile(**file) for file in model["files"])
    sizes = [file.size for file in files]
    size = sum(filter(None, sizes)) if all(sizes) else model.get("about_mb", 0) * 1_000_000
    names = ("name", "quality", "licence", "speakers")
    facts = {name: model[name] for name in names}
    return Entry(**facts, engine="sherpa", languages=tuple(model["languages"]), size=size or None, files=files)


def _of_user(path: str) -> dict[str, Entry]:
    try:
        with open(path, "rb") as file:
            import tomllib

            tables = tomllib.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError
        raise ConfigError(f"{path}: {error}") from error
    return {name: _user_entry(f"{path}: {name}", name, table) for name, table in tables.items()}


def _user_entry(where: str, name: str, table: Any) -> Entry:
    if not isinstance(table, dict) or not is_name(name):
        raise ConfigError(
            f"{where} must be a table with the name of a voice", hint='as in [my-voice] url = "https://…"'
        )
    urls = table.get("urls", [table.get("url")])
    sums = table.get("sha256", [])
    sums = [sums] if isinstance(sums, str) else sums
    engine = table.get("engine", "sherpa")
    wrong = _what_is_wrong(table, urls, sums, engine)
    if wrong is not None:
        raise ConfigError(f"{where} {wrong}")
    files = tuple(RemoteFile(url, sha256=of_url) for url, of_url in zip(urls, sums or [""] * len(urls), strict=True))
    languages = (table["language"],) if table.get("language") else ()
    facts = (table.get("quality", ""), table.get("licence", ""), table.get("speakers", 1))
    return Entry(name, engine, languages, *facts, None, files)


def _what_is_wrong(table: Mapping[str, Any], urls: Any, sums: Any, engine: Any) -> str | None:
    texts = ("url", "engine", "language", "quality", "licence")
    unknown = table.keys() - {*texts, "urls", "sha256", "speakers"}
    if unknown:
        return f"has an unknown key {min(unknown)!r}"
    if not (isinstance(urls, list) and urls and all(isinstance(url, str) for url in urls)):
        return "needs a url, or a list of urls"
    if engine not in ENGINES:
        return f"has an engine that is not one of {', '.join(ENGINES)}"
    if sums and (len(sums) != len(urls) or not all(_is_sum("sha256", value) for value in sums)):
        return "has a sha256 that is not 64 hexadecimal digits for each url"
    if not all(isinstance(table.get(key, ""), str) for key in texts) or type(table.get("speakers", 1)) is not int:
        return "has a value of the wrong type"
    return None


def _is_sum(kind: str, value: object) -> bool:
    return isinstance(value, str) and _HEX[kind].fullmatch(value) is not None


def parts_of(name: str) -> tuple[str, str, str] | None:
    """Return locale, short name and quality of a Piper voice's name (en_US-joe-medium); None: it has another form."""
    found = _PIPER_NAME.fullmatch(name)
    return (found[1], found[2], found[3]) if found else None


_Named = TypeVar("_Named")


def choose(name: str, among: Iterable[tuple[str, _Named]]) -> _Named | None:
    """Return what has this name, or this short name: of several qualities, the first of `QUALITIES`.

    Raises:
        UsageError: voices of several locales have this short name.

    """
    wanted = name.lower().removesuffix(".onnx")
    found: list[tuple[str, int, str, _Named]] = []
    for full, value in among:
        if full.lower() == wanted:
            return value
        parts = parts_of(full)
        if parts is not None and parts[1].lower() == wanted:
            found.append((parts[0], QUALITIES.index(parts[2]), full, value))
    if len({locale for locale, *_ in found}) > 1:
        names = ", ".join(sorted(full for _, _, full, _ in found))
        raise UsageError(f"several voices are called {name}", hint=f"use one of: {names}")
    return min(found, key=lambda each: each[1])[3] if found else None
