"""The Chatterbox document's endpoints, for any engine; see `protocol.chatterbox`.

Differences from the document: our splitter splits the text; a session survives invalid messages; µ-law frames run on
across chunks and utterances, with padding only at the end; WAV has one header per stream.
"""

import time
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from voice_cli import __version__
from voice_cli.backends.local.chatterbox_presets import PRESETS
from voice_cli.codecs.frames import Frames
from voice_cli.protocol import chatterbox as wire
from voice_cli.server.errors import OrderError, Problem, problems
from voice_cli.server.live_text import LiveText
from voice_cli.server.orders import check_order, check_voice
from voice_cli.server.responses import until_left
from voice_cli.server.service import Service
from voice_cli.server.sockets import SocketSession
from voice_cli.server.speech import Began, Ended, Event, Speech, SpeechOrder
from voice_cli.server.voices import PATTERN

router = APIRouter(tags=["Chatterbox"])

MOST_PRELOADED = 50

VoiceName = Annotated[str, Field(pattern=f"^{PATTERN}$")]
PresetName = Literal["balanced", "expressive", "fast", "clone_fidelity", "realtime", "adaptive"]


class Health(BaseModel):
    status: Literal["healthy", "draining"]
    model_loaded: bool
    device: str
    backend: str
    cached_voices: int
    streams: int
    version: str
    presets: list[str]


@router.get("/health")
async def health(request: Request) -> Health:
    """Return the server's state."""
    service: Service = request.app.state.service
    return Health(
        status="draining" if service.draining else "healthy",
        model_loaded=True,
        device=service.backend.compute_device,
        backend=service.backend.name,
        cached_voices=len(service.voices.cached()),
        streams=service.active,
        version=__version__,
        presets=list(PRESETS),
    )


class Preloaded(BaseModel):
    preloaded: dict[str, bool]
    cache_stats: dict[str, int]


@router.post("/preload", responses=problems(400, 413))
async def preload(
    voice_ids: Annotated[list[VoiceName], Body(max_length=MOST_PRELOADED)], request: Request
) -> Preloaded:
    """Fetch voices in advance."""
    service: Service = request.app.state.service
    found = {voice: await service.has_voice(voice) for voice in voice_ids}
    return Preloaded(preloaded=found, cache_stats={"voices": len(service.voices.cached())})


class WarmedUp(BaseModel):
    voice_id: str
    warmup_ms: float
    ready: Literal[True] = True


@router.post("/warmup", responses=problems(400, 404, 429, 500, 502, 503))
async def warmup(
    request: Request,
    voice_id: Annotated[str, Query(pattern=f"^{PATTERN}$")],
    preset: Annotated[PresetName, Query()] = "realtime",
) -> WarmedUp:
    """Synthesize and discard a word, so that the engine caches the voice."""
    service: Service = request.app.state.service
    began = time.monotonic()
    async with service.speak(SpeechOrder("Hi.", "chatterbox", voice=voice_id, preset=preset)) as speech:
        async for _ in speech:
            continue
    return WarmedUp(voice_id=voice_id, warmup_ms=round(1000 * (time.monotonic() - began), 1))


class SynthesizeBody(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    text: Annotated[str, Field(min_length=1)]
    voice_id: VoiceName
    preset: PresetName = "balanced"
    output_format: Literal["mulaw", "wav", "pcm"] = "mulaw"
    speed: Annotated[float | None, Field(ge=0.25, le=4)] = None


class Synthesized(BaseModel):
    audio: list[str] | str
    """Base64; for µ-law a list of 20 ms frames."""
    duration_seconds: float
    sample_rate: int
    format: str
    total_ms: float
    latency: dict[str, float]
    backend: str


@router.post(
    "/synthesize",
    response_class=Response,
    responses={200: {"model": Synthesized}, **problems(400, 413, 429, 500, 502, 503)},
)
async def synthesize(body: SynthesizeBody, request: Request) -> Response:
    """Synthesize a text and return all of its audio at once."""
    service: Service = request.app.state.service
    wanted = wire.Synthesize(body.text, body.voice_id, body.preset, body.output_format, body.speed)
    began = time.monotonic()
    sound = bytearray()
    cut = cutter(body.output_format)
    rate = 0
    async with service.speak(whole_order(service, wanted)) as speech, until_left(speech, request.receive):
        async for events in speech:
            for event in events:
                if isinstance(event, bytes):
                    sound += b"".join(cut.cut(event))
                elif isinstance(event, Began):
                    rate = sample_rate(event)
        sound += b"".join(cut.finish())
        answer = wire.Batch(
            bytes(sound),
            round(speech.report.audio_seconds, 3),
            rate,
            body.output_format,
            round(1000 * (time.monotonic() - began), 1),
            speech.report.latency(),
            service.backend.name,
        )
    return JSONResponse(answer.message())


@router.websocket("/ws/synthesize")
async def synthesize_socket(websocket: WebSocket) -> None:
    """Synthesize one whole text after another."""
    await WholeTexts(websocket, websocket.app.state.service).serve()


@router.websocket("/ws/synthesize-stream")
async def synthesize_stream_socket(websocket: WebSocket) -> None:
    """Synthesize a text while the client is still sending it."""
    await ComingText(websocket, websocket.app.state.service).serve()


class Uncut:
    """Counterpart of `Frames` for codecs whose chunks are sent as they are."""

    def cut(self, data: bytes) -> list[bytes]:
        return [data]

    def finish(self) -> list[bytes]:
        return []


def cutter(output_format: str) -> Frames | Uncut:
    return Frames(wire.FRAME_BYTES) if output_format == "mulaw" else Uncut()


def sample_rate(began: Began) -> int:
    return began.encoding.format.rate if began.encoding.format is not None else wire.MULAW_RATE


def whole_order(service: Service, wanted: wire.Synthesize) -> SpeechOrder:
    """Return the order for a whole text.

    Raises:
        OrderError: a parameter is wrong.

    """
    check_order(service, wanted.text, voice=wanted.voice_id, preset=wanted.preset)
    return SpeechOrder(
        wanted.text,
        "chatterbox",
        codec=wanted.output_format,
        voice=wanted.voice_id,
        speed=wanted.speed,
        preset=wanted.preset or wire.DEFAULT_PRESET,
    )


class ChatterboxSession(SocketSession):
    """The answers of both sockets, in two forms."""

    is_stream: bool

    async def tell(self, message: wire.Audio | wire.Complete | wire.Failure) -> None:
        await self.send(message.stream_message() if self.is_stream else message.message())

    async def on_problem(self, problem: Problem) -> None:
        await self.tell(wire.Failure(problem.message, problem.code))

    async def on_cancelled(self, order: SpeechOrder) -> None:
        await self.tell(wire.Complete(0, 0.0, cancelled=True, is_mulaw=order.codec == "mulaw"))

    async def deliver(self, speech: Speech) -> None:
        chunks = Chunks(self, speech)
        sentence = 0
        async for events in speech:
            for event in events:
                if isinstance(event, Began):
                    sentence = chunks.sent
                await chunks.take(event)
                if self.is_stream and isinstance(event, Ended):
                    audio_ms = round(1000 * event.at, 1)
                    complete = wire.SentenceComplete(chunks.sent - sentence, event.text_end, audio_ms)
                    await self.send(complete.message())
        await chunks.finish()
        await self.tell(chunks.complete())


class WholeTexts(ChatterboxSession):
    """`/ws/synthesize`."""

    is_stream = False

    async def on_message(self, content: Any) -> None:
        message = wire.parse_request(content)
        if isinstance(message, wire.Cancel):
            self.cancel()
        else:
            self.say(whole_order(self.service, message))


class ComingText(ChatterboxSession):
    """`/ws/synthesize-stream`. One text at a time; `init` begins the next one."""

    is_stream = True

    def __init__(self, websocket: WebSocket, service: Service) -> None:
        super().__init__(websocket, service)
        self._init: wire.Init | None = None

    async def on_message(self, content: Any) -> None:
        message = wire.parse_stream_request(content)
        if isinstance(message, wire.Init):
            check_order(self.service, voice=message.voice_id, preset=message.preset)
            self.end_text()
            self._init = None  # a failed init keeps no voice
            await check_voice(self.service, message.voice_id, param="voice_id")
            self._init = message._replace(preset=message.preset or wire.DEFAULT_STREAM_PRESET)
            await self.send(wire.Ready(message.voice_id, self._init.preset).message())
        elif isinstance(message, wire.Text):
            await self._take(message)
        elif isinstance(message, wire.End):
            self._begin_text()
            self.end_text()
        else:
            self.end_text()
            self.cancel()

    async def _take(self, message: wire.Text) -> None:
        check_order(self.service, message.content)
        text = self._begin_text()
        if message.flush:
            text.flush(message.content)
        else:
            text.feed(message.content)
        await text.room()

    def _begin_text(self) -> LiveText:
        init = self._init
        if init is None:
            raise OrderError("no session was begun (send init first)", code="no_session")
        if self.text is None:
            text = self.new_text()
            order = SpeechOrder(
                text,
                "chatterbox",
                codec=init.output_format,
                voice=init.voice_id,
                speed=init.speed,
                preset=init.preset,
            )
            self.say(order)
            self.text = text
        return self.text

    async def on_over(self, order: SpeechOrder) -> None:
        if order.text is self.text:  # it ended before its text: the rest has no order
            self.text = self._init = None


class Chunks:
    """Sends the audio of one order as numbered messages."""

    def __init__(self, session: ChatterboxSession, speech: Speech) -> None:
        self.sent = 0
        self._session = session
        self._speech = speech
        self._codec = speech.order.codec
        self._cutter = cutter(self._codec)
        self._rate = wire.MULAW_RATE

    async def take(self, event: Event) -> None:
        if isinstance(event, Began):
            self._rate = sample_rate(event)
        elif isinstance(event, bytes):
            await self._send(self._cutter.cut(event))

    async def finish(self) -> None:
        await self._send(self._cutter.finish())

    def complete(self) -> wire.Complete:
        report = self._speech.report
        latency = report.latency()
        first = report.first_byte_seconds
        return wire.Complete(
            self.sent,
            latency["total"],
            None if first is None else round(1000 * first, 1),
            latency,
            self._session.service.backend.name,
            is_mulaw=self._codec == "mulaw",
        )

    async def _send(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            await self._session.tell(wire.Audio(piece, self.sent, self._codec, self._rate))
            self._speech.report.mark("sent")
            self.sent += 1
