"""The tree of commands, with examples and groups: what help, man pages, the site and the completion are made from."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import typer.main

from voice_cli.cli.declarations import app
from voice_cli.cli.examples import EXAMPLES, GROUPS

_EXAMPLE = re.compile(r"(?P<line>.*?)(?:\s+\[dim\](?P<what>.*)\[/dim\])?")


def tree() -> Any:  # click's Group; typer has a copy of click, or uses the package
    """Return `voice` as click knows it."""
    root: Any = typer.main.get_command(app)
    for path, command in walk(root):
        if path in EXAMPLES:
            command.epilog = epilog(EXAMPLES[path])
    places = {name: (group, place) for group, names in GROUPS.items() for place, name in enumerate(names)}
    order = [name for names in GROUPS.values() for name in names]
    commands = sorted(root.commands.items(), key=lambda item: order.index(item[0]) if item[0] in places else -1)
    root.commands.clear()
    for name, command in commands:
        root.commands[name] = command
        if name in places:
            command.rich_help_panel = places[name][0]
    return root


def walk(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a command and those below it that are shown, each with its path, such as `voices get`."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from walk(below, f"{path} {name}".strip())


def epilog(examples: Iterable[Sequence[str]]) -> str:
    """Return the end of a command's help: command lines, each with what it does."""
    lines = [f"  {_escaped(line)}\n      [dim]{_escaped(what)}[/dim]" for line, what in examples]
    return "\n\n".join(["[bold]Examples[/bold]", *lines])


def examples_of(command: Any) -> list[tuple[str, str]]:
    """Return the examples at the end of a command's help: command lines, each with what it does."""
    found = []
    for paragraph in (command.epilog or "").split("\n\n")[1:]:
        match = _EXAMPLE.fullmatch(paragraph.strip())
        if match:
            found.append((match["line"].replace("\\[", "["), (match["what"] or "").replace("\\[", "[")))
    return found


def _escaped(text: str) -> str:
    return text.replace("[", "\\[")  # rich's markup
