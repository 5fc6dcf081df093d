"""A WebSocket server that runs a handler function and records messages."""

import json
import logging
import math
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response
from websockets.sync.server import ServerConnection, serve

from support.threads import WAIT
from voice_cli.backends.remote.ws_tls import TlsSocket


class Client:
    """A connected client, as seen by a handler."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.path = connection.request.path
        self.headers = connection.request.headers
        self.said: list[Any] = []
        """Messages received from it."""
        self.code: int | None = None
        """The connection's close code."""
        self.left = threading.Event()
        """Set when its handler has ended."""

    def receive(self) -> Any:
        """Return its next message, decoded."""
        message = self._connection.recv(timeout=WAIT)
        self.said.append(json.loads(message))
        return self.said[-1]

    def say(self, message: Mapping[str, Any]) -> None:
        self._connection.send(json.dumps(message))

    def send(self, message: str | bytes) -> None:
        self._connection.send(message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        self._connection.close(code, reason)

    def cut(self) -> None:
        """Reset the connection without a close frame."""
        self._connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close_socket()

    def wait_until_gone(self) -> None:
        """Receive messages until the client disconnects, then raise ConnectionClosed."""
        with suppress(ConnectionClosed):
            while True:
                self.receive()
        raise_connection_closed(self._connection)


def raise_connection_closed(connection: ServerConnection) -> None:
    """Raise a closed connection's ConnectionClosed."""
    connection.recv(timeout=0)


def _connection(sock: Any, *arguments: Any, **options: Any) -> ServerConnection:
    return ServerConnection(TlsSocket(sock) if isinstance(sock, ssl.SSLSocket) else sock, *arguments, **options)


class WsServer:
    """Handles each client with `talk` in a separate thread. A context manager.

    `pages`: responses to GET by path. `refusal`: status, headers and body to answer upgrades with; `refusals`: only so
    many of them.
    """

    def __init__(
        self,
        talk: Callable[[Client], None],
        *,
        pages: Mapping[str, Any] | None = None,
        refusal: tuple[int, Mapping[str, str], bytes] | None = None,
        refusals: float = math.inf,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._talk = talk
        self._pages = pages or {}
        self._refusal = refusal
        self._refusals = refusals
        self.requests: list[Any] = []
        """Upgrade and GET requests, with `path` and `headers`."""
        self.clients: list[Client] = []
        self.errors: list[BaseException] = []
        self._arrived = threading.Condition()
        self._handlers: list[threading.Thread] = []
        logger = logging.Logger("test.websockets")  # noqa: LOG001  unregistered
        logger.addHandler(logging.NullHandler())
        self._server = serve(
            self._handle,
            "127.0.0.1",
            port,
            ssl=tls,
            create_connection=_connection,
            process_request=self._answer,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=None,
            logger=logger,
        )
        self.port = self._server.socket.getsockname()[1]
        self.url = f"{'ws' if tls is None else 'wss'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> "WsServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self.close()
        if kind is None:
            assert not self.errors, self.errors

    def close(self) -> None:
        self._server.shutdown()
        for client in self.clients:
            client._connection.close_socket()
        for thread in self._handlers:
            thread.join(WAIT)
            assert not thread.is_alive(), "a handler has not ended"
        self._thread.join(WAIT)

    def client(self, index: int = 0) -> Client:
        """Wait for the client with this index and return it."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.clients) > index, WAIT), "the client has not connected"
            return self.clients[index]

    def _answer(self, connection: ServerConnection, request: Any) -> Response | None:
        self.requests.append(request)
        path = request.path.partition("?")[0]
        if path in self._pages:
            body = json.dumps(self._pages[path]).encode()
            return Response(
                200, "OK", Headers({"Content-Type": "application/json", "Content-Length": str(len(body))}), body
            )
        if self._refusal is not None and self._refusals > 0:
            self._refusals -= 1
            status, headers, body = self._refusal
            lengths = {"Content-Length": str(len(body)), "Connection": "close"}
            sent = Headers(lengths)
            sent.update(headers)
            return Response(status, HTTPStatus(status).phrase, sent, body)
        return None if "Upgrade" in request.headers else connection.respond(HTTPStatus.NOT_FOUND, "no such page\n")

    def _handle(self, connection: ServerConnection) -> None:
        client = Client(connection)
        with self._arrived:
            self._handlers.append(threading.current_thread())
            self.clients.append(client)
            self._arrived.notify_all()
        try:
            self._talk(client)
        except ConnectionClosed:
            pass
        except BaseException as exc:
            self.errors.append(exc)
        finally:
            with suppress(ConnectionClosed):
                connection.close()
            client.code = connection.close_code
            client.left.set()
