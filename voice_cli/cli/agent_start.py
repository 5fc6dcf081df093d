"""Starting the agent for a speech, or during a speech of this process for the next ones."""

import os
import sys
from contextlib import suppress

from voice_cli.cli.options import SayOptions
from voice_cli.config import Settings
from voice_cli.errors import AgentError


def start_agent(settings: Settings) -> None:
    """Start the agent in the background, if the settings and the environment allow it."""
    from voice_cli.agent.launch import may_start, start
    from voice_cli.agent.paths import SOCKET_ENV
    from voice_cli.cli.agent_client import connect

    is_terminal = any(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if settings.defaults.agent != "auto" or SOCKET_ENV in os.environ or not may_start(is_terminal=is_terminal):
        return
    running = connect()
    if running is not None:
        running.close()
    else:
        with suppress(OSError):
            start()


def speak_through_new_agent(options: SayOptions) -> int | None:
    """Start the agent if none runs, let it speak, and return the exit code; None: this process must speak.

    Raises:
        AgentError: it cannot be started; or it declined a speech that only the agent can speak.

    """
    from voice_cli.agent.client import AgentClient
    from voice_cli.cli.agent_client import speak_through_agent

    if os.environ.get("VOICE_AGENT") == "off":
        raise AgentError("a detached speech needs the agent, which VOICE_AGENT turns off", hint="set it to auto")
    AgentClient()
    code = speak_through_agent(options.arguments())
    if code is None and options.detach:
        raise AgentError("the agent declined the speech, so it cannot be detached", hint="omit --detach")
    return code
