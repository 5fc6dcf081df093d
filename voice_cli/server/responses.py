"""Speech as a streamed HTTP body. The status line waits for the first sound."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voice_cli.errors import Interrupted, VoiceError
from voice_cli.server.errors import problem_of
from voice_cli.server.service import Service
from voice_cli.server.speech import Began, Event, Speech, SpeechOrder

ABORT = "voice.abort"
"""ASGI extension of `hosting` that closes a connection without flushing it."""

PACED = "voice.paced"
"""Extension of a request for `connections`: its response has a timeout of its own for clients that do not read."""

SSE_TYPE = "text/event-stream; charset=utf-8"


class SpeechResponse(Response):
    """The speech of one order.

    An error before the first sound sets the response's status. A later one leaves the body incomplete, so that the
    client notices; with server-sent events, an `error` event precedes that.
    """

    def __init__(self, service: Service, order: SpeechOrder, *, sse: bool = False) -> None:
        self.background = None
        self.service = service
        self._order = order
        self._sse = sse
        self._began = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        speech: Speech | None = None
        scope.setdefault("extensions", {})[PACED] = True
        try:
            async with self.service.speak(self._order) as speech, until_left(partial(speech.cancel, "left"), receive):
                await self.deliver(speech, send)
            return
        except Interrupted:
            if speech is not None and speech.report.reason == "stalled":
                abort(scope)
            return  # the client disconnected
        except VoiceError as exc:
            problem = problem_of(exc)
        if not self._began:
            await problem.response()(scope, receive, send)
        elif self._sse and speech is not None:
            with contextlib.suppress(Interrupted):
                await self.send(speech, send, body_message(event("error", {"error": problem.error}), more=False))

    async def deliver(self, speech: Speech, send: Send) -> None:
        """Send the whole response."""
        async for events in speech:
            if not self._began:
                await self.send(speech, send, self._head(speech, events))
            body = self._body(events)
            if body:
                await self.send(speech, send, body_message(body))
                speech.report.mark("sent")
        await self.send(speech, send, body_message(self._tail(speech), more=False))

    async def send(self, speech: Speech, send: Send, message: dict[str, Any], *, lead: float | None = None) -> None:
        """Send a message. If the client stalled or disconnected, cancel the stream and raise Interrupted.

        `lead`: seconds for which a client that plays may read nothing; None: what was sent so far.
        """
        lead = speech.report.lead if lead is None else lead
        try:
            async with asyncio.timeout(self.service.settings.server.stall_timeout + lead):
                await send(message)
            self._began = True
        except TimeoutError:
            speech.cancel("stalled")
            raise Interrupted("the client stalled") from None
        except OSError:
            speech.cancel("left")
            raise Interrupted("the client left") from None

    def _head(self, speech: Speech, events: Iterable[Event]) -> dict[str, Any]:
        began = next(one for one in events if isinstance(one, Began))
        stages = speech.report.latency()
        timing = ", ".join(f"{stage};dur={stages[stage]}" for stage in stages)
        headers = {
            "content-type": SSE_TYPE if self._sse else began.content_type,
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "server-timing": timing,
        }
        return {"type": "http.response.start", "status": 200, "headers": Headers(headers).raw}

    def _body(self, events: Iterable[Event]) -> bytes:
        data = b"".join(one for one in events if isinstance(one, bytes))
        if self._sse and data:
            return event("speech.audio.delta", {"audio": base64.b64encode(data).decode()})
        return data

    def _tail(self, speech: Speech) -> bytes:
        if not self._sse:
            return b""
        report = speech.report
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "characters": report.characters}
        done = {"usage": usage, "audio_seconds": round(report.audio_seconds, 3), "latency": report.latency()}
        return event("speech.audio.done", {**done, "notes": speech.notes} if speech.notes else done)


@contextlib.asynccontextmanager
async def until_left(leave: Callable[[], object], receive: Receive) -> AsyncIterator[None]:
    """Call `leave` as soon as the client disconnects."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            continue
        leave()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def abort(scope: Scope) -> None:
    """Drop a stalled client's connection, where the host can; a regular close would wait for the client."""
    extension = scope.get("extensions", {}).get(ABORT)
    if extension is not None:
        extension["abort"]()


def body_message(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def event(kind: str, content: dict[str, Any]) -> bytes:
    """Return a server-sent event in OpenAI's form, with the type in its data too."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()
