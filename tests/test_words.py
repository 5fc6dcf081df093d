"""Only `voice_cli/cli` names flags and commands; other messages name settings (`errors.Hint`)."""

import re
from pathlib import Path

from support.literals import literals

ROOT = Path(__file__).parent.parent / "voice_cli"
COMMAND_LINE = re.compile(
    r"(?<!pip install )(?<!systemctl )(?<![\w-])--[a-z]|\bvoice (?:voices|devices|engines|config|serve|bench)\b"
)


def test_only_the_command_line_names_its_flags_and_commands():
    modules = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] != "cli"]
    offences = {
        path.relative_to(ROOT).as_posix(): found
        for path in modules
        if (found := [text for text in literals(path) if COMMAND_LINE.search(text)])
    }
    assert offences == {}
