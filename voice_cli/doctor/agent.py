"""The agent: whether it runs, answers, is of this version, and whose its socket is."""

import os
import socket
import struct
import sys
from typing import Any

from voice_cli import __version__
from voice_cli.agent.messages import LONG_LINES, MessageReader, ProtocolError, encode
from voice_cli.agent.paths import SOCKET_ENV, own_socket, socket_path
from voice_cli.doctor.finding import BROKEN, OK, WARNING, Finding

SECONDS = 2.0
"""Time for the agent to answer."""


def check_agent() -> Finding:
    """Return the state of this user's agent."""
    if sys.platform == "win32":
        return Finding("agent", OK, "there is none on Windows")
    path = socket_path()
    if own_socket() is None:
        folder = os.path.dirname(path)
        if os.path.lexists(folder):
            remedy = f"chmod 700 {folder}" if os.lstat(folder).st_uid == os.getuid() else f"sudo rm -r {folder}"
            return Finding("agent", BROKEN, f"other users may use {folder}, so no agent is used", remedy)
        return Finding("agent", OK, "does not run; the first speech starts it")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(path)
        except OSError as exc:
            if os.environ.get(SOCKET_ENV):
                found = f"nothing listens at {path}, which {SOCKET_ENV} names ({exc.strerror})"
                return Finding("agent", BROKEN, found, f"unset {SOCKET_ENV}, or start the agent there")
            return Finding("agent", OK, "does not run; the first speech starts it")
        peer = _process_of(connection)
        try:
            connection.sendall(encode({"type": "status"}))
            answer = MessageReader(connection.recv, limit=LONG_LINES).read()
        except (OSError, ProtocolError):
            answer = None
    if answer is None:
        found = f"it does not answer within {SECONDS:g} s" + (f" (process {peer})" if peer else "")
        remedy = f"end it: kill -9 {peer or 'PROCESS'}; the next speech starts another"
        return Finding("agent", BROKEN, found, remedy)
    return _of_status(answer[0])


def _of_status(status: dict[str, Any]) -> Finding:
    version = status.get("version")
    details = {key: status.get(key) for key in ("version", "pid", "memory_mb", "uptime_s")}
    about = f"process {status.get('pid')}, version {version}"
    if version != __version__:
        found = f"{about}; this program has version {__version__}"
        return Finding("agent", WARNING, found, "end the old one: voice agent stop", details)
    return Finding("agent", OK, f"{about}, {status.get('memory_mb') or '?'} MB", details=details)


def _process_of(connection: socket.socket) -> int | None:
    """Return the process that listens (unix(7), SO_PEERCRED); None: unknown."""
    if sys.platform != "linux":
        return None
    try:
        pid, _uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    except OSError:
        return None
    return int(pid) or None
