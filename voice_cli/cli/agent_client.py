"""`voice say` through the agent: the request.

A process that speaks through the agent imports as little as possible before its request, since Python's start is most
of the time until the first sound: no `socket` (5 ms), `json` (5 ms) or `typing` (5 ms), but the C modules below two of
them. Everything else is imported while the agent works (`agent_following`).
"""

import os
import sys
import time

from voice_cli import __version__
from voice_cli.agent.paths import SOCKET_ENV, own_socket
from voice_cli.clock import process_start
from voice_cli.folders import config_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Mapping, Sequence

MAX_REQUEST = 1 << 20
"""As `agent.messages.MAX_BYTES`."""


def speak_through_agent(arguments: "Sequence[str]") -> int | None:
    """Send the request to the agent, and return the exit code; None: speak in this process.

    `arguments`: those of `voice say`.
    """
    if "--no-agent" in arguments or os.environ.get("VOICE_AGENT") == "off" or "VOICE_TRACE" in os.environ:
        return None
    connection = connect()
    if connection is None:
        return None
    request = _request(arguments)
    return None if request is None else _follow(connection, request)


def replay_through_agent(which: "Mapping[str, object]") -> int | None:
    """Have the agent speak a speech again, and return the exit code; None: there is no agent, or it has forgotten it.

    `which`: the field of the message `replay` that says which one.
    """
    from voice_cli.agent.messages import encode

    connection = connect()
    if connection is None:
        return None
    return _follow(connection, encode({"type": "replay", "terminals": _terminals(), **which}))


def _follow(connection: "socket", request: bytes) -> int | None:
    """Send the request, and handle the speech; return as `follow`."""
    try:
        connection.sendall(request)
    except OSError:
        return None
    from voice_cli.cli.agent_following import follow

    return follow(connection)


def _terminals() -> list[str]:
    """Return which of the standard streams are terminals."""
    names = (("stdin", sys.stdin), ("stdout", sys.stdout), ("stderr", sys.stderr))
    return [name for name, stream in names if stream is not None and stream.isatty()]


CONTROL_SECONDS = 10.0
"""Seconds to wait for the answer to a control message."""

CONTROLS = {
    "stop": b'{"type":"stop"}\n',
    "pause": b'{"type":"pause"}\n',
    "resume": b'{"type":"resume"}\n',
    "skip": b'{"type":"skip","count":1}\n',
    "back": b'{"type":"skip","count":-1}\n',
}
"""The messages of the commands that must act at once, without options."""


def control(command: str) -> bool:
    """Send a command of `CONTROLS`, and return whether the agent did it. Otherwise, `agent_control` reports why."""
    connection = connect()
    if connection is None:
        return False
    connection.settimeout(CONTROL_SECONDS)
    try:
        connection.sendall(CONTROLS[command])
        answer = connection.recv(1 << 16)
    except OSError:
        return False
    finally:
        connection.close()
    return answer.startswith(b'{"type":"done"')


def connect() -> "socket | None":
    """Connect to the agent; None: it does not run."""
    if sys.platform == "win32":
        return None
    path = own_socket()
    if path is None:
        return None
    from _socket import AF_UNIX, SOCK_STREAM, socket

    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:  # also a path that is too long
        connection.close()
        return None
    return connection


def _request(arguments: "Sequence[str]") -> bytes | None:
    """Return the message `say` (docs/AGENT.md); None: this process must speak, which reports what is wrong."""
    from _json import encode_basestring_ascii as quoted

    path = config_path()
    try:
        with open(path, "rb") as file:
            config = quoted(file.read().decode("utf-8", "surrogateescape"))
    except (FileNotFoundError, NotADirectoryError):
        config = "null"
    except OSError:
        return None
    try:
        folder = quoted(os.getcwd())
    except OSError:
        return None
    program = "" if SOCKET_ENV in os.environ else f',"program":{quoted(__version__)}'
    environment = ",".join([f"{quoted(name)}:{quoted(value)}" for name, value in os.environ.items()])
    age = max(0.0, time.monotonic() - process_start())
    request = (
        f'{{"type":"say","version":1,"arguments":[{",".join(map(quoted, arguments))}]'
        f',"environment":{{{environment}}},"config":{{"path":{quoted(path)},"text":{config}}}'
        f',"folder":{folder},"terminals":[{",".join(map(quoted, _terminals()))}]'
        f',"stdin":{"true" if sys.stdin is not None else "false"},"age":{age:.6f}{program}}}\n'
    ).encode()
    return request if len(request) <= MAX_REQUEST else None
