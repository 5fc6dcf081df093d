"""The app on uvicorn, with a graceful drain at its end."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from voice_cli.errors import Hint, Interrupted, NetworkError
from voice_cli.printable import escaped, escaped_text
from voice_cli.server.connections import HEAD_BYTES, BoundedConfig, Connections
from voice_cli.server.metrics import Metrics
from voice_cli.server.settings import Server
from voice_cli.server.sockets import MOST_MESSAGE

SWITCH_SECONDS = 0.0005
"""The interpreter's switch interval: bounds how long generation threads delay the event loop."""

SEND_BYTES = 256 << 10
"""Socket send buffer. The default of megabytes would hold a minute of speech per stream."""

BACKLOG = 512
"""Connections that the system keeps until they are accepted."""
ACCEPTED = 32
"""Connections that one turn of the event loop accepts."""
RESERVED = 40
"""Descriptors for everything but connections."""
CLOSING_SECONDS = 5
"""Timeout for connections to close after the drain."""


EXPECTED_ERRORS = (
    "without completing response",  # a truncated stream leaves its body incomplete
    "without completing handshake",  # a WebSocket upgrade was refused with an HTTP response
    "Invalid UTF-8",
    "timeout graceful shutdown exceeded",  # a client did not read the rest of its stream
)
"""Parts of uvicorn's error messages for what the app does on purpose."""


class Host(uvicorn.Server):
    """Serves until a signal, then drains and stops. A second signal, or one during loading, stops at once.

    It runs the app's lifespan itself, so that an error of the engine is raised unchanged.
    """

    def __init__(self, app: FastAPI, server: Server, ready: Callable[[], None] = lambda: None) -> None:
        """`ready` is called when the server accepts connections."""
        metrics: Metrics = app.state.service.metrics
        connections = Connections(server, make_room(server.max_connections), metrics.dropped)
        metrics.connections.set_function(lambda: len(connections))
        super().__init__(
            BoundedConfig(
                app,
                connections,
                h11_max_incomplete_event_size=HEAD_BYTES,
                ws_max_size=MOST_MESSAGE,
                ws_ping_timeout=None,  # a client that reads in real time reads pings late
                ws_per_message_deflate=False,  # audio does not compress, and it would add latency
                timeout_keep_alive=round(server.idle_timeout),
                timeout_graceful_shutdown=CLOSING_SECONDS,
                access_log=False,
                log_config=None,
                server_header=False,
                lifespan="off",
                backlog=ACCEPTED,
            )
        )
        self._app = app
        self._ready = ready
        self._opened = contextlib.AsyncExitStack()
        self._opening: asyncio.Task[Any] | None = None
        self._drain_seconds = server.drain_timeout
        self._drain: Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._opening = asyncio.current_task()
        await self._opened.enter_async_context(self._app.router.lifespan_context(self._app))
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)  # asyncio has set it to what it accepts at once
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._opened.aclose()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Start the drain (a signal handler)."""
        del sig, frame
        if self._drain is not None or self._loop is None:
            self.should_exit = self.force_exit = True
        elif self.started:
            self._drain = asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        elif self._opening is not None:
            self._loop.call_soon_threadsafe(self._opening.cancel)

    async def _stop(self) -> None:
        await self._app.state.service.drain(self._drain_seconds)
        self.should_exit = True


def listen(server: Server) -> socket.socket:
    """Open the listening socket. Raises NetworkError if the address is in use or not local."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as failed:
            listening = failed.enter_context(socket.socket(family, kind, protocol))
            if sys.platform == "win32":  # whose SO_REUSEADDR lets another process take the port of a server that runs
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            else:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            listening.bind(address)
            listening.listen(BACKLOG)
            failed.pop_all()
    except OSError as exc:
        raise NetworkError(
            f"cannot listen on {server.host} port {server.port}: {exc.strerror}", hint=Hint("set another {port}")
        ) from exc
    return listening


def make_room(connections: int) -> int:
    """Raise the limit of open descriptors for so many connections; return how many of them it allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + RESERVED
    if 0 <= soft < wanted:  # a negative limit is none
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard < 0 else min(wanted, hard), hard))
        wanted = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, wanted - RESERVED)


def address_of(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _ErrorFilter(logging.Filter):
    """Pass only errors, one line each; with `debug`, tracebacks too."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR or any(words in record.getMessage() for words in EXPECTED_ERRORS):
            return False
        kind = record.exc_info[0] if record.exc_info else None
        if kind is asyncio.CancelledError:  # a second signal cancels streams
            return False
        if not self._debug and record.exc_info:
            record.msg, record.args = "the server failed: %s", (kind.__name__ if kind else "",)
            record.exc_info = None
        return True


class _Formatter(logging.Formatter):
    """Escape control characters; only tracebacks keep their lines."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return escaped_text(text) if record.exc_info else escaped(text)


def log_to(handler: logging.Handler, *, requests: bool, debug: bool) -> None:
    """Send errors, and the access log if `requests`, to a handler."""
    handler.setFormatter(_Formatter())
    access = logging.getLogger("voice.access")
    access.handlers, access.propagate = [handler], False
    access.setLevel(logging.INFO if requests else logging.CRITICAL)
    for name in ("uvicorn", "uvicorn.error", "asyncio", "voice.server"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.filters = [_ErrorFilter(debug=debug)]


def host(app: FastAPI, server: Server, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until a signal comes. Main thread only. `ready` is called when the server accepts connections.

    Raises:
        UsageError, BackendError: the engine does not load.
        Interrupted: a signal came before it was loaded.

    """
    sys.setswitchinterval(SWITCH_SECONDS)
    hosted = Host(app, server, ready)
    hangup = getattr(signal, "SIGHUP", None)  # uvicorn handles the others
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        signal.signal(hangup, hosted.handle_exit)
    try:
        hosted.run(sockets=[listening])
    except asyncio.CancelledError:
        raise Interrupted("interrupted") from None
