"""A stand-in for the agent, and for its client in other processes.

The client (`voice_cli.agent.client.AgentClient`) sends each call to the test, which records it and decides the answer.
"""

import contextlib
import importlib.util
import itertools
import json
import os
import queue
import socket
import sys
import threading
import types
from pathlib import Path

from support.threads import WAIT, happened
from voice_cli.errors import EngineError

VARIABLE = "VOICE_FAKE_AGENT"
"""The path of the stand-in's socket; unset: no agent runs, and none can be started."""
PROGRAM = (
    "from support.fake_agent import install; install(); from voice_cli.__main__ import main; raise SystemExit(main())"
)
VOICE = (sys.executable, "-W", "error", "-c", PROGRAM)
"""`voice` with the client of the stand-in."""


class FakeAgent:
    """Records the calls of clients, and answers them."""

    def __init__(self, path):
        self.calls = queue.Queue()
        """Pairs of a method's name and its arguments by name."""
        self.answers = {}
        """The results of methods by name, without those of `say`."""
        self.refusal = None
        """The error of each call."""
        self.has_started = threading.Event()
        """Until it is set, clients that start the agent wait."""
        self.has_started.set()
        self._speeches = {}
        self._ids = itertools.count(1)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen()
        self.environment = {VARIABLE: str(path), "PYTHONPATH": str(Path(__file__).parent.parent)}
        threading.Thread(target=self._accept, daemon=True).start()

    def call(self):
        """Return the next call."""
        return self.calls.get(timeout=WAIT)

    def end(self, speech, **outcome):
        """End a speech."""
        ended, values = self._speeches[speech]
        values.update(outcome)
        ended.set()

    def close(self):
        self._listening.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._listening.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(BrokenPipeError), connection, connection.makefile("rwb") as file:
            method, arguments = json.loads(file.readline())
            if method == "start":
                happened(self.has_started)
                file.write(b"{}\n")
                return
            self.calls.put((method, arguments))
            answer = {"error": self.refusal} if self.refusal else {"result": self._answer(method, arguments)}
            file.write(json.dumps(answer).encode() + b"\n")

    def _answer(self, method, arguments):
        if method == "say":
            speech = next(self._ids)
            self._speeches[speech] = (threading.Event(), {})
            return speech
        if method in ("wait", "cancel"):
            ended, outcome = self._speeches[arguments["id"]]
            if method == "cancel":
                self.end(arguments["id"], outcome="cancelled")
            happened(ended)
            return outcome
        return self.answers.get(method)


class AgentClient:
    """The client in the other process, with the signatures of the real one."""

    def __init__(self, path=None, *, start=True):
        if VARIABLE not in os.environ:
            raise EngineError("cannot start the agent" if start else "no agent runs")
        if start:
            self._call("start")

    def say(
        self,
        text,
        *,
        options=None,
        priority="message",
        mode="queue",
        name=None,
        environment=None,
        detach=False,
    ):
        given = {"text": text, "options": dict(options or {}), "priority": priority, "mode": mode, "name": name}
        given |= {"detach": detach, "has_environment": (environment or {}).get(VARIABLE) == os.environ[VARIABLE]}
        return AgentSpeech(self._call("say", **given))

    def stop(self, id=None, *, name=None, all=False):  # noqa: A002
        return self._call("stop", id=id, name=name, all=all)

    def queue(self):
        return self._call("queue")

    def status(self):
        return self._call("status")

    @staticmethod
    def _call(method, **arguments):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.environ[VARIABLE])
            with connection.makefile("rwb") as file:
                file.write(json.dumps([method, arguments]).encode() + b"\n")
                file.flush()
                answer = json.loads(file.readline())
        if "error" in answer:
            raise EngineError(answer["error"])
        return answer.get("result")


class AgentSpeech:
    """A speech of the stand-in."""

    def __init__(self, id):  # noqa: A002
        self.id = id

    def wait(self):
        return AgentClient._call("wait", id=self.id)

    def cancel(self):
        AgentClient._call("cancel", id=self.id)


def install():
    """Put the stand-in in the place of the real client, in this process."""
    module = types.ModuleType("voice_cli.agent.client")
    module.AgentClient = AgentClient
    sys.modules["voice_cli.agent.client"] = module
    if importlib.util.find_spec("voice_cli.agent") is None:
        sys.modules["voice_cli.agent"] = types.ModuleType("voice_cli.agent")
