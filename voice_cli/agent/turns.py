"""The queue of speeches of one user, of all processes: one is spoken at a time.

Each speech has a ticket: a file that its process locks as long as the speech waits or is spoken (flock(2)), so the
ticket of a process that died is recognized by its lock. The names of the tickets sort in the order of the speeches.
The speech that is spoken also has the lock of the file `speaking`.

A speech is cancelled by removing its ticket, which its process notices.
"""

import contextlib
import sys

from voice_cli.errors import AgentError, Dropped, Interrupted

if sys.platform == "win32":  # no flock(2)
    raise AgentError("there is no agent on Windows", hint="speeches are spoken in their own processes")

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

from voice_cli.agent.paths import make_private, runtime_folder
from voice_cli.agent.priorities import PRIORITIES

SPEAKING = "speaking"
"""The name of the file that the process that speaks has locked. It contains the name of its ticket."""

FIRST_POLL, POLL, MAX_POLL = 0.01, 0.02, 0.5
"""Seconds between two looks at the queue: the first, more for each speech ahead, and the most."""

SHOWN_CHARACTERS = 80
"""Characters of the text, and of the name, in a ticket."""

_numbers = count()


class Ticket(NamedTuple):
    """A speech that waits or is spoken."""

    path: str
    pid: int
    id: int
    """A number of its process's, for the agent's protocol."""
    agent: str
    """The socket of the agent that speaks it; empty: its process speaks it itself."""
    priority: str
    is_speaking: bool
    name: str
    """As in the agent's protocol; may be empty."""
    text: str
    """The start of its text."""

    def described(self) -> dict[str, Any]:
        """Return it as in the agent's protocol."""
        return {
            "id": self.id,
            "name": self.name or None,
            "priority": self.priority,
            "state": "speaking" if self.is_speaking else "waiting",
            "text": self.text,
            "pid": self.pid,
        }


def effects(priority: str, mode: str, others: Sequence[Ticket]) -> tuple[bool, list[Ticket]]:
    """Return whether a speech that arrives is dropped, and which of the others it cancels."""
    if mode == "if-idle" and others:
        return True, []
    if priority == "notification" and any(other.priority != "notification" for other in others):
        return True, []
    cancelled = {
        "important": ("notification", "progress"),
        "message": ("text", "notification", "progress"),
        "text": ("text", "notification", "progress"),
        "notification": ("notification",),
        "progress": (),
    }[priority]
    return False, [
        other
        for other in others
        if other.priority in cancelled
        or (priority == "important" and other.is_speaking and other.priority != "important")
        or (priority == "progress" and other.priority == "progress" and not other.is_speaking)
        or (mode == "interrupt" and other.is_speaking and other.priority != "important")
    ]


class Turns:
    """The queue in a folder. Without a folder that can be used, there is no order: each speech is spoken at once."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = folder or os.path.join(runtime_folder(), "queue")

    def tickets(self) -> list[Ticket]:
        """Return the speeches that wait or are spoken, in order, the one that is spoken first."""
        speaking = ""
        path = os.path.join(self.folder, SPEAKING)
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            speaking = file.read(255)
        try:
            names = sorted(os.listdir(self.folder))
        except OSError:
            return []
        found = [self._read(name, is_speaking=name == speaking) for name in names if name[0].isdecimal()]
        return sorted(filter(None, found), key=lambda ticket: not ticket.is_speaking)

    def _read(self, name: str, *, is_speaking: bool) -> Ticket | None:
        """Return a ticket; None: its process has ended. The ticket is then removed."""
        path = os.path.join(self.folder, name)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                if _try_lock(file.fileno(), fcntl.LOCK_SH):
                    os.unlink(path)
                    return None
                pid, number, agent, label, text = file.read(4096).split("\n", 4)
        except (OSError, ValueError):
            return None
        priority = PRIORITIES[min(int(name[0]), len(PRIORITIES) - 1)]
        return Ticket(path, int(pid), int(number), agent, priority, is_speaking, label, text)

    def take(self, priority: str, mode: str, *, id: int = 0, agent: str = "", name: str = "", text: str = "") -> "Turn":  # noqa: A002
        """Add a ticket to the queue.

        Raises:
            Dropped: another speech is spoken or waits, which this one may not disturb.

        """
        content = f"{os.getpid()}\n{id}\n{agent}\n{ticket_name(name)}\n{' '.join(text[:SHOWN_CHARACTERS].split())}"
        order = f"{PRIORITIES.index(priority)}{int(mode != 'interrupt')}-{time.monotonic_ns():020d}"
        path = os.path.join(self.folder, f"{order}-{os.getpid()}-{next(_numbers)}")
        try:
            make_private(os.path.dirname(self.folder))
            make_private(self.folder)
            with self.locked():
                self._remove_hidden()
                is_dropped, cancelled = effects(priority, mode, self.tickets())
                if is_dropped:
                    raise Dropped("not spoken: another speech is playing")
                descriptor = _create(path, content.encode("utf-8", "replace"))
                for ticket in cancelled:
                    remove(ticket.path)
        except OSError:  # such as that the folder cannot be used
            return Turn(self, None, -1, cancelled=())
        return Turn(self, path, descriptor, cancelled=cancelled)

    def _remove_hidden(self) -> None:
        """Remove what crashed processes have left. With the lock: without it, a hidden ticket is one in the making."""
        for name in os.listdir(self.folder):
            if name.startswith("."):
                remove(os.path.join(self.folder, name))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing the queue, for a moment."""
        descriptor = os.open(os.path.join(self.folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class Turn:
    """A place in the queue. Release it."""

    def __init__(self, turns: Turns, path: str | None, descriptor: int, *, cancelled: Sequence[Ticket]) -> None:
        self.cancelled = cancelled
        """The speeches that this one has cancelled."""
        self._turns = turns
        self.path = path
        self._descriptor = descriptor
        self._speaking = -1
        self.seconds_of_silence = math.inf
        """Seconds since the last speech ended, when this one's turn began."""

    def wait(self, pause: Callable[[float], bool], on_wait: Callable[[int], object] | None = None) -> None:
        """Return when it is this speech's turn.

        `pause` waits for so many seconds, and returns whether the speech was cancelled; `on_wait` is called with the
        number of speeches ahead when that changes.

        Raises:
            Interrupted: the speech was cancelled.

        """
        told = 0
        while self.path is not None:
            if self.is_cancelled:
                raise Interrupted("cancelled by another speech")
            ahead = self._ahead()
            if not ahead:
                with self._turns.locked():
                    if not (self._ahead() or self.is_cancelled) and self._begin():
                        return
            if on_wait is not None and ahead != told:
                on_wait(ahead)
                told = ahead
            if pause(min(MAX_POLL, FIRST_POLL + POLL * ahead)):
                raise Interrupted("interrupted")

    def _ahead(self) -> int:
        """Return how many speeches come first."""
        tickets = self._turns.tickets()
        return sum(ticket.is_speaking or ticket.path < (self.path or "") for ticket in tickets)

    def _begin(self) -> bool:
        """Lock `SPEAKING`, if no speech is spoken."""
        path = os.path.join(self._turns.folder, SPEAKING)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _try_lock(descriptor, fcntl.LOCK_EX):
            os.close(descriptor)
            return False
        self._speaking = descriptor
        status = os.fstat(descriptor)
        if status.st_size:  # else no speech came before
            self.seconds_of_silence = max(0.0, time.time() - status.st_mtime)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, os.path.basename(self.path or "").encode())
        return True

    @property
    def is_cancelled(self) -> bool:
        """Whether another process has removed the ticket."""
        return self.path is not None and not os.path.exists(self.path)

    def release(self) -> None:
        """Remove the ticket, and release the locks. May be called again."""
        path, self.path = self.path, None
        if path is not None:
            remove(path)
        if self._speaking >= 0:
            os.utime(self._speaking)
        for descriptor in (self._speaking, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._speaking = self._descriptor = -1


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def ticket_name(name: str) -> str:
    """Return a name as tickets have it: one line, not too long."""
    return " ".join(name.split())[:SHOWN_CHARACTERS]


def _create(path: str, content: bytes) -> int:
    """Create a ticket and lock it, before others can see it; return its descriptor."""
    hidden = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}")
    descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, content)
        os.rename(hidden, path)
    except BaseException:
        os.close(descriptor)
        remove(hidden)
        raise
    return descriptor


def remove(path: str) -> None:
    """Remove a ticket, which cancels its speech."""
    with contextlib.suppress(OSError):
        os.unlink(path)
