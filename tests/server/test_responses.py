"""Speech as a response's body: slow, stalled and disconnected clients, and shutdown."""

import asyncio
import itertools
import json
import socket
import struct
from contextlib import contextmanager, suppress

import pytest

from support.loops import run
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.threads import WAIT, in_thread, wait_until
from voice_cli.errors import EngineError
from voice_cli.server.responses import ABORT, SpeechResponse
from voice_cli.server.service import Service
from voice_cli.server.settings import Server, ServerSettings
from voice_cli.server.speech import SpeechOrder

SPEECH = {"input": "Hello.", "response_format": "pcm"}
PIECE = sound_of("endless", 0.5)


def endless(_request):
    return itertools.repeat(PIECE)


def endless_engine():
    return SteppedEngine(lambda request: endless(request) if request.text == "Hello." else [sound_of(request.text)])


@contextmanager
def speech_request(app, receive_buffer=None, **changes):
    """Request speech; yield the socket without reading."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(WAIT)
    with sock:
        sock.connect(("127.0.0.1", app.port))
        body = json.dumps({**SPEECH, **changes}).encode()
        head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        sock.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        yield sock


def read_to_end(sock):
    """Read until the server closes the connection."""
    data = b""
    with suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data


# Slow and stalled clients.


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_stalled_client_is_dropped_and_its_buffer_is_bounded(stream_format, no_lead):
    engine = endless_engine()
    with SpeechApp(engine, stall_timeout=0.3) as app, speech_request(app, 4096, stream_format=stream_format) as sock:
        (report,) = app.wait_for_reports(1)
        engine.wait_until_idle()
        assert (report.outcome, report.reason) == ("cancelled", "stalled")
        assert report.bytes < 12_000_000, "the buffer is not bounded"
        wait_until(lambda: not app._host.server_state.connections, "the connection is still open")
        data = read_to_end(sock)
        assert data.startswith(b"HTTP/1.1 200 ")
        assert not data.endswith(b"0\r\n\r\n")
        assert app.request("POST", "/v1/audio/speech", {**SPEECH, "input": "Next."}).body == sound_of("Next.")


def test_a_slow_client_does_not_delay_others():
    """The stream is longer than the buffer, so only the queue keeps the engine from waiting."""
    long = sound_of("long", 40.0)
    engine = SteppedEngine(lambda request: [long if request.text == "Hello." else sound_of(request.text)])
    with SpeechApp(engine) as app, speech_request(app, 4096) as sock:
        for _ in range(3):
            assert app.request("POST", "/v1/audio/speech", {**SPEECH, "input": "Next."}).body == sound_of("Next.")
        data, _ = in_thread(lambda: read_chunked(sock))()
        assert data == long


def read_chunked(sock):
    reader = sock.makefile("rb")
    while reader.readline().strip():
        continue
    data = b""
    while size := int(reader.readline(), 16):
        data += reader.read(size)
        reader.readline()
    return data, reader.readline()


def test_a_half_closed_connection_does_not_hang():
    """Half-closed: the client sends nothing more, and continues to read."""
    engine = SteppedEngine()
    with SpeechApp(engine) as app, speech_request(app) as sock:
        sock.shutdown(socket.SHUT_WR)
        data = read_to_end(sock)
    # uvicorn treats a half-close as a disconnect, so there may be no response.
    assert data == b"" or data.startswith(b"HTTP/1.1 200 ")
    engine.wait_until_idle()


@pytest.mark.parametrize("how", ["closes", "resets"])
def test_a_disconnect_is_noticed_while_nothing_is_sent(how):
    engine = SteppedEngine()
    with SpeechApp(engine) as app:
        engine.hold()
        with speech_request(app) as sock:
            engine.wait_for_requests(1)
            if how == "resets":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        engine.wait_until_idle()
        (report,) = app.wait_for_reports(1)
        assert (report.outcome, report.reason) == ("cancelled", "left")


# Streams that the server ends.


def test_a_stream_over_the_time_limit_is_truncated():
    engine = endless_engine()
    with SpeechApp(engine, max_seconds=0.2) as app:
        with speech_request(app) as sock:
            data = read_to_end(sock)
        assert data.startswith(b"HTTP/1.1 200 ")
        assert not data.endswith(b"0\r\n\r\n")
        body = app.request("POST", "/v1/audio/speech", {**SPEECH, "stream_format": "sse"}).body
        assert b'"code": "late"' in body.rpartition(b"event: error")[2]
        assert [report.reason for report in app.reports] == ["overlong"] * 2


def test_a_draining_server_finishes_streams_and_refuses_new_ones():
    engine = SteppedEngine()
    app = SpeechApp(engine, drain_timeout=WAIT)
    with speech_request(app) as sock:
        engine.hold()
        engine.release()
        engine.wait_for_requests(1)
        closing = in_thread(app.close)
        answer = in_thread(lambda: draining_answer(app))()
        assert (answer.status, answer.json["error"]["code"]) == (503, "draining")
        assert answer.headers["retry-after"] == "1"
        assert app.request("GET", "/health").json["status"] == "draining"
        engine.let_go()
        data, end = read_chunked(sock)
        assert (data, end) == (sound_of("Hello."), b"\r\n")
        assert closing() is None


def draining_answer(app):
    """Send requests until the server is draining."""
    while True:
        if app.request("GET", "/health").json["status"] == "draining":
            return app.request("POST", "/v1/audio/speech", SPEECH)


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_stream_that_outlasts_the_drain_gets_an_error(begun, stream_format):
    engine = SteppedEngine()
    app = SpeechApp(engine, drain_timeout=0.05)
    engine.hold()
    with speech_request(app, stream_format=stream_format) as sock:
        engine.wait_for_requests(1)
        if begun:
            engine.release()
            assert sock.recv(1) == b"H"
        closing = in_thread(app.close)
        data = read_to_end(sock)
        if not begun:
            assert data.startswith(b"HTTP/1.1 503 ")
            assert b'"draining"' in data
        elif stream_format == "sse":
            assert b'"draining"' in data.rpartition(b"event: error")[2]
        else:
            assert not data.endswith(b"0\r\n\r\n")
        assert closing() is None
    engine.wait_until_idle()


# On other hosts.


def test_the_stall_timeout_starts_after_the_buffered_audio_was_played():
    """A client that plays in real time reads nothing while socket buffers hold audio."""
    outcomes = []

    async def main():
        engine = SteppedEngine(lambda request: [sound_of(request.text, 1.0)] * 8)
        service = Service(ServerSettings(Server(stall_timeout=0.05)), engine)
        service.on_end = lambda report: outcomes.append(report.outcome)

        bodies = []

        async def send(message):
            bodies.append(message.get("body"))
            if len(bodies) > 2:  # the head and the first audio
                await asyncio.sleep(0.2)  # longer than the timeout, shorter than the audio

        try:
            await SpeechResponse(service, SpeechOrder("Hello.", "test"))({"type": "http"}, asyncio.Event().wait, send)
        finally:
            service.close()

        assert len(bodies) > 3

    run(main)
    assert outcomes == [None]


def test_a_host_without_abort_still_ends_a_stalled_stream(no_lead):
    """Any ASGI host: a `send` that never returns times out, and the connection is aborted if the host can."""
    aborted = []

    async def main():
        service = Service(ServerSettings(Server(stall_timeout=0.05)), SteppedEngine())
        try:
            for extensions in ({}, {"extensions": {ABORT: {"abort": lambda: aborted.append(1)}}}):
                await SpeechResponse(service, SpeechOrder("Hello.", "test"))(
                    {"type": "http", **extensions}, asyncio.Event().wait, lambda _: asyncio.Event().wait()
                )
        finally:
            service.close()

    run(main)
    assert aborted == [1]


def test_an_unexpected_error_is_reported_without_its_message():
    with SpeechApp(SteppedEngine()) as app:
        app.service.speak = broken
        answer = app.request("POST", "/v1/audio/speech", SPEECH)
        assert (answer.status, answer.json["error"]["code"]) == (500, "internal_error")
        assert b"secret" not in answer.body
        wait_until(lambda: app.faults, "the error is not logged")
        assert "a secret" in app.faults[0]
        app.faults.clear()


def broken(_order):
    raise RuntimeError("a secret")


def test_an_engine_error_before_the_first_audio_has_a_status():
    with SpeechApp(SteppedEngine(lambda request: [EngineError("no")] * (request.text == "Hello."))) as app:
        for stream_format in ("audio", "sse"):
            answer = app.request("POST", "/v1/audio/speech", {**SPEECH, "stream_format": stream_format})
            assert answer.status == 500
            assert answer.headers["content-type"] == "application/json"
