"""A parser of `voice say` and `voice play` that takes microseconds; typer takes 50 ms before the request.

It reads the options of `options.SayOptions`, written in full, each with a valid value. typer handles everything else:
help, abbreviations and errors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from voice_cli.cli.options import Option, SayOptions, options


def parse(arguments: Sequence[str]) -> SayOptions | None:
    """Parse a command line without the program's name; None: typer must parse it."""
    if not arguments or arguments[0] != "say":
        return None
    found = parse_options(arguments[1:], options())
    if found is None:
        return None
    values, text = found
    return SayOptions(text=tuple(text), **values)


def parse_options(arguments: Sequence[str], known: Mapping[str, Option]) -> tuple[dict[str, Any], list[str]] | None:
    """Return the values of the options by name, and the other arguments; None: typer must parse them."""
    flags = {flag: (name, option.kind) for name, option in known.items() for flag in option.flags(name)}
    values: dict[str, Any] = {}
    text: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            text.extend(rest)
        elif argument == "-" or not argument.startswith("-"):
            text.append(argument)
        else:
            name, joined, value = argument.partition("=") if argument.startswith("--") else (argument, "", "")
            if name not in flags:
                return None
            option, kind = flags[name]
            if kind is bool:
                if joined:
                    return None
                values[option] = True
                continue
            if not joined:
                following = next(rest, None)
                if following is None or (following.startswith("-") and following != "-"):
                    return None
                value = following
            try:
                values[option] = kind(value)
            except ValueError:
                return None
    return values, text
