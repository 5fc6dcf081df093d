"""Waiting for libcurl's descriptors, of any number: select() of most systems has a limit of 1024."""

import math
import os
import select
import sys
import time
from collections.abc import Mapping
from contextlib import suppress

from voice_cli.backends.remote.curl import pycurl


class Waker:
    """A descriptor that another thread makes readable."""

    def __init__(self) -> None:
        if sys.platform == "win32":  # its select() takes sockets only
            import socket

            self._sockets = socket.socketpair()
            self._sockets[0].setblocking(False)
            self.fd, self._write_fd = (end.fileno() for end in self._sockets)
        else:
            self.fd, self._write_fd = os.pipe()
            os.set_blocking(self.fd, False)

    def clear(self) -> None:
        """Make it unreadable again."""
        with suppress(BlockingIOError):
            if sys.platform == "win32":
                self._sockets[0].recv(64)
            else:
                os.read(self.fd, 64)

    def wake(self) -> None:
        if sys.platform == "win32":
            self._sockets[1].send(b"!")
        else:
            os.write(self._write_fd, b"!")

    def close(self) -> None:
        if sys.platform == "win32":
            for end in self._sockets:
                end.close()
        else:
            os.close(self.fd)
            os.close(self._write_fd)


def ready(sockets: Mapping[int, int], seconds: float) -> list[int]:
    """Return the descriptors that are ready for libcurl's `POLL_` values, after at most so many seconds."""
    if not hasattr(select, "poll"):  # Windows, whose select() has no limit of 1024
        readable = [descriptor for descriptor, wanted in sockets.items() if wanted & pycurl.POLL_IN]
        writable = [descriptor for descriptor, wanted in sockets.items() if wanted & pycurl.POLL_OUT]
        if not (readable or writable):
            time.sleep(seconds)
            return []
        try:
            found = select.select(readable, writable, [], seconds)
        except (OSError, ValueError):
            return []  # another thread has closed one of them
        return list({*found[0], *found[1]})
    poll = select.poll()
    for descriptor, wanted in sockets.items():
        events = (select.POLLIN if wanted & pycurl.POLL_IN else 0) | (select.POLLOUT if wanted & pycurl.POLL_OUT else 0)
        poll.register(descriptor, events)
    return [descriptor for descriptor, _ in poll.poll(math.ceil(1000 * seconds))]
