"""The session loop that all WebSocket protocols share: one task reads messages, another sends speech in order.

Because the reader is a task of its own, a disconnect is noticed during generation and cancels it. Sends have a timeout.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from voice_cli.errors import Interrupted, VoiceError
from voice_cli.protocol.fields import Message, read, write
from voice_cli.script.pauses import LiveText
from voice_cli.server.errors import DrainingError, OrderError, Problem, problem_of
from voice_cli.server.responses import abort
from voice_cli.server.service import Service
from voice_cli.server.speech import Speech, SpeechOrder

MOST_MESSAGE = 1 << 20
"""Characters or bytes of one message."""
MOST_REASON = 123
"""Bytes of a close frame's reason (RFC 6455 section 5.5)."""
MOST_WAITING = 64
"""Queued orders of one session."""

GOING_AWAY, POLICY, TOO_BIG, FAILED, TRY_AGAIN = 1001, 1008, 1009, 1011, 1013
"""Close codes (RFC 6455 section 7.4.1, and IANA's registry)."""


class Left(Exception):  # noqa: N818  an ending, not a failure
    """The client disconnected or stalled."""


class SocketSession(ABC):
    """One connection. A subclass per protocol interprets its messages."""

    def __init__(self, websocket: WebSocket) -> None:
        self.websocket = websocket
        self.service: Service = websocket.app.state.service
        self.limits = self.service.settings.server
        self.patience = self.limits.max_seconds
        """Idle timeout in seconds: without a message, and without speech under way."""
        self.text: LiveText | None = None
        """The text that the client is still sending."""
        self._quiet_since = 0.0
        """Loop time of the last message or of the last order's end."""
        self._orders: asyncio.Queue[SpeechOrder] = asyncio.Queue(MOST_WAITING)
        self._following: asyncio.Future[Any] | None = None
        """The next message, if it is awaited already."""
        self._speech: Speech | None = None
        self._current: SpeechOrder | None = None

    # Hooks for protocols.

    async def on_open(self) -> None:
        """Run when the connection was accepted."""

    @abstractmethod
    async def on_message(self, message: str | bytes) -> None:
        """Handle a message. An OrderError or ValueError is sent to the client, and the session goes on."""

    @abstractmethod
    async def deliver(self, speech: Speech) -> None:
        """Send all events of a stream."""

    @abstractmethod
    async def on_problem(self, problem: Problem) -> None:
        """Send an error to the client."""

    async def on_failed(self, order: SpeechOrder, problem: Problem) -> None:  # noqa: ARG002
        """Send the client the error that ended an order."""
        await self.on_problem(problem)

    async def on_cancelled(self, order: SpeechOrder) -> None:
        """Confirm to the client that its speech was cancelled."""

    async def on_over(self, order: SpeechOrder) -> None:
        """Clean up after an order, however it ended."""

    # Methods for protocols.

    def say(self, order: SpeechOrder) -> None:
        """Queue an order. Raises OrderError if the queue is full."""
        try:
            self._orders.put_nowait(order)
        except asyncio.QueueFull:
            message = f"{MOST_WAITING} texts are queued already (wait for one to end)"
            raise OrderError(message, status=429, code="rate_limit_exceeded") from None

    def say_live(self, order: SpeechOrder) -> LiveText:
        """Queue an order with a new text that the client is still sending; return the text. Raises as `say`."""
        text = LiveText(self.limits.max_text, self.service.settings.defaults.flush_after)
        self.say(order._replace(text=text))
        return text

    def end_text(self) -> None:
        if self.text is not None:
            self.text.close()
            self.text = None

    @property
    def is_speaking(self) -> bool:
        return self._current is not None or not self._orders.empty()

    def cancel(self, reason: str = "asked") -> None:
        """Cancel the current order and drop the queued ones."""
        while not self._orders.empty():
            self._orders.get_nowait()
        if self._speech is not None:
            self._speech.cancel(reason)

    async def check_voice(self, voice: str | None, *, param: str = "voice") -> None:
        """Check a voice as the service does; raise Left if the client disconnects before. Call it in `on_message`."""
        if voice is None:
            return
        checking = asyncio.ensure_future(self.service.check_voice(voice, param=param))
        self._following = asyncio.ensure_future(self.websocket.receive())
        try:
            await asyncio.wait((checking, self._following), return_when=asyncio.FIRST_COMPLETED)
            if not checking.done() and self._following.result()["type"] == "websocket.disconnect":
                raise Left("the client left")
            await checking
        finally:
            checking.cancel()

    async def _receive(self) -> Any:
        awaited, self._following = self._following, None
        return await (awaited or self.websocket.receive())

    async def send(self, content: Message) -> None:
        """Send a JSON message. Raises Left if the client disconnected or stalled."""
        await self._within(self.websocket.send_text(write(content)))

    async def send_binary(self, data: bytes) -> None:
        """Send a binary message; raises as `send`."""
        await self._within(self.websocket.send_bytes(data))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection, and raise Left to end the session."""
        with contextlib.suppress(Left):
            await self._within(self.websocket.close(code, reason.encode()[:MOST_REASON].decode(errors="ignore")))
        raise Left(reason)

    @classmethod
    async def endpoint(cls, websocket: WebSocket) -> None:
        """Serve a connection (the endpoint of a route)."""
        await cls(websocket).serve()

    async def serve(self) -> None:
        """Run the session to its end."""
        await self.websocket.accept()
        tasks = [asyncio.create_task(work) for work in (self._read(), self._speak())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.cancel("left")
            if self._following is not None:
                self._following.cancel()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in ended:
            if isinstance(outcome, Exception) and not isinstance(outcome, Left):
                with contextlib.suppress(Left):
                    await self.close(FAILED, "the server failed")
                raise outcome

    async def _within(self, sending: Awaitable[None]) -> None:
        lead = self._speech.report.lead if self._speech is not None else 0.0
        try:
            async with asyncio.timeout(self.limits.stall_timeout + lead):
                await sending
        except TimeoutError:
            if self._speech is not None:
                self._speech.cancel("stalled")
            abort(self.websocket.scope)
            raise Left("the client stalled") from None
        except (WebSocketDisconnect, RuntimeError, OSError):  # RuntimeError: Starlette's, for a closed socket
            raise Left("the client left") from None

    async def _read(self) -> None:
        clock = asyncio.get_running_loop().time
        self._quiet_since = clock()
        await self.on_open()
        while True:
            since = clock() if self.is_speaking else self._quiet_since
            try:
                async with asyncio.timeout_at(since + self.patience):
                    message = await self._receive()
            except TimeoutError:
                if self.is_speaking or clock() < self._quiet_since + self.patience:
                    continue
                await self.close(GOING_AWAY, "idle timeout")
                raise
            self._quiet_since = clock()
            if message["type"] == "websocket.disconnect":
                raise Left("the client left")
            content = message.get("text")
            if content is None:
                content = message["bytes"]
            if len(content) > MOST_MESSAGE:
                await self.close(TOO_BIG, f"message too big (at most {MOST_MESSAGE} characters)")
            try:
                await self.on_message(content)
            except VoiceError as error:
                await self.on_problem(problem_of(error))
            except ValueError as error:
                await self.on_problem(problem_of(OrderError(str(error), code="invalid_message")))
            await asyncio.sleep(0)  # nothing above need have waited, and many messages may be here

    async def _speak(self) -> None:
        while True:
            await self._say_one(await self._orders.get())

    async def _say_one(self, order: SpeechOrder) -> None:
        self._current = order
        try:
            async with self.service.speak(order) as self._speech:
                await self.deliver(self._speech)
        except Interrupted:
            await self.on_cancelled(order)
        except VoiceError as error:
            if isinstance(error, DrainingError) and self._speech is not None:
                await self.close(GOING_AWAY, error.message)
            else:
                await self.on_failed(order, problem_of(error))
        finally:
            self._current = self._speech = None
            self._quiet_since = asyncio.get_running_loop().time()
            if isinstance(order.text, LiveText):
                order.text.close()
            await self.on_over(order)


def decoded(message: str | bytes) -> Any:
    """Return the content of a JSON message. Raises OrderError if it is binary or not JSON."""
    if isinstance(message, bytes):
        text = f"expected a JSON message, got {len(message)} bytes of binary data"
        raise OrderError(text, code="invalid_message")
    try:
        return read(message)
    except ValueError as error:
        raise OrderError(str(error), code="invalid_json") from None
