"""Retries and resumptions over real WebSockets: wherever the first connection ends, all of the speech is heard once."""

import socket

import numpy as np
import pytest

from faults.listed import parse
from faults.server import WS_FAULTS, FaultyClient, with_ws_faults
from support.recovery import heard, narrate
from support.threads import happened
from support.ws import WsServer
from support.ws_chatterbox import FlushingServer, pcm_of
from support.ws_omni import OmniServer
from support.ws_vibevoice import DemoServer
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.chatterbox_ws import ChatterboxWsBackend
from voice_cli.backends.remote.omni_ws import OmniWsBackend
from voice_cli.backends.remote.vibevoice_ws import VibeVoiceWsBackend
from voice_cli.script.line import Line
from voice_cli.speech.recovery import Recovery, Target
from voice_cli.speech.streamed_narration import StreamedNarration

TEXT = "Hello there, my dear Ann"
LINES = [Line(text, text.strip()) for text in ("Well, hello there, ", "my dear Ann. ", "Dr. Smith is in his room!")]

SERVERS = {
    "chatterbox-ws": (ChatterboxWsBackend, FlushingServer(cut=400)),
    "omni-ws": (OmniWsBackend, OmniServer(chunk=400)),
    "vibevoice-ws": (VibeVoiceWsBackend, DemoServer(pcm_of(TEXT), frame=400)),
}
FIRST_SOUND = {"chatterbox-ws": 0, "omni-ws": 1, "vibevoice-ws": 2}
"""The number of the first message with audio."""
STREAMED = ["chatterbox-ws", "omni-ws"]
ENDS = {"reset": "cut={}", "1011": "close={}:1011", "1012": "close={}:1012", "1000": "close={}:1000"}


class Leaving(FaultyClient):
    """A client whose session ends after so many messages."""

    def __init__(self, client, end, count):
        super().__init__(client, {})
        self._end, self._limit = end, count

    def _pass(self, send):
        super()._pass(send)
        if self._count == self._limit:
            if self._end == "reset":
                self.cut()
            else:
                self.close(int(self._end))
            self.wait_until_gone()


@pytest.fixture
def open_backend():
    """Start a server whose first connection has the faults of a specification; return it with a backend."""
    opened = []

    def start(name, spec="", **options):
        make, talk = SERVERS[name]
        server = WsServer(with_ws_faults(talk, parse(f"first=1,{spec}", WS_FAULTS)) if spec else talk, **options)
        backend = make(server.url)
        opened.extend((backend, server))
        return server, backend

    yield start
    for one in opened:
        one.close()


def check(narration, expected):
    """Check that the whole speech was heard, and return the recovery."""
    sound, error, _ = heard(narration)
    assert error is None
    np.testing.assert_array_equal(sound, np.frombuffer(expected, "<i2"))
    return narration.recovery


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("at", range(6))
def test_a_text_is_whole_wherever_the_first_connection_ends(open_backend, name, end, at):
    server, backend = open_backend(name, ENDS[end].format(at))
    recovery = check(narrate(backend, TEXT), pcm_of(TEXT))
    is_cut = FIRST_SOUND[name] < at < FIRST_SOUND[name] + 5  # of 5 messages
    assert recovery.retries == 1
    assert len(server.clients) == 2
    assert [one.by for one in recovery.resumed] == (["first"] if is_cut else [])


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refused_upgrade_is_retried(open_backend, name, status):
    server, backend = open_backend(name, refusal=(status, {}, b""), refusals=2)
    assert check(narrate(backend, TEXT), pcm_of(TEXT)).retries == 2
    assert len(server.clients) == 1


@pytest.mark.parametrize("name", SERVERS)
def test_a_busy_server_is_asked_again(open_backend, name):
    server, backend = open_backend(name, "close=0:1013")
    assert check(narrate(backend, TEXT), pcm_of(TEXT)).retries == 1
    assert len(server.clients) == 2


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_that_starts_later_is_asked_again(name):
    make, talk = SERVERS[name]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    servers = []

    class Starting(Recovery):
        def count_retry(self):
            super().count_retry()
            if not servers:
                servers.append(WsServer(talk, port=port))

    backend = make(f"ws://127.0.0.1:{port}")
    narration = narrate(backend, TEXT)
    narration.recovery = Starting(narration.recovery.targets)
    assert check(narration, pcm_of(TEXT)).retries == 1
    backend.close()
    servers[0].close()


def streamed(backend, lines=LINES):
    """Start a narration of a text that arrives line by line."""

    def make_request(line):
        return SpeechRequest(line.spoken)

    narration = StreamedNarration(backend, lines, make_request)
    narration.recovery = Recovery([Target("first", lambda: backend, make_request)])
    narration.start(first=False)
    return narration


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("at", range(17))
def test_a_text_in_pieces_is_whole_wherever_the_session_ends(open_backend, name, end, at):
    server, backend = open_backend(name, ENDS[end].format(at))
    narration = streamed(backend)
    recovery = check(narration, b"".join(pcm_of(line.spoken) for line in LINES))
    assert narration.unspoken() == ""
    is_done = (name, at) == ("chatterbox-ws", 16)  # only `complete` is missing
    assert recovery.retries == (not is_done)
    assert len(recovery.resumed) <= 1
    assert (len(server.clients) == 1) == is_done


@pytest.mark.parametrize("name", STREAMED)
@pytest.mark.parametrize("end", ENDS)
def test_a_session_that_ends_while_text_is_awaited_is_continued(open_backend, name, end):
    """The second line arrives after the session has ended, which is between two utterances."""
    count = {"chatterbox-ws": 6, "omni-ws": 8}[name]  # messages of the first line
    server, backend = open_backend(name)
    talk = server._talk
    server._talk = lambda client: talk(Leaving(client, end, count) if client is server.clients[0] else client)

    def lines():
        yield LINES[0]
        happened(server.client().left)
        yield from LINES[1:]

    recovery = check(streamed(backend, lines()), b"".join(pcm_of(line.spoken) for line in LINES))
    assert recovery.resumed == []
    assert len(server.clients) > 1


@pytest.mark.parametrize("name", STREAMED)
def test_a_refused_session_is_retried_line_by_line(open_backend, name):
    _, backend = open_backend(name, refusal=(503, {}, b""), refusals=1)
    recovery = check(streamed(backend), b"".join(pcm_of(line.spoken) for line in LINES))
    assert recovery.retries == 1
