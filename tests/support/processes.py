"""A process and its descendants, read from /proc on Linux."""

import contextlib
import os
import socket
import struct
from typing import NamedTuple


class Process(NamedTuple):
    """A running process."""

    pid: int
    title: str
    """Its command line or the title it set."""


def family_of(pid: int) -> list[Process]:
    """Return a process and its descendants."""
    children: dict[int, list[int]] = {}
    titles = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # the process has exited
            with open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                titles[int(entry)] = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        if one in titles:
            found.append(Process(one, titles[one]))
        todo += children.get(one, [])
    return found


def listening(process: Process) -> list[tuple[str, int]]:
    """Return the addresses and ports on which a process listens for TCP connections."""
    inodes = set()
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"/proc/{process.pid}/fd"):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(f"/proc/{process.pid}/fd/{descriptor}"))
    found = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        with open(f"/proc/net/{table}") as file:
            rows = [line.split() for line in file][1:]
        for row in rows:
            address, port = row[1].split(":")
            if row[3] == "0A" and f"socket:[{row[9]}]" in inodes:
                words = struct.pack(
                    f"={len(address) // 8}I", *(int(address[i : i + 8], 16) for i in range(0, len(address), 8))
                )
                found.append((socket.inet_ntop(family, words), int(port, 16)))
    return found
