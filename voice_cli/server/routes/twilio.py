"""Calls by Twilio Media Streams: Twilio connects the call, and an application adds text to it by HTTP.

::

    <Connect><Stream url="wss://…/twilio">                      at most 500 characters per Parameter
      <Parameter name="api_key" value="…"/>                     if the server has keys
      <Parameter name="text" value="Hello."/>                   spoken at once
      <Parameter name="voice" value="…"/>                       also preset, speed
      <Parameter name="interruptible" value="dtmf"/>            a telephone key stops the speech
    </Stream></Connect>

    POST /twilio/{stream_sid}/say     {"text", "voice", "flush"}
    POST /twilio/{stream_sid}/clear

Frames of 20 ms are sent at most `LEAD_SECONDS` before they are played, so that a `clear` has little to discard. A mark
follows each utterance; Twilio returns it once the utterance was played. The caller's own sound is not kept.
"""

import asyncio
import contextlib
import itertools
import re
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.websockets import WebSocket

from voice_cli.codecs.frames import Frames
from voice_cli.errors import Interrupted, VoiceError
from voice_cli.protocol import twilio as wire
from voice_cli.protocol.fields import MAX_SPEED, MIN_SPEED, number_of, present
from voice_cli.server.affinity import call_key
from voice_cli.server.errors import OrderError, Problem, problem_of, problems
from voice_cli.server.guard import is_key
from voice_cli.server.sockets import FAILED, POLICY, TRY_AGAIN, Left, SocketSession, decoded
from voice_cli.server.speech import Began, Ended, Event, Speech, SpeechOrder
from voice_cli.server.voices import VoiceName

router = APIRouter(tags=["Twilio"])

LEAD_SECONDS = 0.4
"""Audio that Twilio has buffered. It hides network jitter (up to 100 ms) and short pauses of the engine, and bounds
what a `clear` discards."""
STEP_SECONDS = 0.1
"""Frames are sent five at a time, since one wake-up per frame would be half the work of a call."""
TURN_SECONDS = 1.0
"""Idle time without audio after which an unflushed text is ended, so that its last frame is sent."""
START_SECONDS = 10.0
"""Timeout for the `start` message."""
MOST_MARKS = 1_000
"""Utterances that are remembered for a `clear`."""

SID = r"[A-Za-z0-9_\-]{1,64}"


class SayBody(BaseModel):
    model_config = ConfigDict(extra="ignore")

    text: str
    voice: Annotated[VoiceName | None, Field(description="Voice of this text and of its continuation.")] = None
    flush: Annotated[bool, Field(description="False: the next request continues the text.")] = True


class Said(BaseModel):
    stream_sid: str
    characters: int


StreamSid = Annotated[str, Path(pattern=f"^{SID}$")]


@router.post("/twilio/{stream_sid}/say", responses=problems(400, 404, 413, 429, 503))
async def say(stream_sid: StreamSid, body: SayBody, request: Request) -> Said:
    """Add a text to a call, after those added before."""
    call = call_of(request, stream_sid)
    await call.add(body.text, body.voice, flush=body.flush)
    return Said(stream_sid=stream_sid, characters=len(body.text))


class Cleared(BaseModel):
    """How much of the speech was heard."""

    stream_sid: str
    heard: str
    """Text of the utterances that were played completely."""
    heard_seconds: float
    cut: str
    """Text of those that were played in part."""


@router.post("/twilio/{stream_sid}/clear", responses=problems(400, 404))
async def clear(stream_sid: StreamSid, request: Request) -> Cleared:
    """Stop the speech of a call at once, and return how much of it was heard."""
    return await call_of(request, stream_sid).clear()


def call_of(request: Request, stream_sid: str) -> "Call":
    calls: dict[str, Call] = request.app.state.calls
    if stream_sid not in calls:
        raise OrderError("there is no such call", status=404, param="stream_sid", code="call_not_found")
    return calls[stream_sid]


class Pacer:
    """Computes when a frame may be sent. Seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._until = 0.0
        """When all sent frames will have been played."""

    def wait(self, now: float) -> float:
        """Return the seconds until the next frame may be sent."""
        ahead = self._until - now
        return ahead - (LEAD_SECONDS - STEP_SECONDS) if ahead + wire.FRAME_SECONDS > LEAD_SECONDS else 0.0

    def sent(self, now: float) -> None:
        """Count a frame."""
        self._until = max(self._until, now) + wire.FRAME_SECONDS

    def clear(self) -> None:
        """Forget the sent frames: Twilio discarded them."""
        self._until = 0.0


@dataclass
class MarkedUtterance:
    """An utterance that is followed by a mark."""

    mark: str
    text: str
    begin: int
    """Offset in bytes of the turn's audio, like `end`."""
    end: int | None = None
    """None while it is being generated."""
    seconds: float = 0.0


class Call(SocketSession):
    """One Twilio stream. Added texts are queued."""

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self.patience = START_SECONDS
        self.stream_sid = ""
        """Empty before the `start`."""
        self._calls: dict[str, Call] = websocket.app.state.calls
        """The active calls by stream id; this one is among them from its `start` to its end."""
        self._deadline = asyncio.get_running_loop().time() + START_SECONDS
        self._order = SpeechOrder("", "twilio", codec="mulaw")
        """The order of each text, without the text."""
        self._stops_at_key = False
        self._text_voice: str | None = None
        self._turn: Turn | None = None
        """The turn that is being sent."""
        self._sending = asyncio.Lock()
        self._pacer = Pacer()
        self.marks = (f"voice-{number}" for number in itertools.count(1))
        """The names of the next marks."""
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

    async def on_message(self, message: str | bytes) -> None:
        event = wire.parse(decoded(message))
        if isinstance(event, wire.Stop):
            await self.close()
        elif isinstance(event, wire.Start):
            await self._start(event)
        elif not self.stream_sid:
            self.patience = self._deadline - asyncio.get_running_loop().time()
        elif isinstance(event, wire.Mark):
            self._on_mark(event.name)
        elif isinstance(event, wire.Dtmf) and self._stops_at_key:
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
        speed, voice, preset = parse_speed(given.get("speed")), given.get("voice"), given.get("preset")
        text = given.get("text", "")
        self.service.check_order(text, voice=voice, preset=preset)
        await self.check_voice(voice)
        if start.stream_sid in self._calls or re.fullmatch(SID, start.stream_sid) is None:
            raise OrderError("the streamSid is invalid or in use", code="invalid_stream")
        self._order = self._order._replace(voice=voice, options=present(preset=preset), speed=speed)
        self._stops_at_key = given.get("interruptible") == "dtmf"
        self.stream_sid = start.stream_sid
        self._calls[self.stream_sid] = self
        self.service.announce(call_key(self.stream_sid))
        self.patience = self.limits.max_seconds
        try:
            await self.add(text, None, flush=True)
        except VoiceError as error:
            await self.on_failed(self._order, problem_of(error))

    def _on_mark(self, mark: str) -> None:
        """Count an utterance and those before it as heard. Marks of cleared utterances are ignored."""
        marks = [utterance.mark for utterance in self._sent]
        if mark in marks:
            for _ in range(marks.index(mark) + 1):
                self._heard.append(self._sent.popleft())

    # Requests of the application.

    async def add(self, text: str, voice: str | None, *, flush: bool) -> None:
        """Queue a text. Raises OrderError if a parameter is wrong or too much is queued, else as `Service.admit`."""
        self.service.check_order(text, voice=voice)
        await self.service.check_voice(voice)
        if not self.is_speaking and not self._sent:
            self._heard.clear()
        if self.text is not None and voice not in (None, self._text_voice):
            self.end_text()
        if self.text is None:
            if not text.strip():
                return
            if not self.is_speaking:
                self.service.admit()
            self.text = self.say_live(self._order._replace(voice=voice or self._order.voice))
            self._text_voice = voice
        elif text and not self.text.has_room:
            raise OrderError("too much text is queued already (retry later)", status=429, code="rate_limit_exceeded")
        self.text.put_nowait(text)
        if flush:
            self.end_text()

    async def clear(self) -> Cleared:
        """Stop the speech, and discard what Twilio has buffered of it. Raises OrderError if the call is over."""
        cut = list(self._sent)
        if self._turn is not None:
            cut += self._turn.begun()
            self._turn.cleared.set()
        cleared = Cleared(
            stream_sid=self.stream_sid,
            heard=text_of(self._heard),
            heard_seconds=round(sum(utterance.seconds for utterance in self._heard), 3),
            cut=text_of(cut),
        )
        self._heard.clear()
        self._sent.clear()
        self.end_text()
        self.cancel()
        try:
            async with self._sending:
                await self.send(wire.Clear().message(self.stream_sid))
                self._pacer.clear()
        except Left:
            raise OrderError("the call is over", status=404, param="stream_sid", code="call_not_found") from None
        return cleared

    # Messages to Twilio.

    async def deliver(self, speech: Speech) -> None:
        self._turn = turn = Turn(self, speech)
        while events := await self._next(speech):
            for event in events:
                await turn.take(event)
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
        """End the stream; the call continues with the next TwiML verb."""
        await self.close(FAILED if problem.retry_after is None else TRY_AGAIN, problem.message)

    async def on_over(self, order: SpeechOrder) -> None:
        self._turn = None
        if order.text is self.text:
            self.text = None

    async def send_frame(self, data: bytes, turn: "Turn") -> None:
        """Send a frame as soon as it is due. Raises Interrupted if its turn was cleared."""
        clock = asyncio.get_running_loop().time
        while (delay := self._pacer.wait(clock())) > 0 and not turn.cleared.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await turn.cleared.wait()
        async with self._lock(turn):
            await self.send(wire.Media(data).message(self.stream_sid))
            self._pacer.sent(clock())

    async def send_mark(self, turn: "Turn") -> None:
        """Send the mark of the turn's first utterance; raises as `send_frame`."""
        async with self._lock(turn):
            utterance = turn.utterances.popleft()
            self._sent.append(utterance)
            await self.send(wire.Mark(utterance.mark).message(self.stream_sid))

    @contextlib.asynccontextmanager
    async def _lock(self, turn: "Turn") -> AsyncIterator[None]:
        """Hold the sending lock, unless the turn was cleared."""
        async with self._sending:
            if turn.cleared.is_set():
                raise Interrupted("it was cleared")
            yield


router.add_websocket_route(wire.STREAM_PATH, Call.endpoint)


class Turn:
    """Sends one order: frames that run on across utterances, and a mark after each utterance."""

    def __init__(self, call: Call, speech: Speech) -> None:
        self.cleared = asyncio.Event()
        self._call = call
        self._speech = speech
        self._frames = Frames(wire.FRAME_BYTES)
        self._generated_bytes = 0
        self._sent_bytes = 0
        self.utterances: deque[MarkedUtterance] = deque()
        """Utterances whose marks were not sent yet."""

    async def take(self, event: Event) -> None:
        """Send the messages for an event, each when it is due."""
        if isinstance(event, Began):
            mark = next(self._call.marks)
            self.utterances.append(MarkedUtterance(mark, event.line.text, self._generated_bytes))
        elif isinstance(event, Ended):
            self.utterances[-1].end, self.utterances[-1].seconds = self._generated_bytes, event.seconds
            await self._send_marks()
        else:
            self._generated_bytes += len(event)
            await self._send(self._frames.cut(event))

    async def finish(self) -> None:
        """Send the last frame, padded, and the last mark."""
        await self._send(self._frames.finish())

    def begun(self) -> list[MarkedUtterance]:
        """Return the utterances that were sent in part."""
        return [utterance for utterance in self.utterances if utterance.begin < self._sent_bytes]

    async def _send(self, frames: list[bytes]) -> None:
        for frame in frames:
            await self._call.send_frame(frame, self)
            self._speech.report.mark("sent")
            self._sent_bytes += len(frame)
            await self._send_marks()

    async def _send_marks(self) -> None:
        while self.utterances:
            end = self.utterances[0].end
            if end is None or end > self._sent_bytes:
                return
            await self._call.send_mark(self)


def text_of(utterances: Iterable[MarkedUtterance]) -> str:
    return " ".join(utterance.text.strip() for utterance in utterances)


def parse_speed(text: str | None) -> float | None:
    try:
        return None if text is None else number_of({"speed": float(text)}, "speed", MIN_SPEED, MAX_SPEED)
    except ValueError:
        raise OrderError(f"speed must be a number from {MIN_SPEED:g} to {MAX_SPEED:g}", param="speed") from None
