"""Connections, each bounded from its first byte, whatever it sends and before any route.

uvicorn's protocols with these limits; `docs/SECURITY.md` lists them:

- how many connections there are, in all and from one address: a new one replaces the one that has waited longest for a
  request, or is refused
- the time for a request's head, and for what is left of its body after the response
- the bytes of a head, and of a WebSocket message
- the bytes that one connection has read in one turn of the event loop
- small WebSocket frames a second
- the time for which a client reads nothing of a response that is complete
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request

from voice_cli.server.guard import OPEN_PATHS
from voice_cli.server.responses import ABORT, PACED
from voice_cli.server.settings import Server

READ_BYTES = 1024
"""Bytes that one connection has read in one turn of the event loop: at most 170 frames (2 ms) or chunks (10 ms)."""
REST_BYTES = 128
"""The same for what is left of a body after the response."""
HEAD_BYTES = 64 << 10
"""Size limit of a request's head."""
OPEN_MESSAGE = 64 << 10
"""Bytes of a WebSocket message on a path that needs no key."""
SMALL_FRAMES = 50
"""Small frames a second: pings, pongs, empty messages and fragments of less than `SMALL_BYTES`."""
MOST_SMALL_FRAMES = 100
"""Small frames at once."""
SMALL_BYTES = 128
UNREAD_SECONDS = 60.0
"""After so long without reading any of a complete response, a client is disconnected."""

_REFUSED = b"Content-Length: 0\r\nConnection: close\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n" + _REFUSED
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n" + _REFUSED


class Connections:
    """The open connections of a server, by their transports. Event loop only."""

    def __init__(self, server: Server, most: int, count: Callable[[str], None]) -> None:
        """`most`: connections in all. `count` is called with the reason for which one was refused or dropped."""
        self.head_timeout = server.head_timeout
        self.count = count
        self._most = most
        self._most_each = server.max_connections_per_address
        self._open: dict[asyncio.Transport, str] = {}
        self._waiting: dict[asyncio.Transport, None] = {}
        """Those without a request, the longest wait first."""
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, transport: asyncio.Transport) -> bool:
        """Add a connection, if necessary in the place of one that waits. False: there is no place."""
        peer = transport.get_extra_info("peername")
        address = network_of(peer[0]) if peer else ""
        is_each_full = self._by_address[address] >= self._most_each
        if is_each_full or len(self._open) >= self._most:
            dropped = next((one for one in self._waiting if not is_each_full or self._open[one] == address), None)
            self.count("full" if dropped is None else "replaced")
            if dropped is None:
                return False
            self.remove(dropped)
            dropped.abort()
        self._open[transport] = address
        self._by_address[address] += 1
        self._waiting[transport] = None
        return True

    def remove(self, transport: asyncio.Transport) -> None:
        """Remove a connection. Any number of times."""
        address = self._open.pop(transport, None)
        self._waiting.pop(transport, None)
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    def set_waiting(self, transport: asyncio.Transport, *, waiting: bool) -> None:
        """Set whether a connection waits for a request."""
        if not waiting:
            self._waiting.pop(transport, None)
        elif transport in self._open:
            self._waiting.setdefault(transport)


def network_of(address: str) -> str:
    """Return an IPv4 address, or the network of 64 bits of an IPv6 address: its owner has all addresses in it."""
    if ":" not in address:
        return address
    import ipaddress

    return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False))


class BoundedConfig(uvicorn.Config):
    """uvicorn's configuration, and the connections, which its protocols know by it."""

    def __init__(self, app: Any, connections: Connections, **options: Any) -> None:
        super().__init__(app, http=_connection, ws=SocketConnection, **options)  # type: ignore[arg-type]
        self.bounded = connections


class Reader(asyncio.BufferedProtocol):
    """Reads for one of uvicorn's protocols: a buffered protocol, unlike those, chooses how many bytes a read has.

    uvloop reads a connection up to 32 times in one turn of the event loop, until a read leaves the buffer partly empty.
    So reading pauses after each full read, for one turn.
    """

    def __init__(self, protocol: "Connection | SocketConnection") -> None:
        self._protocol = protocol
        self._buffer = memoryview(bytearray(READ_BYTES))
        self.connection_made = protocol.connection_made  # type: ignore[assignment,method-assign]
        self.connection_lost = protocol.connection_lost  # type: ignore[method-assign]
        self.pause_writing = protocol.pause_writing  # type: ignore[method-assign]
        self.resume_writing = protocol.resume_writing  # type: ignore[method-assign]

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._buffer[: self._protocol.read_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        protocol = self._protocol
        is_full = nbytes == protocol.read_bytes
        protocol.data_received(bytes(self._buffer[:nbytes]))
        if is_full and not protocol.transport.is_closing():
            protocol.transport.pause_reading()
            protocol.loop.call_soon(self._resume)

    def _resume(self) -> None:
        # uvicorn may have paused it, too.
        if not self._protocol.transport.is_closing() and not self._protocol.read_paused:
            self._protocol.transport.resume_reading()


def _connection(**options: Any) -> Reader:
    return Reader(Connection(**options))


class _Bounded:
    """What both protocols have."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    config: BoundedConfig
    read_bytes = READ_BYTES
    read_paused: bool
    """Whether uvicorn has paused reading: the app has not taken what was read."""
    _unread: asyncio.TimerHandle | None = None

    def drop(self, reason: str) -> None:
        """Close the connection at once, and count it."""
        self.config.bounded.count(reason)
        self.transport.abort()

    def watch_unread(self, before: int | None = None) -> None:
        """Disconnect a client that does not read the rest of a response; `before`: how many bytes were unsent."""
        size = self.transport.get_write_buffer_size()
        if self._unread is not None:
            self._unread.cancel()
        if size and size == before:
            self.drop("unread")
        elif size:
            self._unread = self.loop.call_later(UNREAD_SECONDS, self.watch_unread, size)

    def forget(self) -> None:
        """Clean up after a lost connection."""
        if self._unread is not None:
            self._unread.cancel()
        self.config.bounded.remove(self.transport)


class Connection(_Bounded, H11Protocol):
    """HTTP connection, which the app can abort: a close would wait for a stalled client.

    h11, not httptools: it reads the body of a request that offers an upgrade (curl --http2, Java's HttpClient), answers
    HTTP/1.0 without chunks, and limits a head.
    """

    config: BoundedConfig
    _expected: str | None = None
    """What has a deadline: the `head` of a request, or the `rest` of its body after the response."""
    _deadline: asyncio.TimerHandle | None = None

    @property
    def read_paused(self) -> bool:  # type: ignore[override]
        return self.flow.read_paused

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.config.bounded.add(transport):
            self._expect("head")
        else:
            transport.write(_FULL)
            transport.close()

    def data_received(self, data: bytes) -> None:
        state = self.conn.their_state
        if state is h11.IDLE:
            self._expect("head")
        elif state in (h11.DONE, h11.MUST_CLOSE) and not self.cycle.response_complete:
            # A pipelined request is not answered. To keep it, uvicorn would stop reading, and not notice that the
            # client disconnects.
            self.cycle.keep_alive = False
            return
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        self._follow()
        if self.scope is not None:
            self.scope.setdefault("extensions", {})[ABORT] = {"abort": self.transport.abort}

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        super().handle_websocket_upgrade(event)
        self.transport.set_protocol(Reader(self.transport.get_protocol()))  # type: ignore[arg-type]

    def pause_writing(self) -> None:
        super().pause_writing()
        if PACED not in self.scope["extensions"]:
            self.watch_unread()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()
        self.watch_unread()

    def send_400_response(self, msg: str) -> None:
        if getattr(sys.exc_info()[1], "error_status_hint", 400) == 431:
            self.config.bounded.count("head_size")
            self.transport.write(_TOO_LARGE)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self.forget()
        super().connection_lost(exc)

    def _follow(self) -> None:
        """Set the deadline and the place among the waiting connections by the state of the request."""
        state = self.conn.their_state
        is_answered = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]  # at first it is
        self.read_bytes = READ_BYTES
        if state is h11.SEND_BODY and is_answered:
            self._expect("rest")
            self.read_bytes = REST_BYTES
        elif state is not h11.IDLE:
            self._expect(None)
        self.config.bounded.set_waiting(self.transport, waiting=state is h11.IDLE and is_answered)

    def _expect(self, what: str | None) -> None:
        if what == self._expected:
            return
        self._expected = what
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None
        if what is not None:
            self._deadline = self.loop.call_later(self.config.bounded.head_timeout, self.drop, f"{what}_time")


class SocketConnection(_Bounded, WebSocketsSansIOProtocol):
    """WebSocket connection that accepts long URLs, answers invalid upgrades, and can be aborted.

    websockets limits a request line to 8 KB and fails longer ones, after which uvicorn would wait forever.
    """

    config: BoundedConfig
    _target: bytes | None = None
    _allowed = float(MOST_SMALL_FRAMES)
    """Small frames that may come now."""
    _counted_at = 0.0
    _is_flood = False

    def data_received(self, data: bytes) -> None:
        if self._target is None:  # the first data is the whole request
            line, end, rest = data.partition(b"\r\n")
            method, self._target, version = line.split(b" ")
            data = b" ".join((method, b"/", version)) + end + rest
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        try:
            super().send_receive_event_to_app()
        except InvalidState:  # invalid UTF-8 on a closing connection
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        event.path = (self._target or b"/").decode("ascii")
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"] = {**self.scope["extensions"], ABORT: {"abort": self.transport.abort}}
            if self.scope["path"] in OPEN_PATHS:
                self.conn.max_message_size = self.conn.max_fragment_size = OPEN_MESSAGE

    def handle_ping(self) -> None:
        if not self._is_too_many():
            if self.writable.is_set():
                super().handle_ping()
            else:
                self.conn.data_to_send()  # the pong, which the client would not read

    def handle_pong(self, event: Frame) -> None:
        if not self._is_too_many():
            super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        if not self._is_small(event) or not self._is_too_many():
            super().handle_cont(event)

    def handle_text(self, event: Frame) -> None:
        if not self._is_small(event) or not self._is_too_many():
            super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        if not self._is_small(event) or not self._is_too_many():
            super().handle_bytes(event)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self.watch_unread()

    def connection_lost(self, exc: Exception | None) -> None:
        self.forget()
        super().connection_lost(exc)

    def _is_small(self, frame: Frame) -> bool:
        return not frame.data or (len(frame.data) < SMALL_BYTES and not frame.fin)

    def _is_too_many(self) -> bool:
        """Count a small frame; close the connection if there are too many."""
        if not self._is_flood:
            now = self.loop.time()
            gained = SMALL_FRAMES * (now - self._counted_at)
            self._allowed = min(MOST_SMALL_FRAMES, self._allowed + gained) - 1
            self._counted_at = now
            self._is_flood = self._allowed < 0
            if self._is_flood:
                self.drop("frames")
        return self._is_flood
