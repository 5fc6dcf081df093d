"""The programs whose hooks can be installed. Their documentation, as of November 2026:

- Claude Code: https://code.claude.com/docs/en/hooks
- Codex: https://developers.openai.com/codex/hooks
- Gemini CLI: https://geminicli.com/docs/hooks/reference

Their settings have one form: ``{"hooks": {EVENT: [{"matcher": …, "hooks": [{"type": "command", "command": …}]}]}}``.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from voice_cli.errors import UsageError, nearest

ASKS = ("permission_prompt", "elicitation_dialog", "elicitation_url_dialog", "agent_needs_input")
"""The types of Claude Code's notifications that ask the user for something."""


class Program(NamedTuple):
    """A program, and how it is configured."""

    title: str
    home: tuple[str, str]
    """The environment variable of its folder, and the default."""
    file: str
    """Its settings, inside that folder."""
    events: Mapping[str, str]
    """The events that are hooked, with the matcher of each; empty: none."""
    timeout: int = 10
    """The hook's timeout: 10 seconds, in the program's unit."""
    note: str = ""
    """What the user must do after the installation."""

    def path(self, environment: Mapping[str, str] = os.environ) -> str:
        """Return the path of the user's settings."""
        variable, default = self.home
        return os.path.join(os.path.expanduser(environment.get(variable) or default), self.file)

    def groups(self, command: str) -> dict[str, dict[str, Any]]:
        """Return the entry of each event, with that command line for the shell."""
        handler = {"type": "command", "command": command, "timeout": self.timeout}
        return {
            event: {**({"matcher": matcher} if matcher else {}), "hooks": [handler]}
            for event, matcher in self.events.items()
        }


PROGRAMS = {
    "claude-code": Program(
        "Claude Code",
        ("CLAUDE_CONFIG_DIR", "~/.claude"),
        "settings.json",
        {"UserPromptSubmit": "", "Notification": "|".join(ASKS), "Stop": "", "SessionEnd": ""},
    ),
    "codex": Program(
        "Codex",
        ("CODEX_HOME", "~/.codex"),
        "hooks.json",
        {"UserPromptSubmit": "", "PermissionRequest": "", "Stop": ""},
        note="Codex runs new hooks only after you trust them: type /hooks in Codex",
    ),
    "gemini": Program(
        "Gemini CLI",
        ("GEMINI_CLI_HOME", "~"),
        os.path.join(".gemini", "settings.json"),
        {"BeforeAgent": "", "Notification": "", "AfterAgent": "", "SessionEnd": ""},
        timeout=10_000,
    ),
}


def known(names: Sequence[str] | None) -> Sequence[str]:
    """Return names of programs.

    Raises:
        UsageError: there is none, or one is not in `PROGRAMS`.

    """
    for name in names or [""]:
        if name not in PROGRAMS:
            message = f"there is no program {name!r}{nearest(name, PROGRAMS)}" if name else "no program was named"
            raise UsageError(message, hint=f"one of: {', '.join(PROGRAMS)}")
    return names or ()
