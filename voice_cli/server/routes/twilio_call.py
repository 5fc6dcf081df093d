"""One Twilio call: the session on its WebSocket, and the pacing of its frames.

Frames of 20 ms leave at most `LEAD_SECONDS` before they are played, so that a `clear` has little to discard. A mark
follows each utterance; Twilio returns it once the utterance was played. The caller's own sound is not kept.
"""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

from pydantic import BaseModel
from starlette.websockets import WebSocket

from voice_cli.codecs.encoders.frames import Frames
from voice_cli.errors import Interrupted, VoiceError
from voice_cli.protocol import twilio as wire
from voice_cli.server.errors import OrderError, Problem, problem_of
from voice_cli.server.guard import is_key
from voice_cli.server.live_text import LiveText
from voice_cli.server.orders import check_order, check_voice
from voice_cli.server.service import Service
from voice_cli.server.sockets import FAILED, POLICY, TRY_AGAIN, Left, SocketSession
from voice_cli.server.speech import Began, Ended, Event, Speech, SpeechOrder

LEAD_SECONDS = 0.4
"""How much Twilio has of what is not heard yet. It hides the network's jitter, some 100 ms on a bad day, and a pause of
the engine; and it is the most that a `clear` has to throw away."""
STEP_SECONDS = 0.1
"""Frames leave five at a time: to wake for each would be half the work of a call."""
TURN_SECONDS = 1.0
"""After so long without sound, a text that was not flushed counts as over: its last frame leaves."""
START_SECONDS = 10.0
"""How long a connection may take to say which call it is, and with which key."""
MOST_MARKS = 1_000
"""Utterances of a turn that are remembered."""

SID = r"[A-Za-z0-9_\-]{1,64}"
SPEEDS = (0.25, 4.0)


class Cleared(BaseModel):
    """What of it was heard."""

    stream_sid: str
    heard: str
    """The text of the utterances that were heard to their end."""
    heard_seconds: float
    cut: str
    """The text of those that were begun."""


class Pacer:
    """When a frame may leave, by what has left. Seconds of any clock that does not jump."""

    def __init__(self) -> None:
        self._until = 0.0
        """When all that was sent will have been heard."""

    def wait(self, now: float) -> float:
        """Say how long the next frame has to wait."""
        ahead = self._until - now
        return ahead - (LEAD_SECONDS - STEP_SECONDS) if ahead + wire.FRAME_SECONDS > LEAD_SECONDS else 0.0

    def sent(self, now: float) -> None:
        """Count a frame."""
        self._until = max(self._until, now) + wire.FRAME_SECONDS

    def clear(self) -> None:
        """Forget what was sent: it is not played."""
        self._until = 0.0


class MarkedUtterance:
    """What is between two marks."""

    def __init__(self, name: str, text: str, begin: int) -> None:
        self.name = name
        """Its mark's."""
        self.text = text
        self.begin = begin
        """In bytes of what is said, like `end`."""
        self.end: int | None = None
        """None: there may be more of it."""
        self.seconds = 0.0


class Call(SocketSession):
    """One stream of Twilio's. What is added to it while it speaks is said afterwards."""

    def __init__(self, websocket: WebSocket, service: Service, calls: "dict[str, Call]") -> None:
        """Take those that are under way, by their stream: it is one of them from its `start` to its end."""
        super().__init__(websocket, service)
        self.patience = START_SECONDS
        self.stream_sid = ""
        """Empty: it has not started."""
        self._calls = calls
        self._deadline = asyncio.get_running_loop().time() + START_SECONDS
        self._voice: str | None = None
        self._preset: str | None = None
        self._speed: float | None = None
        self._stops_at_key = False
        self._text_voice: str | None = None
        self._turn: Turn | None = None
        """What is being sent."""
        self._turns = 0
        """How often it was cleared."""
        self._cleared = asyncio.Event()
        self._sending = asyncio.Lock()
        self._pacer = Pacer()
        self._marks = 0
        self._sent: deque[MarkedUtterance] = deque(maxlen=MOST_MARKS)
        """Those whose marks are on their way."""
        self._heard: deque[MarkedUtterance] = deque(maxlen=MOST_MARKS)

    async def serve(self) -> None:
        try:
            await super().serve()
        finally:
            if self._calls.get(self.stream_sid) is self:
                del self._calls[self.stream_sid]

    # What Twilio sends.

    async def on_message(self, content: Any) -> None:
        message = wire.parse(content)
        if isinstance(message, wire.Stop):
            await self.close()
        elif isinstance(message, wire.Start):
            await self._start(message)
        elif not self.stream_sid:
            self.patience = self._deadline - asyncio.get_running_loop().time()
        elif isinstance(message, wire.Mark):
            self._came_back(message.name)
        elif isinstance(message, wire.Dtmf) and self._stops_at_key:
            await self.clear()

    async def on_problem(self, problem: Problem) -> None:
        """Close what has not started. Later there is nobody to tell, and what cannot be read does not matter."""
        if not self.stream_sid:
            await self.close(POLICY, problem.message)

    async def _start(self, start: wire.Start) -> None:
        if self.stream_sid:
            return
        given = start.parameters
        keys = self.service.settings.api_keys
        if keys and not is_key(given.get("api_key", ""), keys):
            raise OrderError("the parameter api_key is missing, or wrong", status=401, code="invalid_api_key")
        speed = number(given.get("speed"))
        text = given.get("text", "")
        check_order(self.service, text, voice=given.get("voice"), preset=given.get("preset"))
        await check_voice(self.service, given.get("voice"))
        if start.stream_sid in self._calls or re.fullmatch(SID, start.stream_sid) is None:
            raise OrderError("that stream is here already, or that is no name of one", code="invalid_stream")
        self._voice, self._preset, self._speed = given.get("voice"), given.get("preset"), speed
        self._stops_at_key = given.get("interruptible") == "dtmf"
        self.stream_sid = start.stream_sid
        self._calls[self.stream_sid] = self
        self.patience = self.limits.max_seconds
        try:
            await self.add(text, None, flush=True)
        except VoiceError as error:
            await self._give_up(problem_of(error))

    def _came_back(self, name: str) -> None:
        """Count an utterance, and those before it, as heard. A mark that was cleared is none of them any more."""
        if any(utterance.name == name for utterance in self._sent):
            while True:
                utterance = self._sent.popleft()
                self._heard.append(utterance)
                if utterance.name == name:
                    break

    # What the application asks for.

    async def add(self, text: str, voice: str | None, *, flush: bool) -> None:
        """Say a text after what was added before.

        Raises:
            OrderError: it cannot be, or too much is waiting.
            OverloadError, DrainingError: the server has no room for it.

        """
        check_order(self.service, text, voice=voice)
        await check_voice(self.service, voice)
        if not self.is_speaking and not self._sent:
            self._heard.clear()
        if self.text is not None and voice not in (None, self._text_voice):
            self.end_text()
        coming = self.text
        if coming is None:
            if not text.strip():
                return
            coming = self._begin_text(voice)
        elif text and not coming.has_room:
            raise OrderError("too much text is waiting already", status=429, code="rate_limit_exceeded")
        coming.feed(text)
        if flush:
            self.end_text()

    async def clear(self) -> Cleared:
        """Stop what is being said, and throw away what was sent of it and not heard.

        Raises:
            OrderError: the call is over.

        """
        cut = [*self._sent, *(self._turn.begun() if self._turn is not None else [])]
        told = Cleared(
            stream_sid=self.stream_sid,
            heard=text_of(self._heard),
            heard_seconds=round(sum(utterance.seconds for utterance in self._heard), 3),
            cut=text_of(cut),
        )
        self._heard.clear()
        self._sent.clear()
        self._turns += 1
        self.end_text()
        self.cancel()
        self._cleared.set()
        try:
            async with self._sending:
                await self.send(wire.Clear().message(self.stream_sid))
                self._pacer.clear()
        except Left:
            raise OrderError("the call is over", status=404, param="stream_sid", code="call_not_found") from None
        return told

    def _begin_text(self, voice: str | None) -> LiveText:
        if not self.is_speaking:
            self.service.admit()
        text = self.new_text()
        self.say(
            SpeechOrder(
                text,
                "twilio",
                codec="mulaw",
                voice=voice or self._voice,
                speed=self._speed,
                preset=self._preset,
            )
        )
        self.text, self._text_voice = text, voice
        return text

    # What goes out.

    async def deliver(self, speech: Speech) -> None:
        self._cleared.clear()
        self._turn = turn = Turn(self, speech, self._turns)
        events = await self._next(speech)
        while events:
            for event in events:
                await turn.take(event)
            events = await self._next(speech)
        await turn.finish()

    async def _next(self, speech: Speech) -> list[Event]:
        if speech.order.text is self.text:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TURN_SECONDS):
                    return await speech.take()
            if speech.order.text is self.text:
                self.end_text()
        return await speech.take()

    async def on_failed(self, order: SpeechOrder, problem: Problem) -> None:  # noqa: ARG002
        await self._give_up(problem)

    async def _give_up(self, problem: Problem) -> None:
        """End the stream: the call goes on with what the TwiML has after it."""
        await self.close(FAILED if problem.retry_after is None else TRY_AGAIN, problem.message)

    async def on_over(self, order: SpeechOrder) -> None:
        self._turn = None
        if order.text is self.text:
            self.text = None

    def next_mark(self) -> str:
        """Make a name that none of the call's marks had."""
        self._marks += 1
        return f"voice-{self._marks}"

    async def send_frame(self, data: bytes, turn: int) -> None:
        """Send a frame as soon as it is due.

        Raises:
            Interrupted: what it belongs to was cleared.

        """
        clock = asyncio.get_running_loop().time
        while (delay := self._pacer.wait(clock())) > 0 and turn == self._turns:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._cleared.wait()
        async with self._of(turn):
            await self.send(wire.Media(data).message(self.stream_sid))
            self._pacer.sent(clock())

    async def send_mark(self, utterance: MarkedUtterance, turn: int) -> None:
        """Send the mark of an utterance; raises as `send_frame`."""
        async with self._of(turn):
            self._sent.append(utterance)
            await self.send(wire.Mark(utterance.name).message(self.stream_sid))

    @contextlib.asynccontextmanager
    async def _of(self, turn: int) -> AsyncIterator[None]:
        """Let nothing of a turn leave after its clear, or while it is being sent."""
        async with self._sending:
            if turn != self._turns:
                raise Interrupted("it was cleared")
            yield


class Turn:
    """What one order sends: frames that run on across utterances, and after each utterance its mark."""

    def __init__(self, call: Call, speech: Speech, number: int) -> None:
        self._call = call
        self._speech = speech
        self._number = number
        self._frames = Frames(wire.FRAME_BYTES)
        self._made = 0
        """Bytes of µ-law."""
        self._left = 0
        """Those that were sent."""
        self._utterances: deque[MarkedUtterance] = deque()
        """Those whose marks were not sent yet."""

    async def take(self, event: Event) -> None:
        """Send what an event tells, each part of it when it is due."""
        if isinstance(event, Began):
            self._utterances.append(MarkedUtterance(self._call.next_mark(), event.line.text, self._made))
        elif isinstance(event, Ended):
            self._utterances[-1].end, self._utterances[-1].seconds = self._made, event.seconds
            await self._send_marks()
        else:
            self._made += len(event)
            await self._send(self._frames.cut(event))

    async def finish(self) -> None:
        """Send the last frame, filled up, and the last mark."""
        await self._send(self._frames.finish())

    def begun(self) -> list[MarkedUtterance]:
        """Give the utterances of which something was sent, but not all."""
        return [utterance for utterance in self._utterances if utterance.begin < self._left]

    async def _send(self, frames: list[bytes]) -> None:
        for frame in frames:
            await self._call.send_frame(frame, self._number)
            self._speech.report.mark("sent")
            self._left += len(frame)
            await self._send_marks()

    async def _send_marks(self) -> None:
        while self._utterances:
            end = self._utterances[0].end
            if end is None or end > self._left:
                return
            await self._call.send_mark(self._utterances.popleft(), self._number)


def text_of(utterances: Iterable[MarkedUtterance]) -> str:
    return " ".join(utterance.text.strip() for utterance in utterances)


def number(text: str | None) -> float | None:
    """Read a speed.

    Raises:
        OrderError: it is none.

    """
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        value = float(text)
        if SPEEDS[0] <= value <= SPEEDS[1]:
            return value
    raise OrderError(f"speed must be a number from {SPEEDS[0]:g} to {SPEEDS[1]:g}", param="speed")
