"""The app on a socket of this machine: uvicorn, and an end that lets streams finish."""

import asyncio
import contextlib
import logging
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.http11 import Request

from voice_cli.errors import Interrupted, NetworkError
from voice_cli.server.responses import ABORT
from voice_cli.server.settings import Server
from voice_cli.server.sockets import MOST_MESSAGE

SWITCH_SECONDS = 0.0005
"""How long a thread that makes sound may keep the event loop, which is to send it, from the interpreter."""

SEND_BYTES = 256 << 10
"""What the system may hold of one stream besides: it would take megabytes, which is a minute of speech, of each."""

KEEP_ALIVE_SECONDS = 30
BACKLOG = 512
CLOSING_SECONDS = 5
"""How long connections may take to close once all streams have ended."""


ON_PURPOSE = (
    "without completing response",  # a body is left unfinished, since its stream broke off
    "without completing handshake",  # a WebSocket was refused by an answer of its own
    "Invalid UTF-8",
    "timeout graceful shutdown exceeded",  # a client did not take what was left of its stream
)
"""What uvicorn takes for a fault, in its words."""


class Connection(HttpToolsProtocol):
    """uvicorn's; and the app may end one whose client takes nothing: to close it would wait for the client."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}


class SocketConnection(WebSocketsSansIOProtocol):
    """uvicorn's; and a text may stand in the address, and an upgrade that cannot be read is answered.

    websockets takes 8 KB a line of the request; what is longer it drops, and uvicorn would wait for ever.
    """

    _target: bytes | None = None

    def data_received(self, data: bytes) -> None:
        if self._target is None:  # the whole of the request, from the connection that it came by
            line, end, rest = data.partition(b"\r\n")
            method, self._target, version = line.split(b" ")
            data = b" ".join((method, b"/", version)) + end + rest
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        try:
            super().send_receive_event_to_app()
        except InvalidState:  # what is no UTF-8 is answered with a close, though the connection may be closing already
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        event.path = (self._target or b"/").decode("ascii")
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"] = {**self.scope["extensions"], ABORT: {"abort": self.transport.abort}}


class Host(uvicorn.Server):
    """Serves until a signal comes; then takes no more orders, lets streams finish, and stops. A second one is heeded
    at once, and so is one that comes while the engine loads.

    It opens and closes the app itself: whatever keeps an engine from loading is raised as it is.
    """

    def __init__(self, app: FastAPI, server: Server, ready: Callable[[], None] = lambda: None) -> None:
        """`ready` is called when it has begun to serve."""
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws=SocketConnection,
                ws_max_size=MOST_MESSAGE,
                ws_ping_timeout=None,  # a listener that takes sound as it is heard takes a ping no sooner
                ws_per_message_deflate=False,  # sound does not shrink, and each frame would wait for it
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=CLOSING_SECONDS,
                access_log=False,
                log_config=None,
                server_header=False,
                lifespan="off",
            )
        )
        self._app = app
        self._ready = ready
        self._opened = contextlib.AsyncExitStack()
        self._opening: asyncio.Task[Any] | None = None
        self._drain_seconds = server.drain_timeout
        self._drain: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._opening = asyncio.current_task()
        await self._opened.enter_async_context(self._app.router.lifespan_context(self._app))
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await self._opened.aclose()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop: a signal's handler."""
        del sig, frame
        if self._drain is not None or self._loop is None:
            self.should_exit = self.force_exit = True
        elif self.started:
            self._loop.call_soon_threadsafe(self._begin_to_stop)
        elif self._opening is not None:
            self._loop.call_soon_threadsafe(self._opening.cancel)

    def _begin_to_stop(self) -> None:
        if self._drain is None:
            self._drain = asyncio.create_task(self._stop())

    async def _stop(self) -> None:
        await self._app.state.service.drain(self._drain_seconds)
        self.should_exit = True


def listen(server: Server) -> socket.socket:
    """Take the address.

    Raises:
        NetworkError: it is in use, or none of this machine's.

    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with contextlib.ExitStack() as failed:
            listening = failed.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            listening.bind(address)
            listening.listen(BACKLOG)
            failed.pop_all()
    except OSError as exc:
        raise NetworkError(
            f"cannot listen on {server.host} port {server.port}: {exc.strerror}", hint="--port N takes another"
        ) from exc
    return listening


def address_of(listening: socket.socket) -> str:
    """Give the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _OurFaults(logging.Filter):
    """Of what the host says: faults alone, each in a line; with `debug`, where they are."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.ERROR or any(words in record.getMessage() for words in ON_PURPOSE):
            return False
        kind = record.exc_info[0] if record.exc_info else None
        if kind is asyncio.CancelledError:  # a second signal does not let it finish
            return False
        if not self._debug and record.exc_info:
            record.msg, record.args = "the server failed: %s", (kind.__name__ if kind else "",)
            record.exc_info = None
        return True


def log_to(handler: logging.Handler, *, requests: bool, debug: bool) -> None:
    """Write the access log, if `requests`, and faults to a handler."""
    access = logging.getLogger("voice.access")
    access.handlers, access.propagate = [handler], False
    access.setLevel(logging.INFO if requests else logging.CRITICAL)
    for name in ("uvicorn", "uvicorn.error", "asyncio", "voice.server"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.filters = [_OurFaults(debug=debug)]
    logging.getLogger("uvicorn.error").handlers = []
    logging.getLogger("uvicorn.error").propagate = True


def host(app: FastAPI, server: Server, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until a signal comes; `ready` is called when it has begun. The main thread's.

    Raises:
        UsageError, BackendError: the engine does not load.
        Interrupted: a signal came before it was loaded.

    """
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        Host(app, server, ready).run(sockets=[listening])
    except asyncio.CancelledError:
        raise Interrupted("interrupted") from None
