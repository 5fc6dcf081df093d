"""`voice engines`: the engines that run in this process, whether they are ready, and how fast they are."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

from voice_cli.backends import local_names, open_backend, options_of
from voice_cli.backends.local.engines import look, measure
from voice_cli.cli.console import silence_libraries
from voice_cli.cli.listings import print_rows
from voice_cli.cli.options import line_of
from voice_cli.config import Config, Profile, load, settle
from voice_cli.errors import VoiceError

UNITS = {"rtf": "{:.3f}", "first_ms": "{:.0f} ms", "load_s": "{:.2f} s"}
"""The measured columns, as they are printed in a table."""


def list_engines(*, test: bool, as_json: bool, debug: bool) -> None:
    """Print each engine with each profile that uses it. With `test`, time a sentence with those that are ready."""
    if not debug:
        silence_libraries()
    rows = []
    for engine, name, profile in list(_uses(load())):  # a wrong profile is reported before a test
        state = look(engine, profile)
        missing = line_of(state.error) if state.error else state.missing
        row: dict[str, Any] = {
            "engine": engine,
            "profile": name,
            "installed": state.installed,
            "ready": state.ready,
            "device": state.device,
            **dict.fromkeys(UNITS),
            "missing": missing,
        }
        if test and state.ready:
            row |= _measured(engine, profile)
        rows.append(row if as_json else _shown(row))
    print_rows(rows, as_json=as_json)


def _uses(config: Config) -> Iterator[tuple[str, str, Profile]]:
    """Yield each engine with each profile that names it, or with the environment's settings if none does."""
    for engine in local_names():
        named = [name for name, profile in config.profiles.items() if profile.backend == engine]
        for name in named:
            yield engine, name, settle(config, {"profile": name, "backend": engine}).profile
        if not named and os.environ.get("VOICE_BACKEND") == engine:
            environment = {name: value for name, value in os.environ.items() if name != "VOICE_PROFILE"}
            yield engine, "", settle(config._replace(profile=None), {}, environment).profile
        elif not named:
            yield engine, "", Profile(backend=engine)


def _measured(engine: str, profile: Profile) -> dict[str, Any]:
    try:
        with closing(open_backend(engine, **options_of(engine, profile))) as backend:
            figures = measure(backend, profile.voice)
    except VoiceError as error:
        return {"missing": line_of(error)}
    return {
        "rtf": round(figures.rtf, 4),
        "first_ms": round(figures.first_ms, 1),
        "load_s": round(figures.load_s, 3),
    }


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with units instead of their suffixes, and with empty cells for what is unknown."""
    shown = {name.partition("_")[0]: value for name, value in row.items()}
    for name, unit in UNITS.items():
        shown[name.partition("_")[0]] = "" if row[name] is None else unit.format(row[name])
    return {**shown, "ready": "yes" if row["ready"] else "no"}
