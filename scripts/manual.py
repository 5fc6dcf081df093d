"""Write the man pages, `voice.1` and one for each command, into a folder: `python scripts/manual.py FOLDER`.

They are made from the definition of the command line, as the help is. The date is SOURCE_DATE_EPOCH, or today.
"""

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from voice_cli import __version__, errors, folders
from voice_cli.cli.commands import examples_of, tree, walk


def write_pages(folder: Path) -> list[Path]:
    """Write the pages into a folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for path, command in walk(tree()):
        name = page_name(path)
        written.append(folder / f"{name}.1")
        written[-1].write_text("\n".join(page(path, command)) + "\n", "utf-8")
    return written


def page_name(path: str) -> str:
    """Return the name of a command's page: `voice-voices-get`."""
    return "-".join(["voice", *path.split()])


def page(path: str, command: Any) -> Iterator[str]:
    """Yield the lines of a command's page, as roff."""
    name = page_name(path)
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())))
    yield f'.TH {name.upper()} 1 {date} "voice {__version__}" "Commands"'
    yield ".SH NAME"
    yield f"{text(name)} \\- {text(first_sentence(command.help))}"
    yield ".SH SYNOPSIS"
    yield f".B {text(f'voice {path}'.strip())}"
    yield text(" ".join(pieces(command)))
    yield ".SH DESCRIPTION"
    yield text(command.help)
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    for argument in arguments:
        yield from (".TP", f".I {text(argument.name.upper())}", text(argument.help or ""))
    yield from options(command)
    yield from commands(path, command)
    examples = examples_of(command)
    if examples:
        yield ".SH EXAMPLES"
        for line, what in examples:
            yield from (".TP", f".B {text(line)}", text(f"{what[:1].upper()}{what[1:]}."))
    if not path:
        yield from exit_status()
        yield from files()
    yield from see_also(path, command)


def pieces(command: Any) -> Iterator[str]:
    """Yield what follows the command's name: [OPTIONS], its arguments, COMMAND."""
    yield "[OPTIONS]"
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = parameter.name.upper() + ("..." if parameter.nargs == -1 else "")
            yield shown if parameter.required else f"[{shown}]"
    if hasattr(command, "commands"):
        yield "[COMMAND]" if command.invoke_without_command and command.params else "COMMAND"


def options(command: Any) -> Iterator[str]:
    """Yield the section of the options, with their headings."""
    yield ".SH OPTIONS"
    panel = None
    for parameter in command.params:
        if parameter.param_type_name != "option" or parameter.hidden:
            continue
        if isinstance(parameter.rich_help_panel, str) and parameter.rich_help_panel != panel:
            panel = parameter.rich_help_panel
            yield f".SS {text(panel)}"
        flags = ", ".join(f"\\fB{text(flag)}\\fR" for flag in sorted(parameter.opts, key=len))
        value = "" if parameter.is_flag else f" \\fI{text(parameter.metavar or parameter.name.upper())}\\fR"
        yield from (".TP", f"{flags}{value}", text(parameter.help or ""))
    yield from (".TP", "\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show the help.")


def commands(path: str, command: Any) -> Iterator[str]:
    """Yield the section of the commands below this one, under the headings of the help."""
    if not hasattr(command, "commands"):
        return
    yield ".SH COMMANDS"
    panel = None
    for name, below in command.commands.items():
        if below.hidden:
            continue
        if isinstance(below.rich_help_panel, str) and below.rich_help_panel != panel:
            panel = below.rich_help_panel
            yield f".SS {text(panel)}"
        page_of = text(page_name(f"{path} {name}"))
        yield from (".TP", f"\\fB{text(name)}\\fR", f"{text(below.help)} See \\fB{page_of}\\fR(1).")


def exit_status() -> Iterator[str]:
    """Yield the exit codes, each with the first class of errors that has it."""
    yield from (".SH EXIT STATUS", ".TP", ".B 0", "The whole speech was played, or saved.")
    codes: dict[int, str] = {1: "An error in this program."}
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.VoiceError)]
    for each in classes:
        codes.setdefault(each.exit_code, (each.__doc__ or "").partition("\n")[0])
    codes.pop(0, None)
    for code, meaning in sorted(codes.items()):
        yield from (".TP", f".B {code}", text(meaning))


def files() -> Iterator[str]:
    """Yield the user's files."""
    yield ".SH FILES"
    config = folders.config_path({}).replace(os.path.expanduser("~"), "~", 1)
    yield from (".TP", f".I {text(config)}", "The settings; \\fBvoice config init\\fR writes it.")


def see_also(path: str, command: Any) -> Iterator[str]:
    """Yield references: to the commands below, or to the one above."""
    yield ".SH SEE ALSO"
    if path:
        above = path.rpartition(" ")[0]
        found = [page_name(above)] if above else ["voice"]
    else:
        found = [page_name(name) for name in command.commands]
    yield ",\n".join(f"\\fB{text(name)}\\fR(1)" for name in sorted(found))


def first_sentence(words: str) -> str:
    """Return the first sentence, with a small letter and without its full stop, as `whatis` shows it."""
    sentence = re.split(r"[.:] ", words, maxsplit=1)[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:]


def text(words: str) -> str:
    """Return words as roff: nothing in them is a macro or an escape."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    escaped = escaped.replace("^", "\\(ha").replace("~", "\\(ti").replace('"', "\\(dq").replace("|", "|\\:")
    return "\n".join(f"\\&{line}" if line.startswith(".") else line for line in escaped.split("\n"))


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
