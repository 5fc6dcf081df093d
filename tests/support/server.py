"""An HTTP speech server with configurable pacing, chunking and failures."""

import json
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from support.threads import WAIT


@dataclass
class Answer:
    """A response and how it is sent."""

    body: bytes = b""
    content_type: str | None = "audio/pcm; rate=24000"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    first_byte: float = 0.0
    """Seconds before the response is sent."""
    chunk: int | Callable[[int], int] = 4096
    """Bytes per piece, or a function from the position to them."""
    byte_rate: float | None = None
    """Bytes per second; None: no limit."""
    jitter: float = 0.0
    """Seconds at most that each piece waits, at random."""
    parts: Iterable[bytes] | None = None
    """Pieces to send instead of `body`."""
    part_seconds: float = 0.0
    """Seconds between the starts of two parts."""
    chunked: bool = True
    """Transfer-Encoding: chunked; else Content-Length, or neither if `close_delimited`."""
    close_delimited: bool = False
    version: str = "1.1"
    announced: int | None = None
    """The Content-Length to send, besides Transfer-Encoding if `chunked`; None: the right one, if not `chunked`."""
    last_chunk: bytes = b"0\r\n\r\n"
    """What ends a chunked body."""
    head_pace: float = 0.0
    """Seconds between two bytes of the head."""
    die_in_head: int | None = None
    """Close the connection after this many bytes of the head."""
    die_after: int | None = None
    """Close the connection after this many bytes of the body."""
    resets: bool = False
    """Close it with RST instead of FIN."""
    stall_after: int | None = None
    """Stop sending after this many bytes, until the client disconnects or the server is closed."""
    pause_at: dict[int, float] = field(default_factory=dict)
    """Bytes sent → seconds to pause."""

    def pieces(self) -> Iterator[bytes]:
        if self.parts is not None:
            yield from self.parts
            return
        at = 0
        while at < len(self.body):
            size = self.chunk(at) if callable(self.chunk) else self.chunk
            yield self.body[at : at + size]
            at += size


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict:
        return json.loads(self.body)


class SpeechServer:
    """Answers each request with `respond`. Close it, or use it as a context manager."""

    def __init__(
        self,
        respond: Answer | Callable[[Request], Answer],
        *,
        tls: ssl.SSLContext | None = None,
        cuts_handshake: bool = False,
        port: int = 0,
    ) -> None:
        """`cuts_handshake`: close a connection after its first bytes. `port` 0: any."""
        self._respond = respond if callable(respond) else lambda _request: respond
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http{'s' if tls or cuts_handshake else ''}://127.0.0.1:{self.port}/v1"
        self.requests: list[Request] = []
        self._arrived = threading.Condition()
        self.visited = threading.Event()
        """Set when a client has sent a HEAD request."""
        self.connections = 0
        self.client_left = threading.Event()
        """Set when a client has disconnected during a response."""
        self.sent = 0
        """Body bytes sent."""
        self._tls = tls
        self._cuts_handshake = cuts_handshake
        self._random = random.Random(1)
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "SpeechServer":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_for(self, count: int) -> None:
        """Wait until this many requests have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.requests) >= count, WAIT), "too few requests have arrived"

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._cuts_handshake:
            connection.recv(1)
            connection.close()
            return
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                return
        with connection, connection.makefile("rb") as reader:
            try:
                while (request := self._read(reader)) is not None:
                    if request.method == "HEAD":
                        self.visited.set()
                        connection.sendall(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\n\r\n")
                        continue
                    with self._arrived:
                        self.requests.append(request)
                        self._arrived.notify_all()
                    if not self._send(connection, self._respond(request)):
                        return
            except (OSError, ValueError):  # ValueError: what arrives is not HTTP
                self.client_left.set()
            finally:
                self._open.discard(connection)

    def _read(self, reader) -> Request | None:
        line = reader.readline()
        if not line:
            return None
        method, path, _ = line.decode().split()
        headers = {}
        while (line := reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Request(method, path, headers, reader.read(int(headers.get("content-length", 0))))

    def _send(self, connection: socket.socket, answer: Answer) -> bool:
        """Send the response and return whether the connection can be reused."""
        if answer.first_byte:
            self._wait(connection, answer.first_byte)
        head = [f"HTTP/{answer.version} {answer.status} X"]
        if answer.content_type is not None:
            head.append(f"Content-Type: {answer.content_type}")
        head += [f"{name}: {value}" for name, value in answer.headers.items()]
        if answer.close_delimited:
            head.append("Connection: close")
        elif answer.chunked:
            head.append("Transfer-Encoding: chunked")
        if answer.announced is not None or not (answer.chunked or answer.close_delimited):
            length = len(answer.body) if answer.announced is None else answer.announced
            head.append(f"Content-Length: {length}")
        if not self._send_head(connection, answer, "\r\n".join(head).encode() + b"\r\n\r\n"):
            return False
        began = time.monotonic()
        at = 0
        for index, piece in enumerate(answer.pieces()):
            if answer.jitter:
                self._wait(connection, self._random.uniform(0, answer.jitter))
            if index and answer.part_seconds:
                self._wait(connection, began + index * answer.part_seconds - time.monotonic())
            for limit in (answer.die_after, answer.stall_after):
                if limit is not None and at + len(piece) > limit:
                    piece = piece[: max(0, limit - at)]  # noqa: PLW2901
            if piece:
                framed = b"%x\r\n%b\r\n" % (len(piece), piece)
                connection.sendall(framed if answer.chunked and not answer.close_delimited else piece)
            at += len(piece)
            self.sent += len(piece)
            if answer.die_after is not None and at >= answer.die_after:
                return self._die(connection, answer)
            if answer.stall_after is not None and at >= answer.stall_after:
                self._wait(connection, 3600)
                return False
            if at in answer.pause_at:
                self._wait(connection, answer.pause_at[at])
            if answer.byte_rate:
                self._wait(connection, began + at / answer.byte_rate - time.monotonic())
        if answer.chunked and not answer.close_delimited:
            connection.sendall(answer.last_chunk)
        return not answer.close_delimited and answer.announced is None and answer.last_chunk == Answer.last_chunk

    def _send_head(self, connection: socket.socket, answer: Answer, head: bytes) -> bool:
        """Send the head, and return whether the body follows."""
        sent = head[: answer.die_in_head]
        step = 1 if answer.head_pace else max(1, len(sent))
        for at in range(0, len(sent), step):
            self._wait(connection, answer.head_pace)
            connection.sendall(sent[at : at + step])
        return len(sent) == len(head) or self._die(connection, answer)

    def _die(self, connection: socket.socket, answer: Answer) -> bool:
        """Make the connection's close an RST, if the answer has one; return False."""
        if answer.resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def _wait(self, connection: socket.socket, seconds: float) -> None:
        """Wait, but raise if the client disconnects."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0 and not self._closing.is_set():
            connection.settimeout(left)
            try:
                if connection.recv(1, socket.MSG_PEEK) == b"":
                    raise ConnectionResetError
                # The next request has arrived already: wait anyway.
                self._closing.wait(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return
            finally:
                connection.settimeout(None)
