"""A TCP proxy that resets connections after a number of bytes from the server."""

import contextlib
import select
import socket
import struct
import threading
from types import TracebackType

from support.threads import WAIT


class CuttingProxy:
    """Passes connections on to a port. The first `cuts` of them are reset after `after` bytes from the server.

    A context manager.
    """

    def __init__(self, port: int, after: int, cuts: int = 1) -> None:
        self._target = port
        self._after = after
        self._cuts = cuts
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> "CuttingProxy":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _exc: object, _traceback: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(WAIT)
        for sock in self._open:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            self.connections += 1
            after = self._after if self.connections <= self._cuts else None
            self._threads.append(threading.Thread(target=self._pass, args=(client, server, after), daemon=True))
            self._threads[-1].start()

    def _pass(self, client: socket.socket, server: socket.socket, after: int | None) -> None:
        """Pass data in both directions: one thread, because a socket that another one reads is not closed at once."""
        with contextlib.suppress(OSError):
            while after != 0:
                readable, _, _ = select.select((client, server), (), ())
                if client in readable:
                    data = client.recv(4096)
                    server.sendall(data)
                else:
                    data = server.recv(4096 if after is None else min(4096, after))
                    client.sendall(data)
                    after = None if after is None else after - len(data)
                if not data:
                    break
        if after == 0:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        server.close()
