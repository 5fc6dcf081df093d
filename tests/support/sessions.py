"""WebSocket sessions as tests read them."""

import contextlib
import json
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from support.threads import WAIT


class Ending(NamedTuple):
    """All that came, and how the server closed."""

    messages: list[Any]
    """Bytes, or JSON that was read."""
    code: int | None
    reason: str


def tell(websocket: ClientConnection, *messages: dict) -> None:
    """Send messages as JSON."""
    for message in messages:
        websocket.send(json.dumps(message))


def hear(websocket: ClientConnection) -> Any:
    """Give the next message: bytes, or JSON that was read."""
    message = websocket.recv(timeout=WAIT)
    return message if isinstance(message, bytes) else json.loads(message)


def hear_until(websocket: ClientConnection, is_last: Callable[[Any], bool]) -> list[Any]:
    """Give the messages up to the first that is meant."""
    messages = [hear(websocket)]
    while not is_last(messages[-1]):
        messages.append(hear(websocket))
    return messages


def hear_all(websocket: ClientConnection) -> Ending:
    """Give the messages until the server closes."""
    messages = []
    try:
        while True:
            messages.append(hear(websocket))
    except ConnectionClosed as closed:
        received = closed.rcvd
        return Ending(messages, received and received.code, received.reason if received else "")


def sound_in(messages: list[Any]) -> bytes:
    """Put the binary messages together."""
    return b"".join(message for message in messages if isinstance(message, bytes))


def leave_rudely(websocket: ClientConnection) -> None:
    """Reset the connection, as a client does that dies with sound unread."""
    connection = websocket.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
    connection.close()


def half_close(websocket: ClientConnection) -> None:
    """Send the connection's end, and go on reading."""
    websocket.socket.shutdown(socket.SHUT_WR)
