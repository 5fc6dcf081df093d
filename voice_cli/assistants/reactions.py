"""What a hook does at an event: it has the agent speak, or stop speaking."""

import contextlib
import os
from collections.abc import Iterable

from voice_cli.agent.client import AgentClient
from voice_cli.assistants import sessions
from voice_cli.assistants.events import Event, Kind
from voice_cli.assistants.reply import last_reply, spoken
from voice_cli.errors import FileError, VoiceError


def react(program: str, event: Event) -> None:
    """Note the event in the file of sessions, and do what it asks for.

    A reply waits for its turn, a question goes first, and a prompt ends the speech of its session.

    Raises:
        VoiceError: the agent cannot be started, or refuses the speech.

    """

    def note(state: sessions.State) -> sessions.Session:
        session = state.sessions.setdefault(event.session, sessions.Session(muted=state.muted))
        session.program, session.folder, session.seen = program, event.folder, int(event.time)
        if event.kind is Kind.PROMPT:
            session.prompted = event.time
        return session

    path = sessions.state_path()
    try:
        session = sessions.change(path, note)
    except FileError:
        session = note(sessions.read(path))
    if event.kind in (Kind.PROMPT, Kind.END):
        silence([event.session])
    elif not session.muted and (text := spoken(event.text or last_reply(event.transcript))):
        options = {"markdown": "off", **({"voice": session.voice} if session.voice else {})}
        agent = AgentClient()
        if sessions.read(path).sessions.get(event.session, session).prompted > event.time:
            return  # the user went on while the agent started
        agent.say(
            text,
            options=options,
            priority="important" if event.kind is Kind.QUESTION else "message",
            name=event.session,
            environment=dict(os.environ),
            detach=True,
        )


def silence(names: Iterable[str]) -> None:
    """Stop the speech of sessions, if an agent runs."""
    with contextlib.suppress(VoiceError):
        agent = AgentClient(start=False)
        for name in names:
            agent.stop(name=name)
