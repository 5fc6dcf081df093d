"""What the agent sends to a client that may not read."""

import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest

from voice_cli.agent.session import Session
from voice_cli.cli.agent_relay import Relay
from voice_cli.playback.state import State
from voice_cli.script.line import Line
from voice_cli.speech.events import Utterance


class FakeSession:
    def __init__(self):
        self.is_writable = True
        self.sent = []

    def send(self, message, _payload=b""):
        assert self.is_writable, "it would block"
        self.sent.append(message)


def player_at(seconds, utterances):
    return SimpleNamespace(
        utterances=utterances,
        spans=[(0.0, seconds)],
        position=seconds,
        state=State.PLAYING,
        timeline=SimpleNamespace(audio_seconds=9.0),
        is_paused=False,
        volume=1.0,
        speed=1.0,
    )


def utterance(text, start, end, at):
    made = Utterance(Line(text, text.strip(), end=at), SimpleNamespace(words=[]))
    made.start, made.end = start, end
    return made


@pytest.fixture
def narration():
    return SimpleNamespace(progress=lambda: None, total=None, recovery=None)


def test_a_client_that_does_not_read_delays_nothing(narration):
    session = FakeSession()
    relay = Relay(session, narration, shows=True, watches=True)
    utterances = [utterance("One.", 0.0, 1.0, 4), utterance(" Two.", 1.0, 2.0, 9), utterance(" Three.", 2.0, 3.0, 16)]
    relay.update(player_at(0.5, utterances))
    session.is_writable = False
    for seconds in (1.0, 1.5, 2.0):
        relay.update(player_at(seconds, utterances))
    before = len(session.sent)
    session.is_writable = True
    relay.update(player_at(2.5, utterances))
    shown = "".join(message["text"] for message in session.sent if message["type"] == "shown")
    assert shown == "One. Two. Three."
    heard = [message for message in session.sent[before:] if message["type"] == "heard"]
    assert heard == [{"type": "heard", "rest": " Three.", "end": 16}]


def test_the_display_is_complete_at_the_end(narration):
    session = FakeSession()
    relay = Relay(session, narration, shows=True, watches=False)
    utterances = [utterance("One.", 0.0, 1.0, 4), utterance(" Two.", 1.0, 2.0, 9)]
    session.is_writable = False
    relay.update(player_at(0.5, utterances))
    session.is_writable = True
    relay.finish(player_at(2.0, utterances), SimpleNamespace(utterances=utterances, spans=[(0.0, 2.0)]))
    assert "".join(message["text"] for message in session.sent) == "One. Two.\n"


def test_a_session_is_writable_unless_its_client_does_not_read():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        session = Session(ours, lambda *_: None, lambda _: {})
        assert session.is_writable
        ours.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                ours.send(b"x" * 4096)
        assert not session.is_writable
        theirs.recv(1 << 20)
        theirs.close()
        assert session.is_writable, "a send fails at once"
