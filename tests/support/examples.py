"""The command lines in the help and in the Markdown pages.

A block of shell commands in a page is run line by line, unless its info string says what it needs::

    ```sh needs a server
    voice say "Hi" --base-url http://localhost:8880/v1
    ```

Then, and where `NEEDS` lists a line of the help, the line is only parsed. Lines without `voice` are not run.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from voice_cli.cli import quick
from voice_cli.cli.commands import examples_of, tree, walk

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

NEEDS = {
    "voice say --help": "nothing, but the help is tested elsewhere",
    'voice say "Hi" --base-url http://localhost:8880/v1 -m kokoro': "a server",
    'voice say "Hello" --device 1': "a second device",
    "voice voices --base-url http://localhost:8880/v1": "a server",
    "voice voices get amy": "the network",
    "voice voices get ./amy.onnx --name amy": "a voice's file",
    "voice voices remove amy": "a downloaded voice",
    "voice play talk.mp3 outro.wav": "files",
    "voice play talk.wav --show": "files",
    "voice play https://example.org/talk.opus": "the network",
    "voice play samples.bin --raw s16le --rate 16000": "a file",
    "voice book moby.epub --list": "a file",
    "voice book moby.epub -o moby.m4b": "a file",
    "voice book notes.md -o notes/ -v en-gb": "a file",
    "voice doctor --tone": "a machine on which nothing is wrong",
    "voice doctor -p kokoro": "a server",
    "voice doctor --json": "a machine on which nothing is wrong",
    "voice serve": "a free port",
    "voice serve --profile kokoro --port 9000": "a free port",
    "voice serve --host 0.0.0.0 --api-key-env VOICE_KEY": "a free port",
    "voice bench": "an idle machine",
    "voice bench --all --html bench.html": "an idle machine",
    "voice agent run": "a terminal of its own",
    "voice agent log": "an agent that was started in the background",
    "voice agent stop": "nothing, but it would end the agent of the other examples",
    "voice agent stop --now": "the same",
    "voice agent install": "systemd or launchd",
    "voice agent uninstall": "systemd or launchd",
    "voice hooks mute 3f2a": "a session",
    "voice hooks voice 3f2a en-gb": "a session",
}
"""Lines of the help that are parsed and not run, each with what it needs."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_SHELL = re.compile(r"(?:|sh|console)(?: needs (?P<needs>.+))?")


class Example(NamedTuple):
    """A line of shell with `voice` in it."""

    where: str
    """The page and the line's number, or the command whose help it ends."""
    line: str
    needs: str
    """What it needs that tests do not have; it is not run."""


def in_help() -> dict[str, list[Example]]:
    """Return the examples of each command's help."""
    found = {}
    for path, command in walk(tree()):
        name = f"voice {path}".strip()
        found[name] = [Example(f"{name} --help", line, NEEDS.get(line, "")) for line, _ in examples_of(command)]
    return found


def in_pages() -> dict[str, list[Example]]:
    """Return the examples of each page."""
    found = {}
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        found[name] = list(in_page(name, page.read_text("utf-8")))
    return found


def in_page(name: str, text: str) -> Iterator[Example]:
    """Yield the examples of a Markdown text."""
    for fence in _FENCE.finditer(text):
        info = _SHELL.fullmatch(fence["info"])
        if info:
            first = text[: fence.start("body")].count("\n") + 1
            for line, number in _joined(fence["body"].splitlines(), first):
                if arguments_in(line):
                    yield Example(f"{name}:{number}", re.sub(r"  +#.*", "", line), info["needs"] or "")


def _joined(lines: list[str], number: int) -> Iterator[tuple[str, int]]:
    """Yield lines, those that end with a backslash with the next ones, each with the number of its first."""
    pending, first = "", number
    for line in lines:
        first = first if pending else number
        number += 1
        pending += line.strip()
        if pending.endswith("\\"):
            pending = pending[:-1]
        else:
            yield pending, first
            pending = ""


def arguments_in(line: str) -> list[list[str]]:
    """Return the arguments of each `voice` in a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # not shell, such as output with an apostrophe
        return []
    commands: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("|&;()"):
            commands.append([])
        else:
            commands[-1].append(word)
    found = []
    for command in commands:
        plain = command[: command.index(">")] if ">" in command else command
        while plain and re.match(r"\w+=", plain[0]):
            plain = plain[1:]
        if plain and plain[0].rpartition("/")[2] == "voice":
            found.append(plain[1:])
    return found + [shlex.split(inner) for inner in re.findall(r"\$\(voice ([^)]*)\)", line)]


def parse(arguments):
    """Parse a command line without running it; raise what is wrong with it."""
    command = tree()
    rest = list(arguments)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    if hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        raise ValueError(f"no such command: {rest[0]}")
    if not {"--help", "--version"} & set(rest):
        command.make_context("voice", rest)
    if arguments[:1] == ["say"]:
        options = quick.parse(arguments)
        if options is not None:
            options.check()
