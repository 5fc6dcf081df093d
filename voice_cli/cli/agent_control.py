"""`voice stop`, `voice pause` and the other commands about the speeches of the agent and of other processes."""

from contextlib import suppress

from voice_cli.agent.client import AgentClient
from voice_cli.agent.turns import Turns, remove
from voice_cli.cli.agent_commands import line_of
from voice_cli.cli.console import write_json, write_stdout
from voice_cli.errors import AgentError


def _agent() -> AgentClient | None:
    try:
        return AgentClient(start=False)
    except AgentError:
        return None


def _speaker() -> AgentClient:
    """Return a client of the process that plays, if it has a socket of its own, and of the agent otherwise.

    Raises:
        AgentError: there is neither.

    """
    for ticket in Turns().tickets():
        if ticket.is_speaking and ticket.agent:
            with suppress(AgentError):
                return AgentClient(ticket.agent, start=False)
    return AgentClient(start=False)


def stop(all_: bool = False, number: int | None = None, as_json: bool = False) -> None:
    """Stop the speech that is spoken, or one, or all."""
    agent = _agent()
    if agent is not None:
        stopped = agent.stop(number, all=all_)
    else:
        tickets = Turns().tickets()
        if not all_:
            tickets = [ticket for ticket in tickets if ticket.is_speaking and number in (None, ticket.id)]
        for ticket in tickets:
            remove(ticket.path)
        stopped = [ticket.described() for ticket in tickets]
    if as_json:
        write_json(stopped)


def pause() -> None:
    """Pause the speech that is spoken."""
    _speaker().pause()


def resume() -> None:
    """Continue the speech that was paused."""
    _speaker().resume()


def skip(count: int | None = None) -> None:
    """Skip sentences."""
    _speaker().skip(1 if count is None else count)


def back(count: int | None = None) -> None:
    """Go back by sentences."""
    _speaker().skip(-(1 if count is None else count))


def volume(factor: float) -> None:
    """Set the volume of the speech that is spoken."""
    _speaker().set_volume(factor)


def speed(factor: float) -> None:
    """Set the speed of the speech that is spoken."""
    _speaker().set_speed(factor)


def queue(as_json: bool = False) -> None:
    """Print the speeches that are spoken or wait, of all processes of the user."""
    found = [ticket.described() for ticket in Turns().tickets()]
    if as_json:
        write_json(found)
    else:
        write_stdout("\n".join(f"{each['state']:<9} {line_of(each)}" for each in found) or "nothing is spoken")
