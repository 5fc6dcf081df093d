"""Helpers for WebSocket clients."""

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
    """The messages received and the close frame."""

    messages: list[Any]
    """Bytes or decoded JSON."""
    code: int | None
    reason: str


def send_json(websocket: ClientConnection, *messages: dict) -> None:
    """Send messages as JSON."""
    for message in messages:
        websocket.send(json.dumps(message))


def receive(websocket: ClientConnection) -> Any:
    """Return the next message: bytes or decoded JSON."""
    message = websocket.recv(timeout=WAIT)
    return message if isinstance(message, bytes) else json.loads(message)


def receive_until(websocket: ClientConnection, is_last: Callable[[Any], bool]) -> list[Any]:
    """Return the messages up to and including the first for which `is_last` is true."""
    messages = [receive(websocket)]
    while not is_last(messages[-1]):
        messages.append(receive(websocket))
    return messages


def receive_all(websocket: ClientConnection) -> Ending:
    """Return the messages until the server closes."""
    messages = []
    try:
        while True:
            messages.append(receive(websocket))
    except ConnectionClosed as closed:
        received = closed.rcvd
        return Ending(messages, received and received.code, received.reason if received else "")


def sound_in(messages: list[Any]) -> bytes:
    """Join the binary messages."""
    return b"".join(message for message in messages if isinstance(message, bytes))


def reset_connection(websocket: ClientConnection) -> None:
    """Reset the connection, like a client that exits with unread audio."""
    connection = websocket.socket
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
    connection.close()


def half_close(websocket: ClientConnection) -> None:
    """Close the sending side only."""
    websocket.socket.shutdown(socket.SHUT_WR)
