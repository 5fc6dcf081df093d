"""The connections of this process to an audio server, so that a stopped stream can be checked.

PortAudio reports the loss of an audio server only for a stream that plays. To start a stopped one that has lost its
server never returns: PortAudio's thread ends with a lock that the caller waits for (pa_unix_util.c).
"""

import os
import sys
from _socket import AF_INET, AF_INET6, socket

PULSE_PORT = 4713


def server_connections() -> frozenset[tuple[int, str]]:
    """Return the descriptors of the connections to named UNIX sockets and to PulseAudio's port, with their identity.

    Empty on other systems than Linux. Sockets of clients and of backends are not among them.
    """
    if not sys.platform.startswith("linux"):
        return frozenset()
    return frozenset(
        (descriptor, identity)
        for descriptor in map(int, os.listdir("/proc/self/fd"))
        if (identity := _identity(descriptor)).startswith("socket:") and _is_of_server(descriptor)
    )


def are_open(connections: frozenset[tuple[int, str]]) -> bool:
    """Return whether no connection was closed: libpulse closes its own when the server has gone."""
    return all(_identity(descriptor) == identity for descriptor, identity in connections)


def _identity(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def _is_of_server(descriptor: int) -> bool:
    try:
        found = socket(fileno=descriptor)
    except OSError:  # closed meanwhile
        return False
    try:
        peer = found.getpeername()
        return bool(peer[1] == PULSE_PORT if found.family in (AF_INET, AF_INET6) else peer)
    except OSError:  # it listens, or is not connected
        return False
    finally:
        found.detach()
