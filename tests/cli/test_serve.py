"""The `voice serve` command: startup, errors and shutdown."""

import http.client
import json
import re
import signal
import socket
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from support.onnx_voices import piper_voice
from support.serving import READY, Serving
from support.threads import WAIT, wait_until
from voice_cli.config_keys import keys_of
from voice_cli.server.settings import Server

LONG = " ".join(f"This is sentence number {number} of a long text." for number in range(100))
"""Its audio is larger than the server's buffer for a client that does not read."""


@pytest.fixture
def serve(tmp_path):
    """Start servers that end with the test."""
    servers = []

    def start(*arguments, **options):
        servers.append(Serving(*arguments, folder=tmp_path, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


@contextmanager
def speech(port, text="Hello.", key=None, host="127.0.0.1"):
    """Request speech, and return the response when its head has arrived."""
    connection = http.client.HTTPConnection(host, port, timeout=WAIT)
    connection.sock = sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(WAIT)
    sock.connect((host, port))
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
    try:
        connection.request("POST", "/v1/audio/speech", json.dumps({"input": text, "response_format": "pcm"}), headers)
        yield connection.getresponse()
    finally:
        connection.close()


def status_of(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
    try:
        connection.request("GET", "/health")
        return json.loads(connection.getresponse().read())["status"]
    finally:
        connection.close()


def is_listening(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait_until_draining(port):
    wait_until(lambda: status_of(port) == "draining", "it does not start to drain")


# Startup.


def test_help_has_a_flag_for_each_setting_with_a_variable(voice):
    done = voice("serve", "--help", environment={"COLUMNS": "200", "NO_COLOR": "1"})
    text = done.out.decode()
    assert (done.code, done.err) == (0, "")
    flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))
    keys = {f"--{name.replace('_', '-')}" for name, key in keys_of(Server).items() if key.env}
    assert flags >= keys - {"--voices-url"}
    assert flags >= {"--insecure", "--model", "--quiet", "--debug", "--help"}


def test_it_prints_its_address_and_serves_there(serve):
    server = serve()
    with speech(server.port) as answer:
        assert answer.status == 200
        assert len(answer.read()) > 10_000
    server.send(signal.SIGTERM)
    code, out, lines = server.end()
    assert (code, out) == (0, b"")
    first, *logged = lines
    assert READY.fullmatch(first)[1] == "espeak"
    assert READY.fullmatch(first)[2] == "http://127.0.0.1"
    events = [json.loads(line) for line in logged]
    assert [event["event"] for event in events] == ["stream", "request"]
    assert events[0]["outcome"] == "complete"


def test_quiet_prints_nothing(serve, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = serve("--quiet", "--port", port)
    wait_until(lambda: is_listening(port), "it does not serve")
    with speech(port) as answer:
        assert answer.read()
    server.send(signal.SIGINT)
    assert server.end() == (0, b"", [])


def test_settings_come_from_the_config_file_the_environment_and_flags(serve, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[server]\nmax_text = 5\nhost = "localhost"\napi_key_env = "SERVER_KEY"\n')
    environment = {"VOICE_CONFIG": str(config), "SERVER_KEY": "sk-1", "VOICE_SERVER_HOST": "127.0.0.1"}
    server = serve("--max-text", 8, environment=environment)
    with speech(server.port, "tomatoes", key="sk-1") as answer:
        assert answer.status == 200
    with speech(server.port, "tomatoesx", key="sk-1") as answer:
        assert answer.status == 400
    with speech(server.port, "toms") as answer:
        assert answer.status == 401
    server.send(signal.SIGTERM)
    code, _, lines = server.end()
    assert code == 0
    assert not any("sk-1" in line or "toms" in line for line in lines)


def test_it_serves_on_ipv6_loopback(serve):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("IPv6 is not available")
    server = serve("--host", "::1")
    port = server.port
    assert "http://[::1]:" in server.lines[0]
    with speech(port, host="::1") as answer:
        assert answer.status == 200


# Startup errors, one line each.


def ended(server):
    code, out, lines = server.end()
    assert out == b""
    (line,) = lines
    assert line.startswith("voice: ")
    return code, line


def test_a_port_in_use_is_an_error(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, line = ended(serve("--port", port))
    assert code == 6
    assert f"port {port}" in line
    assert "--port" in line.partition("(")[2], "the hint does not name --port"


def test_an_address_of_another_machine_is_an_error(serve):
    assert ended(serve("--host", "192.0.2.1", "--insecure"))[0] == 6


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "starlette", "prometheus_client", "websockets"])
def test_a_missing_package_is_an_error_that_names_the_extra(serve, tmp_path, package):
    (tmp_path / f"{package}.py").write_text(f'raise ModuleNotFoundError("No module", name="{package}")\n')
    code, line = ended(serve(environment={"PYTHONPATH": str(tmp_path)}))
    assert code == 11
    assert package in line
    assert "voice-cli[server]" in line


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--port", "70000"], 2, "--port"),
        (["--engine", "http"], 2, "--engine"),
        (["--host", "0.0.0.0"], 3, "--insecure"),
        (["--api-key-env", "NOWHERE"], 3, "$NOWHERE"),
        (["--profile", "nobody"], 3, "nobody"),
    ],
)
def test_invalid_settings_are_errors(serve, arguments, code, words):
    ended_with, line = ended(serve(*arguments))
    assert ended_with == code
    assert words in line


LOADING = """
import pathlib, threading
{then}
"""


def with_piper(folder, then):
    """Replace onnxruntime with a module that runs some code; return arguments and environment."""
    (folder / "onnxruntime.py").write_text(LOADING.format(then=then))
    return ("--engine", "piper", "--model", piper_voice(folder / "voice")), {"PYTHONPATH": str(folder)}


def test_an_engine_load_failure_is_an_error(serve, tmp_path):
    arguments, environment = with_piper(tmp_path, 'raise ImportError("libonnxruntime.so is gone")')
    code, line = ended(serve(*arguments, environment=environment))
    assert code == 11
    assert "piper" in line


def test_a_signal_stops_it_while_the_engine_loads(serve, tmp_path):
    loading = tmp_path / "loading"
    then = f"pathlib.Path({str(loading)!r}).touch(); threading.Event().wait()"
    arguments, environment = with_piper(tmp_path, then)
    server = serve(*arguments, environment=environment)
    wait_until(loading.exists, "it does not load")
    server.send(signal.SIGINT)
    assert server.end() == (130, b"", [])


# Shutdown.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_finishes_streams_and_refuses_new_ones(serve, number):
    server = serve()
    port = server.port
    with speech(port, LONG) as answer:
        begun = answer.read(1000)
        server.send(number)
        wait_until_draining(port)
        with speech(port) as refused:
            assert (refused.status, json.loads(refused.read())["error"]["code"]) == (503, "draining")
        assert server.process.poll() is None
        rest = answer.read()  # raises if it is truncated
    code, out, lines = server.end()
    assert (code, out) == (0, b"")
    assert len(begun + rest) > 2_000_000
    events = [json.loads(line) for line in lines[1:]]
    assert ("complete", "openai") in [(event.get("outcome"), event.get("protocol")) for event in events]


def test_a_second_signal_stops_it_immediately(serve):
    server = serve()
    port = server.port
    with speech(port, LONG) as answer:
        answer.read(1000)
        server.send(signal.SIGINT)
        wait_until_draining(port)
        server.send(signal.SIGINT)
        code, out, lines = server.end()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    assert (code, out) == (0, b"")
    assert all(line.startswith("{") for line in lines[1:]), lines


def test_a_stream_over_the_drain_timeout_is_ended(serve, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[server]\ndrain_timeout = 0.1\n")
    server = serve(environment={"VOICE_CONFIG": str(config)})
    with speech(server.port, LONG) as answer:
        answer.read(1000)
        server.send(signal.SIGTERM)
        code, _, lines = server.end()
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
    assert code == 0
    events = [json.loads(line) for line in lines[1:]]
    assert [event["reason"] for event in events if event["event"] == "stream"] == ["shutdown"]


def test_an_idle_websocket_does_not_delay_the_shutdown(serve):
    server = serve()
    with connect(f"ws://127.0.0.1:{server.port}/ws/synthesize", proxy=None) as idle:
        server.send(signal.SIGTERM)
        code, _, lines = server.end()
        with pytest.raises(ConnectionClosed) as closed:
            idle.recv(WAIT)
    assert closed.value.rcvd.code == 1012, "service restart"
    assert code == 0
    assert lines[1:] == []
