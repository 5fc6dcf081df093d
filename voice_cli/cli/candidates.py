"""The candidates of the completion in shells.

A script calls ``voice _complete =WORD BEFORE…``: the word that is completed, and those before it, without `voice`. Each
line of the output is a candidate, or a candidate, a tab, and what it is. Without one, the shell completes file names.

The tree of commands is kept in the cache folder, because typer takes a quarter of a second to make it.
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from voice_cli import __version__
from voice_cli.cli.console import write_stdout
from voice_cli.errors import VoiceError
from voice_cli.folders import user_folder, write_atomically
from voice_cli.printable import escaped

Candidates = Iterable[tuple[str, str]]
"""Values, each with what it is."""


def complete(arguments: Sequence[str]) -> int:
    """Print the candidates for `arguments`: the word after a '=', and those before it."""
    if not arguments:
        return 2
    word, before = arguments[0].removeprefix("="), _rejoined(arguments[1:])
    if before[-1:] and before[-1].startswith("--") and before[-1].endswith("="):  # bash splits words at '='
        before = [*before[:-1], before[-1][:-1]]
    try:
        known = {value: what for value, what in _candidates(word, before) if value.startswith(word)}
        found = sorted((value, what) for value, what in known.items() if value.isprintable())
    except VoiceError:  # such as a wrong config file: nothing is completed
        found = []
    write_stdout("".join(f"{value}\t{escaped(what)}\n" if what else f"{value}\n" for value, what in found), end="")
    return 0


def _rejoined(words: Sequence[str]) -> list[str]:
    """Join what bash has split at '=': `--voice`, `=`, `en` becomes `--voice=en`."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")) and joined[-1].startswith("--"):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _candidates(word: str, before: Sequence[str]) -> Candidates:
    node = _tree()
    argument = node["arguments"]
    awaits: str | None = None  # what the next word is, if it is the value of an option
    only_text = False
    for each in before:
        option = node["options"].get(each.partition("=")[0])
        if awaits is not None:
            awaits = None
        elif only_text:
            pass
        elif each == "--":
            only_text = True
        elif option is not None:
            awaits = option["value"] if "=" not in each else None
        elif each in node["commands"]:
            node = node["commands"][each]
            argument = node["arguments"]
    if awaits is not None:
        return _values(awaits)
    flag, joined, _ = word.partition("=")
    if joined and flag in node["options"] and not only_text:
        return [(f"{flag}={value}", what) for value, what in _values(node["options"][flag]["value"] or "")]
    if word.startswith("-") and not only_text:
        return [(flag, option["help"]) for flag, option in node["options"].items() if len(word) < 2 or flag[1] == "-"]
    commands = [(name, below["help"]) for name, below in node["commands"].items()]
    return commands or _values(argument)


def _values(kind: str) -> Candidates:
    """Return the values of a kind: words that `|` separates, or what a setting of that name may be."""
    if "|" in kind:
        return [(word, "") for word in kind.split("|")]
    function = _KINDS.get(kind)
    return function() if function else []


def _profiles() -> Candidates:
    from voice_cli.config import load
    from voice_cli.presets import PRESETS

    backends = {name: preset["backend"] for name, preset in PRESETS.items()}
    backends |= {name: profile.backend or backends.get(name, "") for name, profile in load().profiles.items()}
    return list(backends.items())


def _voices() -> Candidates:
    from voice_cli.backends.local.espeak import EspeakBackend
    from voice_cli.voices.installed import installed_voices

    yield from ((voice.id, voice.name) for voice in EspeakBackend().voices() if not voice.id.startswith("+"))
    yield from ((name, str(voice.about.get("language") or "")) for name, voice in installed_voices().items())


def _downloadable() -> Candidates:
    from voice_cli.voices.catalogue import catalogue

    return [(name, ", ".join(entry.languages)) for name, entry in catalogue().items()]


def _devices() -> Candidates:
    from voice_cli.playback.sinks.device import output_devices

    return [(str(device["name"]), str(device["host"])) for device in output_devices()]


def _shells() -> Candidates:
    from voice_cli.cli.completion_scripts import SCRIPTS

    return [(name, "") for name in SCRIPTS]


def _programs() -> Candidates:
    from voice_cli.assistants.programs import PROGRAMS

    return [(name, "") for name in PROGRAMS]


_KINDS = {
    "profile": _profiles,
    "voice": _voices,
    "voices get": _downloadable,
    "device": _devices,
    "shell": _shells,
    "profiles show": _profiles,
    "hooks install": _programs,
    "hooks uninstall": _programs,
}
"""By the name of an option or an argument, or by the command whose argument it is."""


# The tree of commands.


def _tree() -> Any:
    """Return the options, the commands and the argument of `voice`, and of each command below it."""
    folder = os.path.dirname(__file__)
    changed = max(entry.stat().st_mtime_ns for entry in os.scandir(folder) if entry.name.endswith(".py"))
    key = f"{__version__} {folder} {changed}"
    path = os.path.join(user_folder("cache"), "commands.json")
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
        if kept["key"] == key:
            return kept["tree"]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # there is none, or a part of one
    from voice_cli.cli.commands import tree

    made = _node("", tree())
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(path, json.dumps({"key": key, "tree": made}).encode())
    except OSError:
        pass  # then it is made again the next time
    return made


def _node(path: str, command: Any) -> dict[str, Any]:
    options = {
        flag: {"help": parameter.help or "", "value": None if parameter.is_flag else _kind(parameter)}
        for parameter in command.params
        if parameter.param_type_name == "option"
        for flag in parameter.opts
    }
    options |= {flag: {"help": "Show the help.", "value": None} for flag in ("-h", "--help")}
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    below = {name: each for name, each in getattr(command, "commands", {}).items() if not each.hidden}
    return {
        "help": (command.help or "").partition(". ")[0].rstrip("."),
        "options": options,
        "arguments": path if path in _KINDS else _kind(arguments[0]) if arguments else "",
        "commands": {name: _node(f"{path} {name}".strip(), each) for name, each in below.items()},
    }


def _kind(parameter: Any) -> str:
    metavar = parameter.metavar or ""
    return metavar if "|" in metavar and metavar.islower() else str(parameter.name)
