"""A server of the Model Context Protocol: an assistant speaks with tools, through the agent.

The SDK (`mcp`, version 2) serves the protocol on private copies of standard input and output. While it does, file
descriptor 1 is standard error, so that no library's output gets between the messages.
"""

import contextlib
import math
import os
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from anyio import CapacityLimiter, get_cancelled_exc_class
from anyio.to_thread import run_sync
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from voice_cli import __version__
from voice_cli.agent.client import AgentClient
from voice_cli.errors import VoiceError

MAX_TEXT = 20_000
"""The most characters of a speech."""
INSTRUCTIONS = (
    "Speaks aloud to the user of this computer. Speak what the user wants to hear, in short sentences without Markdown."
    " Speeches wait for each other. `wait` returns what the user has heard."
)
OUTCOME = ("outcome", "text_spoken", "text_remaining", "error")
"""What is returned of the outcome of a speech."""

THREADS = CapacityLimiter(math.inf)
"""The threads of calls. The default allows 40, which calls that wait would use up: the protocol is read on one, too."""

Result = TypeVar("Result")


def make_server(list_voices: Callable[[], list[dict[str, Any]]]) -> MCPServer[Any]:
    """Return the server."""
    server: MCPServer[Any] = MCPServer("voice", instructions=INSTRUCTIONS, version=__version__, log_level="ERROR")
    ours = f"mcp-{os.getpid()}"

    @server.tool()
    async def say(
        text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)],
        *,
        wait: Annotated[bool, Field(description="Return after the speech; otherwise, at once.")] = True,
        interrupt: Annotated[bool, Field(description="Stop what is spoken, and speak at once.")] = False,
        priority: Literal["important", "message", "text", "notification", "progress"] = "message",
        voice: Annotated[str | None, Field(description="One of the tool `voices`.")] = None,
        profile: Annotated[str | None, Field(description="A profile of the user's settings.")] = None,
    ) -> dict[str, Any]:
        """Speak a text. Return its id, or if it waits also what was heard (text_spoken) and what was not."""
        options = {name: value for name, value in (("voice", voice), ("profile", profile)) if value}
        speech = await _run(
            lambda: AgentClient().say(
                text,
                options=options,
                priority=priority,
                mode="interrupt" if interrupt else "queue",
                name=ours,
                environment=dict(os.environ),
                detach=not wait,
            )
        )
        if not wait:
            return {"id": speech.id}
        try:
            outcome = await _run(speech.wait, abandon=True)
        except get_cancelled_exc_class():
            with contextlib.suppress(VoiceError):
                speech.cancel()
            raise
        return {"id": speech.id, **{name: outcome.get(name) for name in OUTCOME}}

    @server.tool()
    async def stop(
        speech: Annotated[int | None, Field(description="Its id; none: every speech of this assistant.")] = None,
        *,
        everything: Annotated[bool, Field(description="Stop also what others speak.")] = False,
    ) -> dict[str, Any]:
        """Stop speaking. Return each speech that was stopped, with text_spoken and text_remaining."""
        agent = await _running()
        if agent is None:
            return {"stopped": []}
        name = ours if speech is None and not everything else None
        return {"stopped": await _run(lambda: agent.stop(speech, name=name, all=everything))}

    @server.tool()
    async def status() -> dict[str, Any]:
        """Return what is spoken, what was heard of it, and what waits."""
        agent = await _running()
        if agent is None:
            return {"running": False, "queue": []}
        return {**await _run(agent.status), "running": True, "queue": await _run(agent.queue)}

    @server.tool()
    async def voices() -> list[dict[str, Any]]:
        """Return the voices that `say` accepts."""
        return await _run(list_voices)

    return server


async def _run(work: Callable[[], Result], *, abandon: bool = False) -> Result:
    """Run blocking work on a thread. `abandon`: a cancelled call does not wait for its end."""
    try:
        return await run_sync(work, abandon_on_cancel=abandon, limiter=THREADS)
    except VoiceError as error:
        raise ToolError(f"{error.message} ({error.hint})" if error.hint else error.message) from error


async def _running() -> AgentClient | None:
    """Return a client of the agent; None: none runs, so nothing is spoken."""
    try:
        return await run_sync(partial(AgentClient, start=False), limiter=THREADS)
    except VoiceError:
        return None
