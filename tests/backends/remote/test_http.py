"""The libcurl backend on real sockets: behaviour and failures that it does not share with the SDK's.

Shared behaviour is tested in test_openai_servers.
"""

import gc
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.environment import cleaned
from support.server import Answer, SpeechServer
from support.threads import WAIT, happened, in_thread
from support.tls import certificate as certificate_in
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.http import HttpBackend
from voice_cli.errors import (
    AuthenticationError,
    ConfigError,
    Interrupted,
    NetworkError,
    RateLimitError,
    ServerError,
    TruncatedAudio,
    VoiceError,
)
from voice_cli.protocol import openai

HELLO = SpeechRequest("Hello")
BODY = bytes(range(256)) * 40
CANCEL_SECONDS = 0.1


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


@pytest.fixture
def talk():
    """Start a server with an answer and return it with a backend."""
    opened = []

    def start(answer, **options):
        server = SpeechServer(answer)
        backend = HttpBackend(options.pop("base_url", server.url), **options)
        opened.extend((backend, server))
        return server, backend

    yield start
    for one in opened:
        one.close()


def body_of(stream):
    return b"".join(stream)


# The request.


def test_request_headers(talk):
    server, backend = talk(Answer(b"xx"))
    body_of(backend.synthesize(HELLO))
    (got,) = server.requests
    assert got.headers["user-agent"].startswith("voice/")
    assert "expect" not in got.headers
    assert "authorization" not in got.headers


def test_long_text_and_lone_surrogates_are_sent(talk):
    server, backend = talk(Answer(b"xx"))
    body_of(backend.synthesize(SpeechRequest("word " * 50_000)))
    body_of(backend.synthesize(SpeechRequest("half a \ud83d face")))
    assert server.requests[0].json["input"] == "word " * 50_000
    assert server.requests[1].json["input"] == "half a ? face"


def test_request_is_sent_when_the_stream_is_created(talk):
    asked = threading.Event()

    def respond(_request):
        asked.set()
        return Answer(b"xx")

    _, backend = talk(respond)
    stream = backend.synthesize(HELLO)
    happened(asked)
    assert body_of(stream) == b"xx"


@pytest.mark.parametrize("tail", ["", "/", "//"])
def test_trailing_slashes_in_the_address_are_ignored(talk, tail):
    server, _ = talk(Answer(b"xx"))
    backend = HttpBackend(server.url + tail)
    body_of(backend.synthesize(HELLO))
    backend.close()
    assert server.requests[0].path == "/v1/audio/speech"


# The response.


def test_timestamps_are_in_order(talk):
    _, backend = talk(Answer(BODY, first_byte=0.05, chunk=1000))
    before = time.monotonic()
    stream = backend.synthesize(HELLO)
    body_of(stream)
    names = ["resolved", "connected", "request_sent", "first_byte", "last_byte"]
    times = [stream.timestamps[name] for name in names]
    assert times == sorted(times)
    assert before <= times[0]
    assert times[-1] <= time.monotonic()
    assert stream.timestamps["first_byte"] - stream.timestamps["request_sent"] >= 0.045
    assert "tls" not in stream.timestamps


def test_request_sent_precedes_the_response_on_a_reused_connection(talk):
    _, backend = talk(Answer(BODY, first_byte=0.02))
    body_of(backend.synthesize(HELLO))
    stream = backend.synthesize(HELLO)
    body_of(stream)
    assert stream.timestamps["request_sent"] <= stream.timestamps["first_byte"] - 0.015


def test_connection_is_reused(talk):
    server, backend = talk(lambda request: Answer(b'["a"]' if request.method == "GET" else BODY))
    for _ in range(2):
        assert body_of(backend.synthesize(HELLO)) == BODY
    backend.voices()
    assert body_of(backend.synthesize(HELLO)) == BODY
    assert server.connections == 1


def wait_until_prepared():
    for thread in threading.enumerate():
        if thread.name == "voice-connecting":
            thread.join(10)
            assert not thread.is_alive()


def test_prepared_connection_is_used_by_the_request(talk):
    server, backend = talk(Answer(BODY))
    backend.prepare()
    wait_until_prepared()
    assert server.visited.is_set()
    assert body_of(backend.synthesize(HELLO)) == BODY
    assert server.connections == 1
    assert len(server.requests) == 1


def test_unreachable_server_is_reported_by_the_request(talk):
    server, backend = talk(Answer(BODY))
    server.close()
    backend.prepare()
    wait_until_prepared()
    with pytest.raises(NetworkError):
        body_of(backend.synthesize(HELLO))


def test_closing_the_backend_interrupts_a_waiting_reader(talk):
    _, backend = talk(Answer(BODY, stall_after=len(BODY) // 2))
    chunks = iter(backend.synthesize(HELLO))
    next(chunks)
    reading = in_thread(lambda: list(chunks))
    backend.close()
    assert isinstance(reading(), Interrupted)


def test_closing_the_backend_before_a_read_interrupts_it(talk, monkeypatch):
    _, backend = talk(Answer(BODY, stall_after=len(BODY) // 2))
    stream = backend.synthesize(HELLO)
    transfers = backend._transfers
    perform = transfers.perform
    monkeypatch.setattr(transfers, "perform", lambda: (backend.close(), perform()))
    with pytest.raises(Interrupted):
        body_of(stream)


def test_backend_can_be_closed_during_prepare(talk):
    server, backend = talk(Answer(BODY))
    for _ in range(20):
        HttpBackend(server.url).prepare()
    backend.prepare()
    backend.close()
    wait_until_prepared()


def test_closed_keep_alive_connection_is_reopened(talk):
    server, backend = talk(Answer(BODY, close_delimited=True))
    for _ in range(3):
        assert body_of(backend.synthesize(HELLO)) == BODY
    assert server.connections == 3


# Failures.


def test_huge_error_body_is_not_kept_in_memory(talk):
    _, backend = talk(Answer(b"no " * 3_000_000, "text/plain", status=500, chunk=65536))
    tracemalloc.start()
    try:
        with pytest.raises(ServerError) as caught:
            body_of(backend.synthesize(HELLO))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(caught.value.message) < 400
    assert peak < 3_000_000


def test_error_status_with_a_truncated_body_is_reported(talk):
    _, backend = talk(Answer(b'{"error": "no credit is left"}', status=402, die_after=30, chunked=False))
    with pytest.raises(RateLimitError, match="no credit is left"):
        body_of(backend.synthesize(HELLO))


@pytest.mark.parametrize("chunked", [True, False])
def test_connection_broken_before_the_first_byte_is_a_network_error(talk, chunked):
    _, backend = talk(Answer(BODY, die_after=0, chunked=chunked))
    with pytest.raises(NetworkError, match="without a response"):
        body_of(backend.synthesize(HELLO))


def test_timeout_before_the_first_byte(talk):
    server, backend = talk(Answer(BODY, first_byte=60), timeout=0.2)
    with pytest.raises(NetworkError, match=r"did not answer within 0\.2 s"):
        body_of(backend.synthesize(HELLO))
    happened(server.client_left)


def test_timeout_within_the_body(talk):
    server, backend = talk(Answer(BODY, stall_after=1000), timeout=0.2)
    with pytest.raises(TruncatedAudio, match=r"nothing more for 0\.2 s, after 1000 bytes"):
        body_of(backend.synthesize(HELLO))
    happened(server.client_left)


def test_pauses_of_the_reader_do_not_time_out(talk):
    """The ring buffer stays full for longer than the timeout."""
    _, backend = talk(Answer(BODY, chunk=1000, byte_rate=50_000), timeout=0.1)
    got = b""
    for data in backend.synthesize(HELLO):
        got += data
        if len(got) == len(data):
            time.sleep(0.15)  # longer than the timeout
    assert got == BODY


def test_refused_connection():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    backend = HttpBackend(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(NetworkError, match=f"127.0.0.1:{port} refused the connection"):
        body_of(backend.synthesize(HELLO))
    backend.close()


def not_http():
    """Answer a request as a mail server would, and return the error."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 mail.example ESMTP ready\r\n")

        served = in_thread(answer)
        backend = HttpBackend(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")
        with pytest.raises(VoiceError) as caught:
            body_of(backend.synthesize(HELLO))
        backend.close()
        served()
        return caught.value


def test_response_that_is_not_http_is_an_error():
    assert "HTTP" in not_http().message


@pytest.fixture
def unresponsive():
    """Return the address of a listener with a full backlog: connecting to it blocks."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        callers = []
        for _ in range(3):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
            callers.append(caller)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for caller in callers:
            caller.close()


def test_connection_timeout(unresponsive):
    backend = HttpBackend(unresponsive, timeout=0.2)
    with pytest.raises(NetworkError, match=r"within 0\.2 s"):
        body_of(backend.synthesize(HELLO))
    backend.close()


@pytest.mark.parametrize("url", ["", "localhost:8880/v1", "ftp://localhost/v1", "file:///etc/passwd", "http:/x"])
def test_invalid_base_url_is_a_config_error(url):
    with pytest.raises(ConfigError, match="base_url"):
        HttpBackend(url)


@pytest.mark.parametrize("url", ["http://", "http://:80:80/v1", "http://host:99999999/v1", "http://a b/v1"])
def test_address_that_curl_cannot_parse_is_an_error(url):
    def ask():
        backend = HttpBackend(url, timeout=0.5)
        try:
            body_of(backend.synthesize(HELLO))
        finally:
            backend.close()

    with pytest.raises((ConfigError, NetworkError)):
        ask()


@settings(max_examples=40)
@given(st.binary(max_size=300))
def test_any_response_is_a_body_or_a_voice_error(answer):
    """Random bytes instead of a response's status line, headers and body."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 " + answer)

        served = in_thread(serve)
        backend = HttpBackend(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", timeout=2)
        try:
            body_of(backend.synthesize(HELLO))
        except VoiceError:
            pass
        finally:
            backend.close()
        served()


# Cancellation and abandoned streams.


def test_cancel_interrupts_a_pending_connection_at_once(unresponsive):
    times = []
    for _ in range(3):  # best of three: other processes may delay this one
        backend = HttpBackend(unresponsive)
        stream = backend.synthesize(HELLO)
        result = in_thread(lambda stream=stream: list(stream))
        began = time.monotonic()
        stream.cancel()
        assert isinstance(result(), Interrupted)
        times.append(time.monotonic() - began)
        backend.close()
        if times[-1] < CANCEL_SECONDS:
            break
    assert min(times) < CANCEL_SECONDS


def test_cancel_before_iteration_closes_the_connection(talk):
    server, backend = talk(Answer(BODY, first_byte=60))
    stream = backend.synthesize(HELLO)
    stream.cancel()
    stream.cancel()
    with pytest.raises(Interrupted):
        next(iter(stream))
    happened(server.client_left)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system does not list open files")
@pytest.mark.parametrize("ending", ["read", "abandoned", "cancelled", "refused"])
def test_hundred_requests_leave_no_open_files(talk, ending):
    _, backend = talk(Answer(BODY, chunk=1000, status=500 if ending == "refused" else 200))

    def ask():
        stream = backend.synthesize(HELLO)
        chunks = iter(stream)
        try:
            if ending != "cancelled":
                next(chunks)
            if ending == "read":
                list(chunks)
            if ending == "cancelled":
                stream.cancel()
                next(chunks)
        except (Interrupted, ServerError):
            pass
        chunks.close()

    ask()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        ask()
    # The server may not have closed its side of a connection yet.
    assert len(os.listdir("/proc/self/fd")) <= before + 20


def test_slow_reader_holds_the_server_back(talk):
    size = 100_000_000
    server, backend = talk(Answer(bytes(size), chunk=1 << 18, chunked=False))
    stream = backend.synthesize(HELLO)
    tracemalloc.start()
    try:
        chunks = iter(stream)
        got = len(next(chunks))
        deadline = time.monotonic() + WAIT
        (connection,) = server._open
        while select.select([], [connection], [], 0)[1] or server.sent == 0:
            assert time.monotonic() < deadline, "the server was never held back"
        assert server.sent < 20_000_000
        for data in chunks:
            got += len(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert got == size
    assert peak < 8_000_000


# Voices.


@pytest.mark.parametrize(
    ("body", "voices"),
    [
        ('{"voices": ["af_bella", "am_adam"]}', [("af_bella", "", ""), ("am_adam", "", "")]),
        ('{"voices": [{"id": "af_bella", "name": "Bella"}]}', [("af_bella", "Bella", "")]),
        ('{"data": [{"id": "x", "name": "X", "language": "de"}]}', [("x", "X", "de")]),
        ('[{"voice_id": "v1"}, "v2", {"name": "v3"}, 4]', [("v1", "", ""), ("v2", "", ""), ("v3", "v3", "")]),
        ('{"voices": []}', []),
    ],
)
def test_voices_in_each_shape(talk, body, voices):
    server, backend = talk(Answer(body.encode(), "application/json"), api_key="sk-1")
    assert [(voice.id, voice.name, voice.language) for voice in backend.voices()] == voices
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/v1/audio/voices")
    assert request.headers["authorization"] == "Bearer sk-1"


def test_the_key_may_have_a_header_of_its_own(talk):
    server, backend = talk(Answer(b'{"voices": []}', "application/json"), api_key="sk-1", api_key_header="api-key")
    backend.voices()
    (request,) = server.requests
    assert request.headers["api-key"] == "sk-1"
    assert "authorization" not in request.headers


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"models": []}', b"42", b"\xff\xfe", b"[" * 100_000])
def test_invalid_voice_list_is_an_error(talk, body):
    _, backend = talk(Answer(body, "application/json"))
    with pytest.raises(ServerError, match="does not list its voices"):
        backend.voices()


def test_server_without_a_voice_list_is_an_error(talk):
    _, backend = talk(Answer(b'{"detail": "Not Found"}', status=404))
    with pytest.raises(ServerError, match="Not Found"):
        backend.voices()


def test_openai_voices_need_no_network():
    backend = HttpBackend()
    assert [voice.id for voice in backend.voices()] == list(openai.VOICES)
    backend.close()


# Secrets.

WITH_CREDENTIALS = ["refused", "broken", "silent", "unreachable", "voices"]


@pytest.mark.parametrize("failure", WITH_CREDENTIALS)
def test_credentials_in_the_address_are_used_and_not_shown(talk, failure):
    answers = {
        "refused": Answer(b"{}", status=401),
        "broken": Answer(BODY, die_after=100),
        "silent": Answer(BODY, first_byte=60),
        "voices": Answer(b"{}", status=404),
    }
    server, _ = talk(answers.get(failure, Answer(BODY)))
    if failure == "unreachable":
        server.close()
    backend = HttpBackend(f"http://me:topsecret@127.0.0.1:{server.port}/v1", timeout=0.3)
    assert backend.where == f"127.0.0.1:{server.port}"
    with pytest.raises(VoiceError) as caught:
        backend.voices() if failure == "voices" else body_of(backend.synthesize(HELLO))
    backend.close()
    assert "topsecret" not in f"{caught.value.message} {caught.value.hint}"
    if failure != "unreachable":
        assert server.requests[0].headers["authorization"].startswith("Basic ")


# Proxies and TLS.


def test_proxy_from_the_environment_is_used(talk, monkeypatch):
    proxy, _ = talk(Answer(BODY))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    backend = HttpBackend("http://tts.invalid/v1", api_key="sk-1")
    assert body_of(backend.synthesize(HELLO)) == BODY
    backend.close()
    (request,) = proxy.requests
    assert request.path == "http://tts.invalid/v1/audio/speech"


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*"])
def test_no_proxy_hosts_are_reached_directly(talk, monkeypatch, exempt):
    server, backend = talk(Answer(BODY))
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    monkeypatch.setenv("no_proxy", exempt)
    assert body_of(backend.synthesize(HELLO)) == BODY
    assert len(server.requests) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    ("proxy", "problem"),
    [
        ("http://user:secret@proxy.invalid:3128", r"proxy.invalid:3128 (${}) cannot be resolved"),
        ("127.0.0.1:1", r"127.0.0.1:1 (${}) refused the connection"),
    ],
)
def test_broken_proxy_is_named(monkeypatch, scheme, proxy, problem):
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    backend = HttpBackend(f"{scheme}://tts.invalid/v1", timeout=2)
    with pytest.raises(NetworkError, match=re.escape(f"the proxy {problem.format(f'{scheme}_proxy')}")) as caught:
        body_of(backend.synthesize(HELLO))
    backend.close()
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("status", [407, 403])
def test_refusing_proxy_is_named(talk, monkeypatch, scheme, status):
    proxy, _ = talk(Answer(b"no", status=status, headers={"Proxy-Authenticate": "Basic"}))
    monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{proxy.port}")
    backend = HttpBackend(f"{scheme}://tts.invalid/v1", timeout=2)
    with pytest.raises(VoiceError) as caught:
        body_of(backend.synthesize(HELLO))
    backend.close()
    assert str(status) in caught.value.message
    if status == 407 or scheme == "https":  # plain requests get their 403 from the server
        assert f"the proxy 127.0.0.1:{proxy.port} ($all_proxy)" in caught.value.message
        assert isinstance(caught.value, NetworkError)


def test_tls_through_a_proxy_hides_the_key(talk, monkeypatch):
    proxy, _ = talk(Answer(b"blocked by policy", status=403))
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.port}")
    backend = HttpBackend("https://tts.invalid/v1", api_key="sk-topsecret", timeout=2)
    with pytest.raises((NetworkError, AuthenticationError)):
        body_of(backend.synthesize(HELLO))
    backend.close()
    (request,) = proxy.requests
    assert request.method == "CONNECT"
    assert "sk-topsecret" not in str(request)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "CURL_CA_BUNDLE"])
def test_tls_trusts_certificates_from_the_environment(certificate, monkeypatch, variable):
    context, path = certificate
    monkeypatch.setenv(variable, path)
    with SpeechServer(Answer(BODY), tls=context) as server:
        backend = HttpBackend(f"https://localhost:{server.port}/v1")
        stream = backend.synthesize(HELLO)
        assert body_of(stream) == BODY
        backend.close()
    timestamps = stream.timestamps
    assert timestamps["connected"] <= timestamps["tls"] <= timestamps["request_sent"] <= timestamps["first_byte"]


def test_tls_refuses_unknown_certificates(certificate):
    context, _ = certificate
    with SpeechServer(Answer(BODY), tls=context) as server:
        backend = HttpBackend(f"https://localhost:{server.port}/v1", api_key="sk-topsecret")
        with pytest.raises(NetworkError, match="no secure connection to localhost"):
            body_of(backend.synthesize(HELLO))
        backend.close()
        assert server.requests == []


def test_missing_certificate_bundle_is_a_network_error(monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")
    backend = HttpBackend("https://127.0.0.1:9/v1", timeout=2)
    with pytest.raises(NetworkError):
        body_of(backend.synthesize(HELLO))
    backend.close()


def test_no_slow_modules_are_imported():
    program = (
        "import sys, voice_cli.backends.remote.http\n"
        "heavy = {'openai', 'httpx', 'requests', 'urllib3', 'numpy', 'av', 'asyncio', 'rich', 'typer'}\n"
        "print(*heavy & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_response_that_is_not_http_is_not_a_config_error():
    assert isinstance(not_http(), NetworkError | ServerError)


@pytest.mark.parametrize("url", ["ftp://me:topsecret@host/v1", "me:topsecret@host:8880/v1"])
def test_credentials_in_a_refused_address_are_not_shown(url):
    with pytest.raises(ConfigError) as caught:
        HttpBackend(url)
    assert "topsecret" not in caught.value.message


def test_error_status_with_a_stalled_body_is_reported(talk):
    _, backend = talk(Answer(b'{"error": "bad key"}' + bytes(9999), status=401, stall_after=20), timeout=0.2)
    with pytest.raises(AuthenticationError, match="bad key"):
        body_of(backend.synthesize(HELLO))


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="this system does not list open files")
def test_cancelled_unread_stream_closes_its_connection(talk):
    server, backend = talk(Answer(BODY, first_byte=60))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        backend.synthesize(HELLO).cancel()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) < before + 20
    assert server.client_left.wait(1)
