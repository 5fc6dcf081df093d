"""Waiting for libcurl's descriptors, of any number: select() of most systems has a limit of 1024."""

import math
import os
import select
import sys
import time
from collections.abc import Mapping

from voice_cli.backends.remote.curl import pycurl


class Waker:
    """A descriptor that another thread makes readable."""

    def __init__(self) -> None:
        if sys.platform == "win32":  # its select() takes sockets only
            import socket

            ends = socket.socketpair()
            self._reader, self._writer = (end.makefile("rwb", 0) for end in ends)
            for end in ends:
                end.close()  # the files keep the sockets open
        else:
            reader, writer = os.pipe()
            self._reader, self._writer = open(reader, "rb", 0), open(writer, "wb", 0)  # noqa: SIM115
        self.fd = self._reader.fileno()

    def clear(self) -> None:
        """Make it unreadable again."""
        if ready({self.fd: pycurl.POLL_IN}, 0):
            self._reader.read(64)

    def wake(self) -> None:
        self._writer.write(b"!")

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


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
