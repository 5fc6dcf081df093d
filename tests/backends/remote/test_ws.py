"""Behaviour that the WebSocket backends share, on real sockets: addresses, keys and failures."""

import base64
import contextlib
import gc
import os
import select
import socket
import sys
import threading
import time
import tracemalloc

import pytest
from websockets.datastructures import Headers

from support.environment import cleaned
from support.jumping_clock import JumpingClock
from support.streams import collect
from support.threads import WAIT, happened, in_thread, wait_until
from support.tls import certificate
from support.ws import WsServer
from voice_cli.backends import open_backend
from voice_cli.backends.base import SpeechRequest
from voice_cli.errors import (
    AuthenticationError,
    ConfigError,
    EngineError,
    Interrupted,
    NetworkError,
    RateLimitError,
    ServerError,
    TruncatedAudio,
)

HELLO = SpeechRequest("Hello", voice="ann")
PIECE = bytes(range(256)) * 4

PATHS = {
    "chatterbox-ws": "/ws/synthesize",
    "vibevoice-ws": "/stream?text=Hello&voice=ann",
    "omni-ws": "/v1/audio/speech/stream",
}
NAMES = list(PATHS)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def talk(name):
    """Start a server with a client handler and return it with a backend."""
    opened = []

    def start(handle, *, options=None, **more):
        server = WsServer(handle, **more)
        backend = open_backend(name, base_url=server.url, **(options or {}))
        opened.extend((backend, server))
        return server, backend

    yield start
    for one in opened:
        one.close()
    assert not [error for one in opened for error in getattr(one, "errors", [])]


def receive_request(client):
    """Receive the client's request."""
    if "/ws/" in client.path:
        client.receive()
    elif "/v1/" in client.path:
        while client.receive()["type"] != "input.done":
            pass


def send_audio(client, sound=PIECE):
    """Send audio in the client's protocol."""
    if "/ws/" in client.path:
        encoded = base64.b64encode(sound).decode()
        client.say({"audio": encoded, "is_final": False, "format": "pcm", "sample_rate": 24_000})
        return
    if "/v1/" in client.path and not hasattr(client, "begun"):
        client.begun = True
        client.say({"type": "audio.start", "format": "pcm", "sample_rate": 24_000, "sentence_text": "Hello"})
    client.send(sound)


def end_session(client):
    if "/ws/" in client.path:
        client.say({"audio": None, "is_final": True, "total_ms": 1})
    elif "/v1/" in client.path:
        client.say({"type": "audio.done", "total_bytes": None, "error": False})
        client.say({"type": "session.done", "utterance_index": 0, "total_sentences": 1})
    else:
        client.close()
        return
    client.wait_until_gone()


def speak(client):
    receive_request(client)
    for _ in range(3):
        send_audio(client)
    end_session(client)


# Addresses and keys.


@pytest.mark.parametrize("scheme", ["ws", "http"])
@pytest.mark.parametrize(("tail", "root"), [("", ""), ("/", ""), ("/v1", ""), ("/v1/", ""), ("/tts", "/tts")])
def test_address_is_completed_with_the_protocols_path(talk, name, scheme, tail, root):
    server, _ = talk(speak)
    backend = open_backend(name, base_url=f"{scheme}://127.0.0.1:{server.port}{tail}")
    assert collect(backend.synthesize(HELLO)) == (PIECE * 3, None)
    backend.close()
    assert server.client().path == root + PATHS[name]
    assert backend.where == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "url", ["ftp://host", "host:8000", "", "ws://", "ws://h:99999", "ws://h:x", "ws://[::1", "ws://h#a", "ws://h\n/"]
)
def test_invalid_address_is_a_config_error(name, url):
    with pytest.raises(ConfigError, match="not the address of a server"):
        open_backend(name, base_url=url)


def test_address_is_required(name):
    with pytest.raises(ConfigError, match="needs a base_url"):
        open_backend(name)


def test_credentials_in_a_refused_address_are_not_shown(name):
    with pytest.raises(ConfigError) as caught:
        open_backend(name, base_url="ftp://user:secret@host")
    assert "secret" not in str(caught.value)


def test_credentials_in_the_address_are_not_shown_in_errors(name):
    backend = open_backend(name, base_url="ws://user:secret@127.0.0.1:1")
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, NetworkError)
    assert "secret" not in error.message
    assert backend.where == "127.0.0.1:1"


def test_key_is_sent_in_the_authorization_header(talk):
    server, backend = talk(speak, options={"api_key": "sk-1"})
    collect(backend.synthesize(HELLO))
    headers = server.client().headers
    assert headers["Authorization"] == "Bearer sk-1"
    assert headers["User-Agent"].startswith("voice/")


def test_without_a_key_no_authorization_header_is_sent(talk):
    server, backend = talk(speak)
    collect(backend.synthesize(HELLO))
    assert "Authorization" not in server.client().headers


def test_key_invalid_in_a_header_is_refused(name):
    with pytest.raises(ConfigError) as caught:
        open_backend(name, base_url="ws://host", api_key="sk-1\n")
    assert "sk-1" not in str(caught.value)


def test_missing_package_error_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with pytest.raises(EngineError, match="needs the package websockets") as caught:
        open_backend(name, base_url="ws://host")
    assert caught.value.hint == 'pip install "voice-cli[ws]"'


def test_lone_surrogate_is_sent_as_a_question_mark(talk, name):
    server, backend = talk(speak)
    assert collect(backend.synthesize(SpeechRequest("half a \ud83d face", voice="ann")))[1] is None
    client = server.client()
    said = client.path if name == "vibevoice-ws" else str(client.said)
    assert ("half+a+%3F+face" if name == "vibevoice-ws" else "half a ? face") in said


# Requests and responses.


def test_request_is_sent_when_the_stream_is_created(talk):
    asked = threading.Event()

    def handle(client):
        receive_request(client)
        asked.set()
        send_audio(client)
        end_session(client)

    _, backend = talk(handle)
    stream = backend.synthesize(HELLO)
    happened(asked)
    assert collect(stream) == (PIECE, None)


def test_timestamps_are_in_order(talk):
    _, backend = talk(speak)
    before = time.monotonic()
    stream = backend.synthesize(HELLO)
    collect(stream)
    times = [stream.timestamps[name] for name in ("connected", "request_sent", "first_byte", "last_byte")]
    times = [before, *times, time.monotonic()]
    assert times == sorted(times)


def test_concurrent_streams_are_independent(talk):
    _, backend = talk(speak)
    streams = [backend.synthesize(HELLO) for _ in range(8)]
    assert [collect(stream) for stream in reversed(streams)] == [(PIECE * 3, None)] * 8


def test_pauses_of_the_reader_do_not_time_out(talk):
    _, backend = talk(speak, options={"timeout": 0.2})
    stream = backend.synthesize(HELLO)
    chunks = iter(stream)
    got = next(chunks)
    time.sleep(0.5)  # longer than the timeout
    assert got + b"".join(chunks) == PIECE * 3


def test_messages_of_megabytes_are_accepted(talk):
    def handle(client):
        receive_request(client)
        send_audio(client, PIECE * 4096)
        end_session(client)

    _, backend = talk(handle)
    assert collect(backend.synthesize(HELLO)) == (PIECE * 4096, None)


def test_slow_reader_holds_the_server_back(talk):
    sent = []

    def handle(client):
        receive_request(client)
        for _ in range(2_000):
            send_audio(client, PIECE * 20)
            sent.append(1)
        end_session(client)

    server, backend = talk(handle)
    stream = backend.synthesize(HELLO)
    tracemalloc.start()
    try:
        chunks = iter(stream)
        got = len(next(chunks))
        connection = server.client()._connection.socket
        deadline = time.monotonic() + WAIT
        while select.select([], [connection], [], 0)[1]:
            assert time.monotonic() < deadline, "the server was never held back"
        assert len(sent) < 1_500
        got += sum(len(data) for data in chunks)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got == 2_000 * 20 * len(PIECE)
    assert peak < 20_000_000  # includes the server's memory


# Errors.


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (401, AuthenticationError, "refuses the key (401): no such key"),
        (403, AuthenticationError, "forbids the request (403): no such key"),
        (429, RateLimitError, "too many requests"),
        (404, ServerError, "has no such WebSocket (404)"),
        (200, ServerError, "has no such WebSocket (200)"),
        (426, ServerError, "has no such WebSocket (426)"),
        (500, ServerError, "failed (500): no such key"),
        (503, ServerError, "failed (503)"),
    ],
)
def test_refused_upgrade_is_an_error(talk, status, kind, message):
    refusal = (status, {"Retry-After": "7"}, b'{"error": {"message": "no such key\\u001b[31m"}}')
    _, backend = talk(speak, refusal=refusal)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert type(error) is kind
    assert message in error.message
    assert error.message.isprintable()
    if status == 429:
        assert error.hint == "try again in 7 s"


def test_refused_upgrade_with_a_repeated_header(talk):
    _, backend = talk(speak, refusal=(429, Headers([("Retry-After", "7"), ("Retry-After", "8")]), b""))
    _, error = collect(backend.synthesize(HELLO))
    assert type(error) is RateLimitError
    assert error.hint == "try again in 8 s"


def test_body_of_a_refused_upgrade_has_a_limit(talk):
    _, backend = talk(speak, refusal=(401, {}, bytes(2**24)))
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, ServerError)
    assert "exceeds a limit: body too large" in error.message


def test_html_error_page_is_not_quoted(talk):
    _, backend = talk(speak, refusal=(502, {"Content-Type": "text/html"}, b"<html><h1>Bad gateway</h1></html>"))
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, ServerError)
    assert "html" not in error.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_redirects_are_not_followed(talk, name, status, host):
    elsewhere, _ = talk(speak)
    location = f"ws://{host}:{elsewhere.port}{PATHS[name]}"
    _, backend = talk(speak, refusal=(status, {"Location": location}, b""), options={"api_key": "sk-1"})
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, ServerError)
    assert error.message.endswith(f" redirects to ws://{host}:{elsewhere.port}")
    assert not elsewhere.requests


CLOSES = [
    (1001, ServerError, "is going away (1001)"),
    (1008, ServerError, "rejects the request (1008): because"),
    (1009, ServerError, "rejects the message as too large (1009): because"),
    (1011, ServerError, "failed (1011): because"),
    (1012, ServerError, "restarts (1012)"),
    (1013, RateLimitError, "is busy (1013): because"),
    (3000, AuthenticationError, "refuses the key (3000): because"),
    (4321, ServerError, "closed the connection (4321): because"),
]


@pytest.mark.parametrize(("code", "kind", "message"), CLOSES)
def test_close_before_audio_is_an_error(talk, code, kind, message):
    def handle(client):
        receive_request(client)
        client.close(code, "because")

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert type(error) is kind
    assert message in error.message


@pytest.mark.parametrize("code", [code for code, _, _ in CLOSES])
def test_close_within_the_audio_is_truncation(talk, code):
    def handle(client):
        receive_request(client)
        send_audio(client)
        client.close(code, "because")

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == PIECE
    assert isinstance(error, TruncatedAudio)
    assert f"after {len(PIECE)} bytes" in error.message
    assert f"({code})" in error.message


def test_connection_broken_before_audio_is_a_network_error(talk):
    def handle(client):
        receive_request(client)
        client.cut()

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert isinstance(error, NetworkError)
    assert "closed the connection without a response" in error.message


def test_connection_broken_within_the_audio_is_truncation(talk):
    reading = threading.Event()

    def handle(client):
        receive_request(client)
        send_audio(client)
        happened(reading)
        client.cut()

    _, backend = talk(handle)
    chunks = iter(backend.synthesize(HELLO))
    assert next(chunks) == PIECE
    reading.set()
    sound, error = collect(chunks)
    assert sound == b""
    assert isinstance(error, TruncatedAudio)
    assert f"broke after {len(PIECE)} bytes" in error.message


def test_timeout_before_audio_is_a_network_error(talk):
    def handle(client):
        receive_request(client)
        client.wait_until_gone()

    _, backend = talk(handle, options={"timeout": 0.2})
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, NetworkError)
    assert "did not answer within 0.2 s" in error.message


def test_timeout_within_the_audio_is_truncation(talk):
    def handle(client):
        receive_request(client)
        send_audio(client)
        client.wait_until_gone()

    _, backend = talk(handle, options={"timeout": 0.2})
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == PIECE
    assert isinstance(error, TruncatedAudio)
    assert "sent nothing more for 0.2 s" in error.message


@pytest.mark.parametrize(
    "message", ["nonsense", "[1]", '{"type": "audio", "audio": "§"}', '{"type": "audio.chunk", "audio_b64": 5}']
)
def test_invalid_message_is_ignored_or_a_server_error(talk, name, message):
    def handle(client):
        receive_request(client)
        client.send(message)
        send_audio(client)
        end_session(client)

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(HELLO))
    if name == "vibevoice-ws" or error is None:
        assert (sound, error) == (PIECE, None)
    else:
        assert isinstance(error, ServerError)
        assert "sent an invalid message" in error.message


@pytest.mark.parametrize("frame", [b"\x83\x00", b"\x81\x02\xff\xfe", b"\x82\x7f" + (1 << 40).to_bytes(8, "big")])
def test_invalid_frame_is_a_server_error(talk, frame):
    def handle(client):
        receive_request(client)
        client._connection.socket.sendall(frame)
        client.wait_until_gone()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, ServerError)
    assert "violates the WebSocket protocol" in error.message


# Unreachable servers.


def test_refused_connection_is_a_network_error(name):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        backend = open_backend(name, base_url=f"ws://127.0.0.1:{unused.getsockname()[1]}")
        _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, NetworkError)
    assert "refused the connection" in error.message


def test_unknown_host_name_is_a_network_error(name):
    backend = open_backend(name, base_url="ws://no-such-host.invalid")
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, NetworkError)
    assert "cannot resolve no-such-host.invalid" in error.message


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (b"220 ftp.example.org ready\r\n\r\n", ServerError, "does not speak HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n", ServerError, "does not speak HTTP"),
        (b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", ServerError, "does not speak WebSocket"),
        (b"", NetworkError, "closed the connection without a response"),
    ],
)
def test_server_without_websocket_support_is_an_error(name, answer, kind, message):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        served = in_thread(serve)
        backend = open_backend(name, base_url=f"ws://127.0.0.1:{listener.getsockname()[1]}")
        _, error = collect(backend.synthesize(HELLO))
        served()
    assert type(error) is kind
    assert message in error.message


@pytest.fixture
def silent_server():
    """Yield a listener that accepts connections and sends nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_a_program_that_was_stopped_does_not_take_that_for_silence(talk, name, monkeypatch):
    clock = JumpingClock()
    monkeypatch.setattr("voice_cli.backends.remote.ws_link.time", clock)
    asked, goes_on = threading.Event(), threading.Event()

    def handle(client):
        receive_request(client)
        asked.set()
        happened(goes_on)
        send_audio(client)
        end_session(client)

    _, backend = talk(handle, options={"timeout": 0.3})
    stream = backend.synthesize(HELLO)
    happened(asked)
    began = time.monotonic()
    clock.ahead = 1000.0
    wait_until(lambda: stream._link._active_at > began + 500 or stream._link.ended_at, "the jump is not noticed")
    goes_on.set()
    assert collect(stream) == (PIECE, None)


def test_silent_server_times_out(name, silent_server):
    backend = open_backend(name, base_url=f"ws://127.0.0.1:{silent_server.getsockname()[1]}", timeout=0.2)
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, NetworkError)
    assert "within 0.2 s" in error.message


# Proxies.


class Proxy:
    """An HTTP proxy that opens one tunnel or refuses it."""

    def __init__(self, status):
        self.asked = b""
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.served = in_thread(self._serve)

    def _serve(self):
        with self._listener, self._listener.accept()[0] as client:
            while not self.asked.endswith(b"\r\n\r\n"):
                self.asked += client.recv(1)
            client.sendall(b"HTTP/1.1 %d Well\r\n\r\n" % self._status)
            if self._status != 200:
                return
            host, _, port = self.asked.split()[1].decode().partition(":")
            with socket.create_connection((host, int(port))) as server:
                back = in_thread(lambda: self._pipe(server, client))
                self._pipe(client, server)
                back()

    def _pipe(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("variable", ["https_proxy", "http_proxy"])
def test_proxy_from_the_environment_is_used(talk, monkeypatch, variable):
    server, backend = talk(speak, options={"api_key": "sk-1"})
    proxy = Proxy(200)
    monkeypatch.setenv(variable, proxy.url)
    assert collect(backend.synthesize(HELLO)) == (PIECE * 3, None)
    backend.close()
    proxy.served()
    assert proxy.asked.startswith(b"CONNECT 127.0.0.1:%d " % server.port)
    assert b"sk-1" not in proxy.asked


def test_refusing_proxy_is_a_network_error(talk, monkeypatch):
    _, backend = talk(speak)
    proxy = Proxy(407)
    monkeypatch.setenv("https_proxy", proxy.url)
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, NetworkError)
    assert "the proxy on the way to 127.0.0.1" in error.message
    proxy.served()


# TLS.


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("scheme", ["wss", "https"])
def test_tls_trusts_certificates_from_the_environment(name, tls, monkeypatch, scheme):
    context, path = tls
    monkeypatch.setenv("SSL_CERT_FILE", path)
    with WsServer(speak, tls=context) as server:
        backend = open_backend(name, base_url=f"{scheme}://localhost:{server.port}")
        assert collect(backend.synthesize(HELLO)) == (PIECE * 3, None)
        backend.close()


def test_tls_refuses_unknown_certificates(name, tls):
    context, _ = tls
    with WsServer(speak, tls=context) as server:
        backend = open_backend(name, base_url=f"wss://localhost:{server.port}")
        _, error = collect(backend.synthesize(HELLO))
        backend.close()
    assert isinstance(error, NetworkError)
    assert "no secure connection to localhost" in error.message


def test_missing_certificate_bundle_is_a_network_error(name, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/bundle.pem")
    backend = open_backend(name, base_url="wss://localhost:1")
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, NetworkError)
    assert "no secure connection" in error.message


# Cancellation.


def send_and_wait(client):
    """Send audio, then wait until the client disconnects."""
    receive_request(client)
    send_audio(client)
    client.wait_until_gone()


def send_and_stop_reading(client):
    """Send audio, then stop reading from the client."""
    receive_request(client)
    send_audio(client)
    client.let_go = threading.Event()
    client.let_go.wait(WAIT)


def test_cancel_interrupts_a_wait_and_closes_the_connection(talk):
    server, backend = talk(send_and_wait)
    stream = backend.synthesize(HELLO)
    chunks = iter(stream)
    next(chunks)
    ended = in_thread(lambda: next(chunks))
    stream.cancel()
    assert isinstance(ended(), Interrupted)
    happened(server.client().left)
    assert server.client().code in (1000, 1005, 1006)
    stream.cancel()


def test_connection_closes_even_if_the_server_does_not_read(talk):
    server, backend = talk(send_and_stop_reading)
    stream = backend.synthesize(HELLO)
    chunks = iter(stream)
    next(chunks)
    stream.cancel()
    backend.close()
    connection = server.client()._connection
    connection.recv_events_thread.join(WAIT)
    assert not connection.recv_events_thread.is_alive()
    server.client().let_go.set()


def test_cancel_before_iteration_raises_interrupted(talk):
    server, backend = talk(send_and_wait)
    stream = backend.synthesize(HELLO)
    server.client()
    stream.cancel()
    assert isinstance(collect(stream)[1], Interrupted)
    happened(server.client().left)


def test_closed_iterator_closes_the_connection(talk):
    server, backend = talk(send_and_wait)
    chunks = iter(backend.synthesize(HELLO))
    next(chunks)
    chunks.close()
    happened(server.client().left)


def test_cancel_during_the_websocket_handshake(name, silent_server):
    backend = open_backend(name, base_url=f"ws://127.0.0.1:{silent_server.getsockname()[1]}")
    stream = backend.synthesize(HELLO)
    ended = in_thread(lambda: collect(stream))
    connection, _ = silent_server.accept()
    with connection:
        connection.settimeout(WAIT)
        asked = connection.recv(4096)
        assert asked.startswith(b"GET ")
        stream.cancel()
        assert isinstance(ended()[1], Interrupted)
        while connection.recv(4096):
            pass


def test_closing_the_backend_interrupts_its_streams(talk):
    server, backend = talk(send_and_wait)
    stream = backend.synthesize(HELLO)
    chunks = iter(stream)
    next(chunks)
    backend.close()
    assert isinstance(collect(chunks)[1], Interrupted)
    happened(server.client().left)


def test_cancel_after_the_end_has_no_effect(talk):
    _, backend = talk(speak)
    stream = backend.synthesize(HELLO)
    chunks = iter(stream)
    sound = b"".join(chunks)
    stream.cancel()
    assert sound == PIECE * 3


@pytest.mark.parametrize("ending", ["read", "cancelled", "refused"])
def test_requests_leave_no_open_files_and_no_threads(talk, ending):
    _, backend = talk(speak, refusal=(500, {}, b"") if ending == "refused" else None)

    def ask():
        stream = backend.synthesize(HELLO)
        if ending == "cancelled":
            stream.cancel()
        collect(stream)

    ask()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(50):
        ask()
    backend.close()
    ours = [one for one in threading.enumerate() if one.name.startswith("voice-websocket")]
    for thread in ours:
        thread.join(WAIT)
    gc.collect()
    # The server may not have closed its side of a connection yet.
    assert len(os.listdir("/proc/self/fd")) <= before + 20
    assert not [one for one in ours if one.is_alive()]


def test_nothing_is_printed(talk, capfd):
    def handle(client):
        receive_request(client)
        send_audio(client)
        client.send(b"\xff" * 10)
        client.cut()

    _, backend = talk(handle)
    collect(backend.synthesize(HELLO))
    backend.close()
    assert capfd.readouterr() == ("", "")
