"""The app on a socket: listening, opening the engine, and logging."""

import asyncio
import json
import logging
import socket
import sys

import pytest

from support.speech_app import SpeechApp, SteppedEngine
from support.threads import in_thread
from voice_cli.errors import EngineError, NetworkError
from voice_cli.server.app import create_app
from voice_cli.server.guard import log_line
from voice_cli.server.hosting import Host, _ErrorFilter, address_of, listen, log_to
from voice_cli.server.settings import Server, ServerSettings


def test_port_0_is_any_free_port():
    with listen(Server(port=0)) as listening:
        host, port = listening.getsockname()
        assert (host, port > 0) == ("127.0.0.1", True)
        assert address_of(listening) == f"http://127.0.0.1:{port}"


def test_an_ipv6_address_is_written_in_brackets():
    try:
        listening = listen(Server(host="::1", port=0))
    except NetworkError:
        pytest.skip("IPv6 is not available")
    with listening:
        assert address_of(listening) == f"http://[::1]:{listening.getsockname()[1]}"


def test_a_port_can_be_reused_immediately():
    with SpeechApp(SteppedEngine()) as app:
        port = app.port
        with socket.create_connection(("127.0.0.1", port)) as lingering:
            lingering.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
            assert lingering.recv(10)
    listen(Server(port=port)).close()


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host.invalid", ""])
def test_an_address_in_use_or_not_local_is_an_error(host):
    with listen(Server(port=0)) as taken:
        port = 0 if host else taken.getsockname()[1]
        with pytest.raises(NetworkError) as caught:
            listen(Server(host=host or "127.0.0.1", port=port))
    assert f"port {port}: " in caught.value.message
    assert caught.value.hint


class RecordingEngine(SteppedEngine):
    """An engine that records its opening and closing, and may fail to open."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error
        self.closed = 0

    def load(self):
        if self.error is not None:
            raise self.error

    def close(self):
        self.closed += 1
        super().close()


def test_an_engines_load_error_is_raised_unchanged():
    engine = RecordingEngine(EngineError("no model"))
    settings = ServerSettings(Server(port=0))
    with listen(settings.server) as listening:
        error = in_thread(lambda: Host(create_app(settings, engine), settings.server).run([listening]))()
    assert isinstance(error, EngineError)
    assert error.message == "no model"
    assert engine.closed == 1


def test_the_engine_is_closed_with_the_server():
    engine = RecordingEngine()
    with SpeechApp(engine):
        assert engine.closed == 0
    assert engine.closed == 1


# Logging.


def record(message, level=logging.ERROR, error=None):
    info = None if error is None else (type(error), error, None)
    return logging.LogRecord("uvicorn.error", level, "here", 1, message, (), info)


def test_only_errors_are_logged_in_one_line_each():
    faults = _ErrorFilter(debug=False)
    assert not faults.filter(record("Started server process", logging.INFO))
    assert not faults.filter(record("ASGI callable returned without completing response."))
    assert not faults.filter(record("Exception in ASGI application", error=asyncio.CancelledError()))
    fault = record("Exception in ASGI application\n", error=ValueError("with a secret"))
    assert faults.filter(fault)
    assert logging.Formatter().format(fault) == "the server failed: ValueError"


def test_debug_logs_tracebacks():
    faults = _ErrorFilter(debug=True)
    try:
        raise ValueError("where it is")
    except ValueError:
        fault = record("Exception in ASGI application\n")
        fault.exc_info = sys.exc_info()
    assert faults.filter(fault)
    assert "where it is" in logging.Formatter().format(fault)


@pytest.fixture
def loggers():
    """Restore the loggers after the test."""
    names = ("voice.access", "uvicorn", "uvicorn.error", "asyncio", "voice.server")
    before = [
        (logger, logger.handlers, logger.filters, logger.level, logger.propagate)
        for logger in map(logging.getLogger, names)
    ]
    yield
    for logger, handlers, filters, level, propagate in before:
        logger.handlers, logger.filters, logger.propagate = handlers, filters, propagate
        logger.setLevel(level)


def test_control_characters_in_the_log_are_escaped(loggers, capsys):
    log_to(logging.StreamHandler(sys.stderr), requests=True, debug=True)
    log_line("request", path="/\x1b]0;x\x07\x7f\n\x9b\u202e")
    logging.getLogger("uvicorn.error").error("no voice \x1b[2J\r\nat all")
    try:
        raise ValueError("\x1b[2J")
    except ValueError:
        logging.getLogger("voice.server").exception("it failed")
    access, error, *traceback = capsys.readouterr().err.splitlines()
    assert json.loads(access)["path"] == "/\x1b]0;x\x07\x7f\n\x9b\u202e"
    assert error == "no voice \\x1b[2J\\x0d\\x0aat all"
    assert traceback[-1] == "ValueError: \\x1b[2J"
    assert (access + error + "".join(traceback)).isprintable()


@pytest.mark.parametrize("requests", [True, False])
def test_each_line_is_written_once(loggers, requests):
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    log_to(Handler(), requests=requests, debug=False)
    logging.getLogger("voice.access").info("a request")
    logging.getLogger("uvicorn.error").info("Started")
    logging.getLogger("uvicorn.error").error("a fault")
    logging.getLogger("asyncio").error("another")
    assert lines == [*(["a request"] if requests else []), "a fault", "another"]
