"""Limits of connections: how many, their heads, small frames, and clients that do not read."""

import contextlib
import http.client
import os
import re
import socket
import struct
import threading

import pytest

from support.serving import Serving
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.threads import WAIT, wait_until
from voice_cli.server import connections, hosting
from voice_cli.server.connections import HEAD_BYTES, MOST_SMALL_FRAMES, READ_BYTES, network_of

SPEECH = {"input": "Hello.", "response_format": "pcm"}
MASK = b"\0\0\0\0"


@pytest.fixture
def small_buffers(monkeypatch):
    monkeypatch.setattr(hosting, "SEND_BYTES", 4096)


@pytest.fixture
def app():
    with SpeechApp(SteppedEngine(), head_timeout=1.0) as app:
        yield app


@pytest.fixture(scope="module", autouse=True)
def many_descriptors():
    """Allow this process some thousand connections with both their ends."""
    resource = pytest.importorskip("resource")
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, 8192), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


def connected(app, count=1):
    return [socket.create_connection(("127.0.0.1", app.port), timeout=WAIT) for _ in range(count)]


def is_closed(connection):
    """Wait until the server has closed the connection."""
    try:
        while connection.recv(65536):
            continue
    except ConnectionResetError:
        pass
    return True


def dropped(app, reason):
    """Return how many connections the server has dropped for this reason."""
    text = app.request("GET", "/metrics").body.decode()
    found = re.search(rf'^voice_connections_dropped_total{{reason="{reason}"}} (\d+)', text, re.MULTILINE)
    return int(found[1]) if found else 0


def socket_of(app, path="/twilio"):
    """Return a TCP connection after a WebSocket handshake."""
    (connection,) = connected(app)
    head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{app.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    connection.sendall(f"{head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    return connection


def frame(opcode, data=b"", *, fin=True):
    return bytes([(fin << 7) | opcode, 0x80 | len(data)]) + MASK + data


# How many.


def test_a_thousand_silent_and_a_thousand_slow_connections_do_not_keep_others_out(app):
    silent, slow = connected(app, 1000), connected(app, 1000)
    for connection in slow:
        connection.sendall(b"GET /health HTTP/1.1\r\nX-Slow: ")
    assert app.request("GET", "/health").status == 200
    assert all(is_closed(connection) for connection in silent + slow)
    for connection in silent + slow:
        connection.close()
    assert dropped(app, "head_time") + dropped(app, "replaced") == 2000
    wait_until(lambda: len(app.connections) == 0, "connections are counted that are gone")


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
def test_a_new_connection_takes_the_place_of_the_one_that_has_waited_longest(limit):
    with SpeechApp(SteppedEngine(), **{limit: 3}) as app:
        kept = http.client.HTTPConnection("127.0.0.1", app.port, timeout=WAIT)
        kept.request("GET", "/health")
        kept.getresponse().read()
        first, second = connected(app, 2)
        assert app.request("GET", "/health").status == 200
        assert is_closed(kept.sock)
        assert dropped(app, "replaced") == 1  # the connection before is gone
        (third,) = connected(app)
        assert app.request("GET", "/health").status == 200
        assert is_closed(first)
        for connection in (kept, first, second, third):
            connection.close()


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_address"])
def test_connections_with_a_request_are_not_replaced(limit):
    engine = SteppedEngine()
    with SpeechApp(engine, **{limit: 2}) as app:
        engine.hold()
        busy = [http.client.HTTPConnection("127.0.0.1", app.port, timeout=WAIT) for _ in range(2)]
        for connection in busy:
            connection.request("POST", "/v1/audio/speech", '{"input": "Hello."}', {"content-type": "application/json"})
        wait_until(lambda: app.service.active == 2, "they are not active")
        answer = app.request("GET", "/health")
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        engine.let_go()
        assert [connection.getresponse().status for connection in busy] == [200, 200]
        for connection in busy:
            connection.close()
        wait_until(lambda: len(app.connections) == 0, "they are not gone")
        assert dropped(app, "full") == 1


@pytest.mark.skipif(os.name == "nt", reason="there is no limit of descriptors")
def test_few_descriptors_are_enough_for_a_new_client(tmp_path):
    with Serving(folder=tmp_path, script='ulimit -n 64; exec "$@"') as server:
        port = server.port
        slow = [socket.create_connection(("127.0.0.1", port), timeout=WAIT) for _ in range(100)]
        for connection in slow:
            with contextlib.suppress(OSError):
                connection.sendall(b"G")
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        client.request("GET", "/health")
        assert client.getresponse().status == 200
        client.close()
        for connection in slow:
            connection.close()
        assert server.process.poll() is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address, network):
    assert network_of(address) == network


# Heads and bodies.


def test_a_slow_head_on_a_kept_connection_times_out(app):
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=WAIT)
    connection.request("GET", "/health")
    connection.getresponse().read()
    connection.sock.sendall(b"GET /hea")
    assert is_closed(connection.sock)
    connection.close()


def test_the_head_timeout_does_not_limit_the_response():
    engine = SteppedEngine()
    with SpeechApp(engine, head_timeout=0.2) as app:
        engine.hold()
        timer = threading.Timer(0.6, engine.let_go)
        timer.start()
        assert app.request("POST", "/v1/audio/speech", SPEECH).body == sound_of("Hello.")
        timer.join()


HEADS = {"one": b"X-Long: " + b"x" * (40 << 20), "many": b"X-Short: a\r\n" * 2_000_000}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_head_that_is_too_large_is_refused_before_it_has_arrived(app, head):
    (connection,) = connected(app)
    with connection:
        with contextlib.suppress(OSError):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + head)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100).startswith(b"HTTP/1.1 431 ")
    assert dropped(app, "head_size") == 1


def test_a_head_of_the_limit_is_accepted(app):
    assert app.request("GET", "/health", **{"X-Long": "x" * (HEAD_BYTES - 1000)}).status == 200


def test_a_body_that_goes_on_after_the_response_times_out(app):
    (connection,) = connected(app)
    with connection:
        connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 404 ")

        def send():
            with contextlib.suppress(OSError):
                while True:
                    connection.sendall(b"1\r\na\r\n" * 1000)

        sending = threading.Thread(target=send)
        sending.start()
        assert is_closed(connection)
        sending.join(WAIT)
    assert dropped(app, "rest_time") == 1


def test_one_read_is_short(app, monkeypatch):
    sizes = []
    original = connections.Connection.data_received
    monkeypatch.setattr(
        connections.Connection, "data_received", lambda self, data: (sizes.append(len(data)), original(self, data))
    )
    body = {**SPEECH, "instructions": "x" * 100_000}
    assert app.request("POST", "/v1/audio/speech", body).status == 400  # too long
    assert max(sizes) <= READ_BYTES
    assert sum(sizes) > 100_000


def test_one_turn_of_the_loop_has_one_read_of_a_connection(app, monkeypatch):
    happened = []
    original = connections.Connection.data_received

    def data_received(self, data):
        if len(data) == READ_BYTES:
            happened.append("read")
            self.loop.call_soon(happened.append, "turn")
        original(self, data)

    monkeypatch.setattr(connections.Connection, "data_received", data_received)
    app.request("POST", "/v1/audio/speech", {**SPEECH, "instructions": "x" * 100_000})
    assert happened.count("read") > 50
    assert happened == ["read", "turn"] * (len(happened) // 2)


# Frames.

FLOODS = {
    "pings": frame(9),
    "pongs": frame(10),
    "texts": frame(1),
    "binary": frame(2),
    "fragments": frame(1, b"a", fin=False) + frame(0, b"a", fin=False) * 10 + frame(0, b"a"),
    "empty fragments": frame(1, b"a", fin=False) + frame(0, fin=False) * 10 + frame(0),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_small_frames_ends_the_connection(app, kind):
    with socket_of(app) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(FLOODS[kind] * 50_000)
        assert is_closed(connection)
    assert dropped(app, "frames") == 1
    assert app.request("GET", "/health").status == 200


def test_some_pings_are_answered(app):
    with socket_of(app) as connection:
        connection.sendall(frame(9, b"a") * (MOST_SMALL_FRAMES // 2))
        answer = b""
        while len(answer) < 3 * MOST_SMALL_FRAMES // 2:
            answer += connection.recv(65536)
        assert answer == b"\x8a\x01a" * (MOST_SMALL_FRAMES // 2)
    assert dropped(app, "frames") == 0


def test_many_short_texts_at_once_are_all_read(app):
    with app.connect("/ws/synthesize-stream") as websocket:
        count = 2000
        connection = websocket.socket
        connection.sendall(frame(1, b"{}") * count)
        for _ in range(count):
            assert "type" in websocket.recv(timeout=WAIT)
    assert dropped(app, "frames") == 0


def test_pongs_do_not_pile_up_for_a_client_that_does_not_read(app, monkeypatch):
    monkeypatch.setattr(connections, "MOST_SMALL_FRAMES", 10**9)
    monkeypatch.setattr(connections.SocketConnection, "_allowed", 1e9)
    with socket_of(app) as connection:
        ping = frame(9, bytes(125))
        connection.sendall(ping * 20_000)  # 2.5 MB
        assert max(transport.get_write_buffer_size() for transport in app.connections._open) < 1 << 20


def test_a_message_before_the_key_is_limited(app):
    with socket_of(app) as connection:
        connection.sendall(struct.pack(">BBQ", 0x81, 0x80 | 127, connections.OPEN_MESSAGE + 1) + MASK)
        assert is_closed(connection)


# Clients that do not read.


def test_a_client_that_does_not_read_a_complete_response_is_disconnected(small_buffers, app, monkeypatch):
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(WAIT)
    with connection:
        connection.connect(("127.0.0.1", app.port))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: dropped(app, "unread") == 1, "it is still connected")


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/synthesize", "/warmup?voice_id=alice"])
def test_a_client_that_leaves_after_a_pipelined_request_is_noticed(path):
    engine = SteppedEngine()
    with SpeechApp(engine) as app:
        engine.hold()
        (connection,) = connected(app)
        body = b'{"input": "Hello.", "text": "Hello.", "voice_id": "alice"}'
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        with connection:
            connection.sendall(request)
            engine.wait_for_requests(1)
            connection.sendall(request * 100)
        (report,) = app.wait_for_reports(1)
        assert (report.outcome, report.reason) == ("cancelled", "left")


@pytest.mark.parametrize("output_format", ["mulaw", "wav"])
def test_a_whole_answer_keeps_its_place_until_it_is_read(output_format):
    engine = SteppedEngine(lambda request: [sound_of(request.text, 60.0)])
    with SpeechApp(engine, stall_timeout=0.5) as app:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(WAIT)
        with connection:
            connection.connect(("127.0.0.1", app.port))
            body = f'{{"text": "Hello.", "voice_id": "alice", "output_format": "{output_format}"}}'
            head = "POST /synthesize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            assert connection.recv(1) == b"H"
            (report,) = app.wait_for_reports(1)
            assert (report.outcome, report.reason) == ("cancelled", "stalled")
            assert is_closed(connection)
