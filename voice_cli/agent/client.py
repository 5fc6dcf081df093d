"""A client of the agent for Python programs::

    from voice_cli.agent.client import AgentClient

    agent = AgentClient()  # starts the agent if none runs
    speech = agent.say("Hello there", priority="message")
    agent.pause()
    agent.resume()
    print(speech.wait()["text_spoken"])

The methods block until the agent has answered. Any thread may call them; each call has a connection of its own.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from voice_cli.agent.launch import log_path
from voice_cli.agent.launch import start as start_agent
from voice_cli.agent.messages import LONG_LINES, VERSION, Message, MessageReader, encode
from voice_cli.agent.paths import SOCKET_ENV, own_socket, socket_path
from voice_cli.agent.priorities import DEFAULT
from voice_cli.errors import AgentError, VoiceError, error_of

START_SECONDS = 20.0
"""Seconds in which a new agent must listen."""


class AgentClient:
    """A client of the agent that runs, or of a new one."""

    def __init__(self, path: str | None = None, *, start: bool = True) -> None:
        """Set the socket. None: that of this user's agent. `start`: start the agent, if none listens there.

        Raises:
            AgentError: no agent listens, and none could be started.

        """
        found = path or own_socket()
        self.path = found or socket_path()
        is_named = path is not None or SOCKET_ENV in os.environ
        try:
            if found is None:
                raise FileNotFoundError
            _connect(self.path).close()
        except OSError as exc:
            if not start or is_named:
                where = f" on {self.path}" if is_named else ""
                raise AgentError(f"no agent runs{where}", hint="start it: voice agent start") from exc
            start_and_wait(self.path)

    def say(
        self,
        text: str,
        *,
        options: Mapping[str, Any] = MappingProxyType({}),
        priority: str = DEFAULT,
        mode: str = "queue",
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
        detach: bool = False,
    ) -> "AgentSpeech":
        """Speak a text, and return the speech when the agent has accepted it.

        Args:
            text: the text.
            options: options of `voice say` by name, such as `{"voice": "en-gb", "base_url": "http://host/v1"}`.
            priority: one of `priorities.PRIORITIES`.
            mode: `queue`, `interrupt` or `if-idle`.
            name: a name for `stop`.
            environment: the environment with the settings and keys of the speech; None: that of the agent.
            detach: continue when this process ends; `AgentSpeech.wait` cannot be called.

        Raises:
            VoiceError: the agent refused it, with the kind and exit code of `voice say`.

        """
        given = {"text": [text], "priority": priority, mode.replace("-", "_"): True, "detach": detach}
        message: Message = {"type": "say", "version": VERSION, "options": {**options, **given}}
        message |= {"folder": os.getcwd(), "stdin": False}
        message |= {} if name is None else {"name": name}
        message |= {} if environment is None else {"environment": dict(environment)}
        return self._start(message, detach=detach)

    def stop(self, id: int | None = None, *, name: str | None = None, all: bool = False) -> list[dict[str, Any]]:  # noqa: A002
        """Stop the speech that is spoken, or one, those of a name, or all; return what was stopped.

        Each has `id`, `name`, `priority`, `state`, `text`, `text_spoken` and `text_remaining`.
        """
        message: Message = {"type": "stop", "all": all}
        message |= {} if id is None else {"id": id}
        message |= {} if name is None else {"name": name}
        return list(self.request(message)["stopped"])

    def pause(self) -> None:
        """Pause the speech that is spoken.

        Raises:
            UsageError: nothing is spoken.

        """
        self.request({"type": "pause"})

    def resume(self) -> None:
        """Continue at the frame at which `pause` stopped; raises as that."""
        self.request({"type": "resume"})

    def skip(self, count: int) -> None:
        """Skip so many sentences, negative numbers back; raises as `pause`."""
        self.request({"type": "skip", "count": count})

    def set_volume(self, factor: float) -> None:
        """Set the volume of the speech that is spoken; raises as `pause`."""
        self.request({"type": "volume", "factor": factor})

    def set_speed(self, factor: float) -> None:
        """Set the speed of the speech that is spoken; its pitch does not change. Raises as `pause`."""
        self.request({"type": "speed", "factor": factor})

    def replay(self, count: int = 1, *, history: str | None = None, detach: bool = False) -> "AgentSpeech":
        """Speak one of the last speeches again, 1 is the last, and return the new speech; as `say`.

        `history`: its id in the history, instead of `count`.

        Raises:
            AgentError: the agent has no such speech.

        """
        which = {"count": count} if history is None else {"history": history}
        return self._start({"type": "replay", "detach": detach, **which}, detach=detach)

    def queue(self) -> list[dict[str, Any]]:
        """Return the speeches that are spoken or wait, in order."""
        return list(self.request({"type": "queue"})["queue"])

    def status(self) -> dict[str, Any]:
        """Return the state of the agent: version, memory, what is spoken, and what waits."""
        return {key: value for key, value in self.request({"type": "status"}).items() if key != "type"}

    def shutdown(self, *, now: bool = False) -> None:
        """Ask the agent to end after its speeches; `now`: cancel them."""
        self.request({"type": "shutdown", "now": now})

    def request(self, message: Message) -> Message:
        """Send a control message and return the answer.

        Raises:
            AgentError: the agent has died.
            VoiceError: it refused the message.

        """
        with contextlib.closing(self._open()) as connection:
            for answer in _messages(connection, message):
                if answer["type"] == "done":
                    return answer
                raise _error(answer)
        raise AgentError("the agent has ended", hint="try again")

    def _start(self, message: Message, *, detach: bool) -> "AgentSpeech":
        speech = AgentSpeech(self._open(), message)
        if detach:
            speech.close()
        return speech

    def _open(self) -> socket.socket:
        try:
            return _connect(self.path)
        except OSError as exc:
            raise AgentError("the agent has ended", hint="try again") from exc


class AgentSpeech:
    """A speech of the agent. Call `wait`, or `close` it, which ends the speech unless it is detached."""

    def __init__(self, connection: socket.socket, message: Message) -> None:
        """Send the message `say` or `replay`, and wait until it is accepted; raises as `AgentClient.say`."""
        self.id = 0
        self._connection = connection
        self._messages = _messages(connection, message)
        self._outcome: dict[str, Any] | None = None
        self._lock = threading.Lock()
        try:
            for answer in self._messages:
                if answer["type"] == "accepted":
                    self.id = answer["id"]
                    return
                if answer["type"] == "declined":
                    raise AgentError(f"the agent declined the speech: {answer['reason']}")
                if answer["type"] == "end":
                    raise _error(answer["account"]["json"]["error"])
                raise _error(answer)
            raise AgentError("the agent has ended", hint="try again")
        except BaseException:
            connection.close()
            raise

    def wait(self) -> dict[str, Any]:
        """Return the outcome when the speech has ended: the object of `voice say --json`.

        Raises:
            AgentError: the agent has died.

        """
        with self._lock:
            if self._outcome is None:
                if self._connection.fileno() < 0:
                    raise RuntimeError("wait() after close()")
                for message in self._messages:
                    if message["type"] == "end":
                        self._outcome = message["account"]["json"]
                        break
                    if message["type"] == "error" and message.get("of") is None:
                        self._connection.close()
                        raise _error(message)
                self._connection.close()
            if self._outcome is None:
                raise AgentError("the agent has ended during the speech", hint="try again")
            return self._outcome

    def close(self) -> None:
        """Disconnect. May be called again."""
        self._connection.close()

    def __enter__(self) -> "AgentSpeech":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def cancel(self) -> None:
        """Stop the speech soon. Any thread."""
        with contextlib.suppress(OSError):
            self._connection.sendall(encode({"type": "cancel"}))


def start_and_wait(path: str) -> None:
    """Start the agent, and return when it listens.

    Raises:
        AgentError: it does not within `START_SECONDS`.

    """
    try:
        process = start_agent()
    except OSError as exc:
        raise AgentError(f"the agent cannot be started: {exc.strerror}") from exc
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            _connect(path).close()
        except OSError:
            if process.poll() is not None:  # or another one was started at the same time, and listens soon
                deadline = min(deadline, time.monotonic() + 1.0)
            time.sleep(0.02)
        else:
            return
    raise AgentError("the agent did not start", hint=f"see {log_path()}")


def _connect(path: str) -> socket.socket:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this system has no Unix sockets")
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _messages(connection: socket.socket, message: Message) -> Iterator[Message]:
    """Send a message and yield those that come, until the connection ends."""
    reader = MessageReader(connection.recv, limit=LONG_LINES)
    with contextlib.suppress(OSError):
        connection.sendall(encode(message))
        while (read := reader.read()) is not None:
            yield read[0]


def _error(answer: Message) -> VoiceError:
    return error_of(str(answer.get("kind")), str(answer.get("message")), answer.get("hint"))
