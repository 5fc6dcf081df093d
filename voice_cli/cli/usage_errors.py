"""The errors of typer's command line, as one line with the option or the command that may have been meant."""

import re
from typing import Any

from voice_cli.cli.console import report_error, write_stdout
from voice_cli.errors import UsageError, nearest


def report_usage(exc: Any) -> int:
    """Print an error of click as one line, with the option or command that may have been meant."""
    context = exc.ctx
    if type(exc).__name__ == "NoArgsIsHelpError":
        if exc.message:  # with rich, the help is printed already
            write_stdout(exc.message)
        return 2
    path = "voice" if context is None else context.command_path
    hint = f"see {path} --help"
    message = exc.format_message().rstrip(".")
    if type(exc).__name__ == "NoSuchOption":
        known = [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]
        message = f"there is no option {exc.option_name}{nearest(exc.option_name, [*known, '--help'])}"
    elif found := re.match(r"No such command (['\"])(.*?)\1(?:\.|$)", message, re.DOTALL):
        name = found[2]
        message = f"there is no command {path} {name}{nearest(name, context.command.commands)}"
        hint = 'to speak a text: voice say "TEXT"' if path == "voice" and " " in name else hint
    return report_error(UsageError(message, hint=hint), debug=False)
