"""Checks of every request (keys, host names, origins, body size, timeouts), and the access log."""

import json
import logging
import re
import socket
from contextlib import ExitStack, contextmanager, suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from support.speech_app import SpeechApp, SteppedEngine
from support.threads import WAIT, wait_until
from voice_cli.server import guard
from voice_cli.server.guard import host_name, is_key
from voice_cli.server.settings import Server, ServerSettings

KEYS = ("sk-one", "sk-two")
SPEECH = {"input": "Hi.", "response_format": "pcm"}


@pytest.fixture(scope="module")
def open_app():
    """A server without a key."""
    with SpeechApp(SteppedEngine()) as app:
        yield app


@pytest.fixture(scope="module")
def locked_app():
    """A server with keys."""
    with SpeechApp(SteppedEngine(), keys=KEYS) as app:
        yield app


@pytest.fixture(scope="module")
def app_with():
    """Return a function that starts a server with allowed origins."""
    with ExitStack() as apps:
        yield cache(lambda cors: apps.enter_context(SpeechApp(SteppedEngine(), cors=cors)))


@contextmanager
def raw(app, request):
    """Send raw bytes; return the socket."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=WAIT) as sock:
        sock.sendall(request)
        yield sock


def answer_to(app, request):
    """Send raw bytes, and read until the server closes or the response is complete."""
    with raw(app, request) as sock:
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while piece := sock.recv(65536):
            data += piece
    return data


def handshake(app, path="/ws/synthesize", **options):
    """Try to open a WebSocket; return the status of the refusal, or 101."""
    try:
        with app.connect(path, **options):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


# Keys.


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=4))
def test_a_key_is_one_of_the_keys(given_key, keys):
    assert is_key(given_key, keys) == (given_key in keys)
    for key in keys:
        assert is_key(key, keys)


def test_keys_are_compared_in_constant_time(monkeypatch):
    """Every key is compared with `compare_digest`, even after a match."""
    compared = []
    compare = guard.hmac.compare_digest
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or compare(a, b))
    for key in ("a", "b", "c", "d"):
        compared.clear()
        is_key(key, ("a", "b", "c"))
        assert compared == [(key.encode(), one.encode()) for one in ("a", "b", "c")]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "header",
    [("authorization", "Bearer {}"), ("Authorization", "bearer   {} "), ("X-API-Key", "{}")],
    ids=lambda header: header[1],
)
def test_a_valid_key_is_accepted(locked_app, key, header):
    name, value = header
    answer = locked_app.request("POST", "/v1/audio/speech", SPEECH, **{name: value.format(key)})
    assert answer.status == 200
    with locked_app.connect("/ws/synthesize", key=key) as socket:
        socket.send(json.dumps({"text": "Hi.", "voice_id": "alice"}))
        assert json.loads(socket.recv(WAIT))["chunk_index"] == 0


def test_a_websocket_may_have_its_key_in_the_query(locked_app):
    assert handshake(locked_app, "/ws/synthesize?api_key=sk-one") == 101
    assert handshake(locked_app, "/ws/synthesize?x=1&api_key=sk-no") == 401
    assert handshake(locked_app, "/ws/synthesize") == 401
    assert locked_app.request("GET", "/v1/models?api_key=sk-one").status == 401, (
        "the key would appear in logs and histories"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer sk-no"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "Basic sk-one"},
        {"authorization": "sk-one"},
        {"authorization": "Bearer sk-on\xe9"},
        {"x-api-key": ""},
        {"x-api-key": "sk-one, sk-two"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/models", "/metrics", "/openapi.json", "/nowhere"])
def test_requests_without_a_valid_key_are_refused(locked_app, headers, path):
    answer = locked_app.request("POST" if path == "/v1/audio/speech" else "GET", path, **headers)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    error = answer.json["error"]
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", "invalid_api_key", None)
    assert not any(key in answer.body.decode() for key in KEYS)


def test_health_needs_no_key(locked_app):
    assert locked_app.request("GET", "/health").json["status"] == "healthy"


# Host names and origins.


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LOCALHOST:8880", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:8880", "::1"),
        ("[::1]", "::1"),
        ("evil.example:8880", "evil.example"),
        ("127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("", ""),
        ("[", ""),
    ],
)
def test_the_host_name_is_read_from_the_header(host, name):
    assert host_name(host) == name


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.:80", ""])
def test_a_foreign_host_name_is_refused(open_app, host):
    """DNS rebinding: a page's name resolves to this machine."""
    host = host.format(port=open_app.port)
    answer = open_app.request("GET", "/v1/models", Host=host)
    assert (answer.status, answer.json["error"]["code"]) == (421, "wrong_host")
    assert answer_to(open_app, b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 421 ")
    request = f"GET /ws/synthesize HTTP/1.1\r\nHost: {host}\r\n".encode()
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    assert answer_to(open_app, request + upgrade + key).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("host", ["localhost", "localhost:{port}", "[::1]:{port}", "127.0.0.1"])
def test_the_servers_own_host_names_are_accepted(open_app, host):
    assert open_app.request("GET", "/v1/models", Host=host.format(port=open_app.port)).status == 200


def test_with_a_key_any_host_name_is_accepted(locked_app):
    assert locked_app.request("GET", "/v1/models", key=KEYS[0], Host="voice.example.org").status == 200


def test_an_insecure_server_accepts_any_host_name():
    with SpeechApp(SteppedEngine(), settings=ServerSettings(Server(), insecure=True)) as app:
        assert app.request("GET", "/v1/models", Host="voice.example.org").status == 200


@pytest.mark.parametrize(
    ("cors", "origin", "status"),
    [
        (None, None, 101),
        (None, "http://127.0.0.1:{port}", 101),
        (None, "HTTP://127.0.0.1:{port}", 101),
        (None, "http://127.0.0.1", 403),
        (None, "https://evil.example", 403),
        (None, "null", 403),
        (None, "http://[", 403),
        (None, "127.0.0.1:{port}", 403),
        ("https://app.example", "https://app.example", 101),
        ("https://App.example/ , http://b.example", "http://b.example", 101),
        ("https://App.example/ , http://b.example", "https://app.example", 101),
        ("https://app.example", "http://app.example", 403),
        ("https://app.example", "https://app.example.evil.example", 403),
        ("*", "https://evil.example", 101),
    ],
)
def test_a_websocket_needs_an_allowed_origin(app_with, cors, origin, status):
    app = app_with(cors)
    assert handshake(app, origin=origin and origin.format(port=app.port)) == status


FOREIGN = [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
UNSAFE = [
    "/warmup?voice_id=alice",
    "/v1/audio/speech",
    "/synthesize",
    "/preload",
    "/twilio/MZ1/say",
    "/twilio/MZ1/clear",
]


@pytest.mark.parametrize("path", UNSAFE)
@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_cannot_send_a_request_that_does_something(path, headers):
    """Browsers send some of them without a preflight: those without a body, and those of a form."""
    engine = SteppedEngine()
    with SpeechApp(engine) as app:
        for body in (None, json.dumps(SPEECH).encode()):
            answer = app.request("POST", path, body, **headers)
            assert (answer.status, answer.json["error"]["code"]) == (403, "origin")
        assert engine.requests == []


@pytest.mark.parametrize(
    ("cors", "headers"),
    [
        (None, {}),
        (None, {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}),
        (None, {"Sec-Fetch-Site": "none"}),
        ("https://app.example", {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"}),
        ("*", {"Origin": "null", "Sec-Fetch-Site": "cross-site"}),
        ("*", {"Sec-Fetch-Site": "cross-site"}),
    ],
)
def test_an_own_or_an_allowed_page_can(app_with, cors, headers):
    app = app_with(cors)
    headers = {name: value.format(port=app.port) for name, value in headers.items()}
    assert app.request("POST", "/v1/audio/speech", SPEECH, **headers).status == 200
    assert app.request("POST", "/warmup?voice_id=alice", **headers).status == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_foreign_page_may_send_a_request_that_only_reads(open_app, headers):
    assert open_app.request("GET", "/health", **headers).status == 200


def preflight(app, origin):
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return app.request("OPTIONS", "/v1/audio/speech", **headers, **{"Access-Control-Request-Headers": "authorization"})


def test_foreign_origins_are_refused_by_default(open_app):
    answer = preflight(open_app, "https://app.example")
    assert answer.status == 405
    spoken = open_app.request("POST", "/v1/audio/speech", SPEECH, Origin="https://app.example")
    assert spoken.status == 403
    assert not [name for name in {**answer.headers, **spoken.headers} if name.startswith("access-control")]


def test_an_allowed_origin_needs_a_key_and_can_read_the_error():
    with SpeechApp(SteppedEngine(), keys=KEYS, cors="https://app.example") as app:
        allowed = preflight(app, "https://app.example")
        assert allowed.status == 200
        assert allowed.headers["access-control-allow-origin"] == "https://app.example"
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        assert "access-control-allow-origin" not in preflight(app, "https://evil.example").headers
        for key, status in ((None, 401), (KEYS[0], 200)):
            answer = app.request("POST", "/v1/audio/speech", SPEECH, key=key, Origin="https://app.example")
            assert answer.status == status
            assert answer.headers["access-control-allow-origin"] == "https://app.example"


# Body size and timeouts.


def test_a_body_that_is_too_large_is_refused():
    with SpeechApp(SteppedEngine(), max_text=10) as app:
        large = b" " * (65_536 + 40 + 1)
        answer = app.request("POST", "/v1/audio/speech", large)
        assert (answer.status, answer.json["error"]["code"]) == (413, "too_large")
        largest = json.dumps(SPEECH).encode().ljust(65_536 + 40)
        assert app.request("POST", "/v1/audio/speech", largest).status == 200


def test_a_large_body_without_content_length_is_refused(open_app):
    head = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    with raw(open_app, head + b"Transfer-Encoding: chunked\r\n\r\n" + 100 * chunk) as sock:
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("length", [b"Content-Length: 1000\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_that_does_not_arrive_times_out(open_app, monkeypatch, length):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)
    head = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with raw(open_app, head + length + b"\r\n") as sock:
        data = b""
        while piece := sock.recv(65536):  # the server ends the connection
            data += piece
    assert data.startswith(b"HTTP/1.1 408 ")
    assert b'"timeout"' in data


def test_a_disconnect_in_the_middle_of_a_body_logs_no_error(open_app):
    head = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for _ in range(3):
        with raw(open_app, head + b"Content-Length: 1000\r\n\r\n{"):
            pass
    assert open_app.request("GET", "/health").status == 200


def test_the_body_timeout_does_not_limit_the_speech(monkeypatch):
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)
    engine = SteppedEngine()
    with SpeechApp(engine) as app:
        engine.hold()
        body = json.dumps(SPEECH).encode()
        head = b"POST /v1/audio/speech HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with raw(app, head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body) as sock:
            engine.wait_for_requests(1)
            sock.settimeout(0.4)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            sock.settimeout(WAIT)
            engine.let_go()
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


# The access log.


@contextmanager
def access_log(expected=1):
    """Collect the lines of the access log; wait for as many as are expected, which may follow the answers."""
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("voice.access"), Handler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield lines
        wait_until(lambda: len(lines) >= expected, f"only {lines} are logged")
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def events_in(lines):
    return [json.loads(line) for line in lines]


def test_a_request_and_its_stream_are_one_line_each(open_app):
    with access_log(3) as lines:
        open_app.request("POST", "/v1/audio/speech", SPEECH)
        open_app.request("GET", "/nowhere%0Aforged")
    stream, spoken, nowhere = events_in(lines)
    assert (spoken["event"], spoken["method"], spoken["path"], spoken["status"]) == (
        "request",
        "POST",
        "/v1/audio/speech",
        200,
    )
    assert spoken["ms"] > 0
    assert (nowhere["path"], nowhere["status"]) == ("/nowhere\nforged", 404)
    assert "\n" not in lines[2]
    assert (stream["event"], stream["protocol"], stream["codec"], stream["outcome"]) == (
        "stream",
        "openai",
        "pcm",
        "complete",
    )
    assert (stream["characters"], stream["audio_s"]) == (3, 0.2)
    assert set(stream["latency"]) == {"voice", "queued", "generated", "encoded", "sent", "total"}


def test_refused_requests_are_logged(locked_app):
    with access_log(2) as lines:
        locked_app.request("GET", "/v1/models")
        handshake(locked_app)
    assert [(event["path"], event["status"]) for event in events_in(lines)] == [
        ("/v1/models", 401),
        ("/ws/synthesize", 401),
    ]


SECRET = st.text(st.sampled_from("ABCDFHJKLMQRUVWXYZ"), min_size=5, max_size=40)
"""Capital letters that do not occur in log lines otherwise."""


@settings(max_examples=40)
@given(SECRET, SECRET, st.sampled_from(["right", "wrong"]), st.sampled_from(["speech", "broken", "invalid", "socket"]))
def test_neither_text_nor_key_is_logged(locked_app, text, secret, key, how):
    given_key = KEYS[0] if key == "right" else secret
    seen = len(locked_app.reports)
    with access_log() as lines:
        if how == "socket":
            with suppress(InvalidStatus), locked_app.connect(f"/ws/synthesize?api_key={given_key}&t={text}") as socket:
                socket.send(json.dumps({"text": text, "voice_id": secret}))
                while not json.loads(socket.recv(WAIT)).keys() & {"total_ms", "error"}:
                    continue
        else:
            body = {
                "speech": {**SPEECH, "input": text, "instructions": secret},
                "broken": f'{{"input": "{text}"'.encode(),
                "invalid": {"input": text, "speed": text, "voice": {"name": secret}},
            }[how]
            answer = locked_app.request("POST", f"/v1/audio/speech?api_key={given_key}", body, key=given_key)
            if answer.status != 200:
                assert text not in answer.body.decode()
                assert secret not in answer.body.decode()
        if key == "right" and how in ("speech", "socket"):
            locked_app.wait_for_reports(seen + 1)
    for line in lines:
        assert not re.search(f"{text}|{secret}|{KEYS[0]}", line)
