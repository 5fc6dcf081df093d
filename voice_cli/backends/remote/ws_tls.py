"""A TLS socket that one thread may read while another writes.

websockets' client does both at once with Python's TLS sockets, which have no lock before Python 3.13 and release the
GIL inside OpenSSL, so that connections break (cpython#76714, cpython#151508): about one handshake in 600, if the
server's session ticket arrives while the request is sent.
"""

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import Any

from voice_cli.backends.remote.certificates import bundle_of_system, folder_of_environment
from voice_cli.backends.remote.failures import not_secure


def tls_context(where: str) -> ssl.SSLContext:
    """Return the context for a connection to the server `where`; raise NetworkError without certificate authorities."""
    try:
        return ssl.create_default_context(cafile=bundle_of_system(), capath=folder_of_environment())
    except OSError as exc:
        raise not_secure(where, f"no certificate authorities: {exc.strerror or exc}") from exc


class TlsSocket:
    """A connected TLS socket with a lock, which is not held while waiting for the network."""

    def __init__(self, secured: ssl.SSLSocket) -> None:
        secured.setblocking(False)
        self._secured = secured
        self._lock = threading.Lock()
        self._timeout: float | None = None

    def settimeout(self, seconds: float | None) -> None:
        """Set how long `sendall` may wait; None: without limit."""
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        """Wait for bytes; empty: the connection is closed."""
        while True:
            with self._lock:
                try:
                    return self._secured.recv(size)
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                    wanted = want
            self._wait(wanted, None)

    def sendall(self, data: bytes) -> None:
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        rest = memoryview(data)
        while rest:
            wanted: ssl.SSLError | None = None
            with self._lock:
                try:
                    rest = rest[self._secured.send(rest) :]
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as want:
                    wanted = want
            if wanted is not None:
                self._wait(wanted, deadline)

    def _wait(self, wanted: ssl.SSLError, deadline: float | None) -> None:
        """Wait until the socket is ready for what OpenSSL wants. Any thread."""
        writes = isinstance(wanted, ssl.SSLWantWriteError)
        remaining = None if deadline is None else deadline - time.monotonic()
        if remaining is not None and remaining <= 0:
            raise TimeoutError("the server does not read")
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._secured, select.POLLOUT if writes else select.POLLIN)
            poll.poll(None if remaining is None else 1000 * remaining)
        else:
            waiting = [self._secured]
            select.select([] if writes else waiting, waiting if writes else [], waiting, remaining)

    def shutdown(self, how: int) -> None:
        """Shut down the plain socket, which wakes waiting threads. `SSLSocket.shutdown` would go on without TLS."""
        socket.socket.shutdown(self._secured, how)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._secured.close()

    def fileno(self) -> int:
        return self._secured.fileno()

    def getsockname(self) -> Any:
        return self._secured.getsockname()

    def getpeername(self) -> Any:
        return self._secured.getpeername()
