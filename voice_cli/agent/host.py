"""The agent's process: it listens on the socket, serves connections, answers control messages, and ends when idle."""

import contextlib
import os
import socket
import struct
import sys
import threading
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from voice_cli.agent.messages import Message, ProtocolError
from voice_cli.agent.paths import make_private
from voice_cli.agent.session import Declined, Session, Speech, field
from voice_cli.agent.turns import Ticket, Turns, remove, ticket_name
from voice_cli.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

LAST_SECONDS = 1.0
"""Seconds in which the last clients should take their answers, when the agent ends."""

KEPT_SPEECHES = 20
"""How many of the last speeches can be spoken again."""

ACCEPT_SECONDS = 0.05
"""Seconds until the next try after a connection could not be accepted."""

MAX_WAIT = 60.0
"""Seconds: the most between two checks whether the agent was idle."""

MAX_CONNECTIONS = 512
"""The most connections at once; further ones wait to be accepted."""


class Host:
    """The agent. `run` serves until `shutdown`, or until it was idle for `idle` seconds.

    `open_speech` is called with the id and the message of a speech, its session and this host, and returns the speech.
    """

    def __init__(
        self,
        path: str,
        open_speech: "Callable[[int, Message, Session, Host], Speech]",
        *,
        idle: float,
        version: str,
        turns: Turns | None = None,
    ) -> None:
        self.path = path
        self.version = version
        self.idle = idle
        """Seconds without a speech after which the agent ends."""
        self.turns = turns or Turns()
        self.started = time.time()
        self.spoken = 0
        """Speeches that have ended."""
        self._open_speech = open_speech
        self._ids = count(1)
        self._last: deque[Message] = deque(maxlen=KEPT_SPEECHES)
        """The messages with which the last speeches can be spoken again, the latest first."""
        self._speeches: dict[int, Speech] = {}
        self._lock = threading.Condition()
        self._places = threading.Semaphore(MAX_CONNECTIONS)
        self._connections = 0
        self._active_at = time.monotonic()
        self._is_ending = False
        self._listener: socket.socket | None = None
        self._locked = -1
        self._controls: dict[str, Callable[[Message], dict[str, Any]]] = {
            "stop": self._stop,
            "pause": lambda message: self._on_player(message, "pause"),
            "resume": lambda message: self._on_player(message, "resume"),
            "skip": lambda message: self._on_player(message, "skip", _needed(message, "count", int)),
            "volume": lambda message: self._on_player(message, "set_volume", _needed(message, "factor", float)),
            "speed": lambda message: self._on_player(message, "set_speed", _needed(message, "factor", float)),
            "queue": lambda _: {"queue": [ticket.described() for ticket in self.turns.tickets()]},
            "status": lambda _: self._status(),
            "shutdown": self._shut_down,
        }

    def listen(self) -> None:
        """Create the socket. A socket without a process is replaced.

        Raises:
            AgentError: an agent listens on it.
            OSError: it cannot be created.

        """
        folder = os.path.dirname(self.path)
        make_private(folder)
        import fcntl

        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise AgentError(f"an agent already listens on {self.path}") from None
        self._locked = lock
        listener = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        listener.bind(self.path)
        os.chmod(self.path, 0o600)
        listener.listen(MAX_CONNECTIONS)
        self._listener = listener

    def run(self) -> None:
        """Serve connections, each on a thread, until the agent ends. Call `listen` first."""
        if self._listener is None:
            raise RuntimeError("run() before listen()")
        threading.Thread(target=self._watch_idle, name="voice-agent-idle", daemon=True).start()
        while not self._is_ending:
            self._places.acquire()
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed by `end`; or there are too many open files, or the peer has gone
                self._places.release()
                if not self._is_ending:
                    time.sleep(ACCEPT_SECONDS)
                continue
            if not is_same_user(connection):
                connection.close()
                self._places.release()
                continue
            with self._lock:
                self._connections += 1
            threading.Thread(target=self._serve, args=(connection,), name="voice-agent-client", daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            Session(connection, self._say, self._control).run()
        finally:
            with self._lock:
                self._connections -= 1
                self._lock.notify_all()
            self._places.release()

    def _say(self, message: Message, session: Session) -> Speech:
        if message["type"] == "replay":
            message = self._again(message)
        speech = self._open_speech(next(self._ids), message, session, self)
        self.add(speech)
        return speech

    def add(self, speech: Speech) -> None:
        """Add a speech, which control messages may then name."""
        with self._lock:
            self._speeches[speech.id] = speech
            self._active_at = time.monotonic()

    def forget(self, speech: Speech) -> None:
        """Remove a speech that has ended."""
        with self._lock:
            self._speeches.pop(speech.id, None)
            self._active_at = time.monotonic()
            self.spoken += 1
            self._lock.notify_all()

    def _control(self, message: Message) -> Message:
        handler = self._controls.get(message["type"])
        if handler is None:
            raise ProtocolError(f"this agent has no message {message['type']!r}")
        return {"type": "done", **handler(message)}

    def remember(self, message: Message) -> None:
        """Keep the message `say` with which a speech can be spoken again."""
        with self._lock:
            self._last.appendleft(message)

    def _again(self, message: Message) -> Message:
        """Return the message `say` with which the speech that a message `replay` names is spoken again."""
        index, number = (field(message, "count", int) or 1) - 1, field(message, "history", str)
        with self._lock:
            if number is not None:
                index = next((at for at, each in enumerate(self._last) if each.get("history") == number), -1)
            if not 0 <= index < len(self._last):
                raise Declined(f"it has {len(self._last)} speeches to replay")
            again = self._last[index]
        options = again["options"] | {"detach": field(message, "detach", bool, False)}
        return again | {"options": options, "terminals": message.get("terminals", [])}

    def cancel(self, ticket: Ticket) -> None:
        """End a speech of the queue, of this process or another one."""
        speech = self._speech_of(ticket)
        if speech is not None:
            speech.cancel()
        else:
            remove(ticket.path)

    def _speech_of(self, ticket: Ticket) -> Speech | None:
        """Return the speech of a ticket; None: another process speaks it."""
        if (ticket.agent, ticket.pid) != (self.path, os.getpid()):
            return None
        with self._lock:
            return self._speeches.get(ticket.id)

    def _stop(self, message: Message) -> dict[str, Any]:
        tickets = self.turns.tickets()
        number, name = field(message, "id", int), field(message, "name", str)
        if number is not None:
            chosen = [ticket for ticket in tickets if ticket.id == number]
        elif name is not None:
            chosen = [ticket for ticket in tickets if ticket.name == ticket_name(name)]
        else:
            chosen = tickets if field(message, "all", bool, False) else [each for each in tickets if each.is_speaking]
        speeches = [(ticket, self._speech_of(ticket)) for ticket in chosen]
        for ticket in chosen:
            self.cancel(ticket)
        return {
            "stopped": [ticket.described() | (_outcome_of(speech) if speech else {}) for ticket, speech in speeches]
        }

    def _on_player(self, message: Message, method: str, *values: object) -> dict[str, Any]:
        """Call a method of the player that speaks, if it speaks the speech that the message names."""
        number = field(message, "id", int)
        current = next(iter(self.turns.tickets()), None)
        if current is None or not current.is_speaking or number not in (None, current.id):
            raise UsageError("nothing is spoken" if number is None else f"speech {number} is not spoken now")
        speech = self._speech_of(current)
        if speech is None and current.agent not in ("", self.path):
            from voice_cli.agent.client import AgentClient

            with contextlib.suppress(AgentError):
                return AgentClient(current.agent, start=False).request(message)
        if speech is None or speech.player is None:
            raise UsageError(
                f"the speech of process {current.pid} is not spoken by the agent", hint="it can only be stopped"
            )
        getattr(speech.player, method)(*values)
        return {"id": speech.id}

    def _status(self) -> dict[str, Any]:
        tickets = self.turns.tickets()
        speech = self._speech_of(tickets[0]) if tickets and tickets[0].is_speaking else None
        player = speech.player if speech is not None else None
        return {
            "version": self.version,
            "pid": os.getpid(),
            "socket": self.path,
            "uptime_s": round(time.time() - self.started, 1),
            "spoken": self.spoken,
            "idle_timeout_s": self.idle,
            "memory_mb": _memory_mb(),
            "speaking": (tickets[0].described() | _now(player)) if tickets and tickets[0].is_speaking else None,
            "waiting": [ticket.described() for ticket in tickets if not ticket.is_speaking],
        }

    def _shut_down(self, message: Message) -> dict[str, Any]:
        """End, when the speeches have ended; with `now`, stop them first."""
        if field(message, "now", bool, False):
            self.stop_speeches()
        threading.Thread(target=self.end, name="voice-agent-end", daemon=True).start()
        return {}

    def stop_speeches(self) -> None:
        """Cancel all speeches of this agent."""
        with self._lock:
            speeches = list(self._speeches.values())
        for speech in speeches:
            speech.cancel()

    def end(self) -> None:
        """Stop listening, and let `run` return. Another agent may then listen."""
        with self._lock:
            if self._is_ending:
                return
            self._is_ending = True
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            os.close(self._locked)

    def wait_for_speeches(self) -> None:
        """Return when no speech is left, and its client has the outcome. Call after `run`."""
        with self._lock:
            self._lock.wait_for(lambda: not self._speeches)
            self._lock.wait_for(lambda: not self._connections, LAST_SECONDS)

    def _watch_idle(self) -> None:
        while not self._is_ending:
            with self._lock:
                left = self.idle if self._speeches else self.idle - (time.monotonic() - self._active_at)
            if left <= 0:
                self.end()
                return
            time.sleep(min(left, MAX_WAIT))


def is_same_user(connection: socket.socket) -> bool:
    """Return whether the peer's process belongs to this user (unix(7), SO_PEERCRED; on macOS LOCAL_PEERCRED)."""
    try:
        if sys.platform == "linux":
            _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        else:
            _version, uid = struct.unpack("2I", connection.getsockopt(0, 1, 76)[:8])
    except (OSError, struct.error):  # the peer has gone
        return False
    return bool(uid == os.getuid())


def _needed(message: Message, name: str, kind: type) -> Any:
    value = field(message, name, kind)
    if value is None:
        raise UsageError(f"the message {message['type']} needs {name}")
    return value


def _outcome_of(speech: Speech) -> dict[str, Any]:
    """Wait for the end of a speech that was cancelled, and return what was heard."""
    outcome = speech.wait_for_end(2.0) or {}
    return {key: outcome.get(key) for key in ("text_spoken", "text_remaining")}


def _now(player: Any) -> dict[str, Any]:
    """Return what a player does."""
    if player is None:
        return {}
    return {
        "position_s": round(player.heard, 3),
        "paused": player.is_paused,
        "volume": player.volume,
        "speed": player.speed,
    }


def _memory_mb() -> float | None:
    """Return this process's resident memory in MB (proc(5)); None: the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return round(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    except (OSError, ValueError, IndexError):
        return None
