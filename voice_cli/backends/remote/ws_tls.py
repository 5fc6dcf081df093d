"""TLS for two threads: one that receives, and whoever sends.

The package's client does both at once with Python's TLS sockets, which have no lock before Python 3.13 and let go of
the interpreter in the middle of OpenSSL; now and then the connection breaks (cpython#76714, cpython#151508). Seen here:
one handshake in some hundreds, when the server's session ticket came while the request left.
"""

import contextlib
import select
import socket
import ssl
import threading
import time
from typing import Any


class TlsSocket:
    """A connected TLS socket with a lock, which nobody holds while waiting for the network."""

    def __init__(self, secured: ssl.SSLSocket) -> None:
        secured.setblocking(False)
        self._secured = secured
        self._lock = threading.Lock()
        self._timeout: float | None = None

    def settimeout(self, seconds: float | None) -> None:
        """Let `sendall` wait so long; None: for ever."""
        self._timeout = seconds

    def recv(self, size: int) -> bytes:
        """Wait for bytes; none: it is closed."""
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
        """Wait until the network has what OpenSSL wants. Several threads may."""
        writes = isinstance(wanted, ssl.SSLWantWriteError)
        patience = None if deadline is None else deadline - time.monotonic()
        if patience is not None and patience <= 0:
            raise TimeoutError("the server takes nothing")
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(self._secured, select.POLLOUT if writes else select.POLLIN)
            poll.poll(None if patience is None else 1000 * patience)
        else:
            waiting = [self._secured]
            select.select([] if writes else waiting, waiting if writes else [], waiting, patience)

    def shutdown(self, how: int) -> None:
        """End it for both sides, and wake whoever waits. TLS has no say in it: it would let plain bytes through."""
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
