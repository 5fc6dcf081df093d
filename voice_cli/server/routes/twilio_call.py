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

from voice_cli.codecs.frames import Frames
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
"""Audio that Twilio has buffered. It hides network jitter (up to 100 ms) and short pauses of the engine, and bounds
what a `clear` discards."""
STEP_SECONDS = 0.1
"""Frames leave five at a time, since one wake-up per frame would be half the work of a call."""
TURN_SECONDS = 1.0
"""Idle time without audio after which an unflushed text is ended, so that its last frame leaves."""
START_SECONDS = 10.0
"""Timeout for the `start` message."""
MOST_MARKS = 1_000
"""Utterances that are remembered for a `clear`."""

SID = r"[A-Za-z0-9_\-]{1,64}"
SPEEDS = (0.25, 4.0)


class Cleared(BaseModel):
    """How much of the speech was heard."""

    stream_sid: str
    heard: str
    """Text of the utterances that were played completely."""
    heard_seconds: float
    cut: str
    """Text of those that were played in part."""


class Pacer:
    """Computes when a frame may leave. Seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._until = 0.0
        """When all sent frames will have been played."""

    def wait(self, now: float) -> float:
        """Return the seconds until the next frame may leave."""
        ahead = self._until - now
        return ahead - (LEAD_SECONDS - STEP_SECONDS) if ahead + wire.FRAME_SECONDS > LEAD_SECONDS else 0.0

    def sent(self, now: float) -> None:
        """Count a frame."""
        self._until = max(self._until, now) + wire.FRAME_SECONDS

    def clear(self) -> None:
        """Forget the sent frames: Twilio discarded them."""
        self._until = 0.0


class MarkedUtterance:
    """An utterance that is followed by a mark."""

    def __init__(self, name: str, text: str, begin: int) -> None:
        self.name = name
        """Of its mark."""
        self.text = text
        self.begin = begin
        """Offset in bytes of the turn's audio, like `end`."""
        self.end: int | None = None
        """None while it is being generated."""
        self.seconds = 0.0


class Call(SocketSession):
    """One Twilio stream. Added texts are queued."""

    def __init__(self, websocket: WebSocket, service: Service, calls: "dict[str, Call]") -> None:
        """`calls`: the active calls by stream id; this one is among them from its `start` to its end."""
        super().__init__(websocket, service)
        self.patience = START_SECONDS
        self.stream_sid = ""
        """Empty before the `start`."""
        self._calls = calls
        self._deadline = asyncio.get_running_loop().time() + START_SECONDS
        self._voice: str | None = None
        self._preset: str | None = None
        self._speed: float | None = None
        self._stops_at_key = False
        self._text_voice: str | None = None
        self._turn: Turn | None = None
        """The turn that is being sent."""
        self._turns = 0
        """Number of clears."""
        self._cleared = asyncio.Event()
        self._sending = asyncio.Lock()
        self._pacer = Pacer()
        self._marks = 0
        self._sent: deque[MarkedUtterance] = deque(maxlen=MOST_MARKS)
        """Utterances whose marks have not come back."""
        self._heard: deque[MarkedUtterance] = deque(maxlen=MOST_MARKS)

    async def serve(self) -> None:
        try:
            await super().serve()
        finally:
            if self._calls.get(self.stream_sid) is self:
                del self._calls[self.stream_sid]

    # Messages from Twilio.

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
        """Close a connection that has not started. Later errors are ignored: Twilio reads no error messages."""
        if not self.stream_sid:
            await self.close(POLICY, problem.message)

    async def _start(self, start: wire.Start) -> None:
        if self.stream_sid:
            return
        given = start.parameters
        keys = self.service.settings.api_keys
        if keys and not is_key(given.get("api_key", ""), keys):
            raise OrderError("the parameter api_key is missing or wrong", status=401, code="invalid_api_key")
        speed = number(given.get("speed"))
        text = given.get("text", "")
        check_order(self.service, text, voice=given.get("voice"), preset=given.get("preset"))
        await check_voice(self.service, given.get("voice"))
        if start.stream_sid in self._calls or re.fullmatch(SID, start.stream_sid) is None:
            raise OrderError("the streamSid is invalid or in use", code="invalid_stream")
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
        """Count an utterance and those before it as heard. Marks of cleared utterances are ignored."""
        if any(utterance.name == name for utterance in self._sent):
            while True:
                utterance = self._sent.popleft()
                self._heard.append(utterance)
                if utterance.name == name:
                    break

    # Requests of the application.

    async def add(self, text: str, voice: str | None, *, flush: bool) -> None:
        """Queue a text.

        Raises:
            OrderError: a parameter is wrong, or too much text is queued.
            OverloadError, DrainingError: the server does not admit it.

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
            raise OrderError("too much text is queued already (retry later)", status=429, code="rate_limit_exceeded")
        coming.feed(text)
        if flush:
            self.end_text()

    async def clear(self) -> Cleared:
        """Stop the speech, and discard what Twilio has buffered of it.

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
        order = SpeechOrder(
            text, "twilio", codec="mulaw", voice=voice or self._voice, speed=self._speed, preset=self._preset
        )
        self.say(order)
        self.text, self._text_voice = text, voice
        return text

    # Messages to Twilio.

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
        """End the stream; the call continues with the next TwiML verb."""
        await self.close(FAILED if problem.retry_after is None else TRY_AGAIN, problem.message)

    async def on_over(self, order: SpeechOrder) -> None:
        self._turn = None
        if order.text is self.text:
            self.text = None

    def next_mark(self) -> str:
        """Return a new mark name."""
        self._marks += 1
        return f"voice-{self._marks}"

    async def send_frame(self, data: bytes, turn: int) -> None:
        """Send a frame as soon as it is due.

        Raises:
            Interrupted: its turn was cleared.

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
        """Hold the sending lock, unless the turn was cleared."""
        async with self._sending:
            if turn != self._turns:
                raise Interrupted("it was cleared")
            yield


class Turn:
    """Sends one order: frames that run on across utterances, and a mark after each utterance."""

    def __init__(self, call: Call, speech: Speech, number: int) -> None:
        self._call = call
        self._speech = speech
        self._number = number
        self._frames = Frames(wire.FRAME_BYTES)
        self._made = 0
        """Generated bytes of µ-law."""
        self._left = 0
        """Sent bytes."""
        self._utterances: deque[MarkedUtterance] = deque()
        """Utterances whose marks were not sent yet."""

    async def take(self, event: Event) -> None:
        """Send the messages for an event, each when it is due."""
        if isinstance(event, Began):
            self._utterances.append(MarkedUtterance(self._call.next_mark(), event.line.text, self._made))
        elif isinstance(event, Ended):
            self._utterances[-1].end, self._utterances[-1].seconds = self._made, event.seconds
            await self._send_marks()
        else:
            self._made += len(event)
            await self._send(self._frames.cut(event))

    async def finish(self) -> None:
        """Send the last frame, padded, and the last mark."""
        await self._send(self._frames.finish())

    def begun(self) -> list[MarkedUtterance]:
        """Return the utterances that were sent in part."""
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
    """Parse a speed.

    Raises:
        OrderError: the speed is wrong.

    """
    if text is None:
        return None
    with contextlib.suppress(ValueError):
        value = float(text)
        if SPEEDS[0] <= value <= SPEEDS[1]:
            return value
    raise OrderError(f"speed must be a number from {SPEEDS[0]:g} to {SPEEDS[1]:g}", param="speed")
