"""The server of the faults: chosen for all requests, or by the first part of a request's path."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any

from faults.listed import FAULTS, Case, Fault, Sound, Spec, is_due, parse, split_path
from support.server import Answer, Request, SpeechServer
from support.ws import Client

Speaker = Callable[[str, str, int], Sound]
"""Returns the sound of a text in a codec; the number is that of the take."""


class Counts:
    """Counts the requests of each specification, from 1. Any thread."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def next(self, spec: str) -> int:
        with self._lock:
            self._counts[spec] += 1
            return self._counts[spec]


class FaultyServer(SpeechServer):
    """A server of `POST /v1/audio/speech` with faults.

    `spec`: those of all requests whose path has none, such as `/cut=1000/v1/audio/speech`. Such a path has its own
    faults alone.
    """

    def __init__(self, speak: Speaker, spec: str = "", **options: Any) -> None:
        parse(spec)
        self._speak = speak
        self._spec = spec
        self._counts = Counts()
        super().__init__(self._answer, **options)

    def _answer(self, request: Request) -> Answer:
        own, path = split_path(request.path)
        text = self._spec if own is None else own
        if request.method != "POST":
            return Answer(b'{"detail": "only speech is here"}', "application/json", status=404)
        spec, number = parse(text), self._counts.next(text)
        asked = request.json
        sound = self._speak(asked["input"], asked.get("response_format", "mp3"), number if "take" in spec else 0)
        answer = Answer(sound.data, sound.content_type)
        if is_due(spec, number):
            case = Case(request, path, sound)
            for name, value in spec.items():
                FAULTS[name].apply(answer, value, case)
        return answer


def _ws_fault(name: str, value: str | None, text: str) -> Fault:
    return Fault(name, value, text, lambda *_: None)  # `FaultyClient` applies it


WS_FAULTS = {
    one.name: one
    for one in (
        _ws_fault("latency", "SECONDS", "wait before the first message"),
        _ws_fault("cut", "COUNT", "reset the connection after this many messages"),
        _ws_fault("close", "COUNT[:CODE]", "close the connection after this many messages, with a close code"),
        _ws_fault("stall", "COUNT", "send nothing more after this many messages"),
        _ws_fault("no-done", None, "do not say that the speech is complete, and keep the connection open"),
        _ws_fault("garbage", "COUNT", "send text that is not JSON instead of the message with this number"),
        FAULTS["every"],
        FAULTS["first"],
    )
}
"""The faults of WebSocket servers. Messages count from 0."""

FINAL = ("complete", "sentence_complete", "audio.done", "session.done", "backend_stream_complete")


def with_ws_faults(talk: Callable[[Client], None], spec: Spec) -> Callable[[Client], None]:
    """Return a handler of clients, for `WsServer`, that adds faults to another one."""
    counts = Counts()

    def handle(client: Client) -> None:
        talk(FaultyClient(client, spec) if is_due(spec, counts.next("")) else client)

    return handle


class FaultyClient(Client):
    """A client that gets messages with faults."""

    def __init__(self, client: Client, spec: Spec) -> None:
        vars(self).update(vars(client))
        self._client = client
        self._spec = spec
        self._count = 0

    def say(self, message: Any) -> None:
        is_final = message.get("type") in FINAL or message.get("event") in FINAL or message.get("is_final") is True
        if not (is_final and "no-done" in self._spec):
            self._pass(lambda: super(FaultyClient, self).say(message))

    def send(self, message: str | bytes) -> None:
        self._pass(lambda: super(FaultyClient, self).send(message))

    def close(self, code: int = 1000, reason: str = "") -> None:
        if "no-done" in self._spec:
            self.wait_until_gone()
        super().close(code, reason)

    def _pass(self, send: Callable[[], None]) -> None:
        count, self._count = self._count, self._count + 1
        if count == 0 and "latency" in self._spec:
            self.left.wait(float(self._spec["latency"]))
        for name, value in self._spec.items():
            at, _, code = value.partition(":")
            if name in ("cut", "close", "stall", "garbage") and count == int(at):
                if name == "garbage":
                    super().send("{ this is not JSON")
                    return
                if name == "cut":
                    self.cut()
                elif name == "close":
                    super().close(int(code or 1011), "the model crashed")
                self.wait_until_gone()
        send()

    def wait_until_gone(self) -> None:
        while True:
            with suppress(TimeoutError):
                super().wait_until_gone()
