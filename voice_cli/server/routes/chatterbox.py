"""The Chatterbox document's endpoints, for any engine; see `protocol.chatterbox`.

Differences from the document: our splitter splits the text; a session survives invalid messages; µ-law frames run on
across chunks and utterances, with padding only at the end; WAV has one header per stream.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Send
from starlette.websockets import WebSocket

from voice_cli import __version__
from voice_cli.backends.local.chatterbox_presets import PRESETS
from voice_cli.codecs.frames import Frames
from voice_cli.errors import Interrupted
from voice_cli.protocol import chatterbox as wire
from voice_cli.protocol.fields import MAX_SPEED, MIN_SPEED, base64_of
from voice_cli.script.pauses import Flush, LiveText
from voice_cli.server.errors import OrderError, Problem, problems
from voice_cli.server.responses import SpeechResponse, body_message, until_left
from voice_cli.server.service import Service
from voice_cli.server.sockets import SocketSession, decoded
from voice_cli.server.speech import Began, Speech, SpeechOrder
from voice_cli.server.voices import VoiceName

router = APIRouter(tags=["Chatterbox"])

MOST_PRELOADED = 50
PIECE_BYTES = 48_000
"""Audio bytes of a piece of JSON: a multiple of 3, so that base64 has no padding inside, and of a frame."""

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
    work = asyncio.ensure_future(found_voices(service, voice_ids))
    try:
        async with until_left(work.cancel, request.receive):
            found = await work
    except asyncio.CancelledError:
        work.cancel()
        raise Interrupted("the client left") from None
    return Preloaded(preloaded=found, cache_stats={"voices": len(service.voices.cached())})


async def found_voices(service: Service, voices: Iterable[str]) -> dict[str, bool]:
    return {voice: await service.has_voice(voice) for voice in voices}


class WarmedUp(BaseModel):
    voice_id: str
    warmup_ms: float
    ready: Literal[True] = True


@router.post("/warmup", responses=problems(400, 404, 429, 500, 502, 503))
async def warmup(
    request: Request,
    voice_id: Annotated[VoiceName, Query()],
    preset: Annotated[PresetName, Query()] = "realtime",
) -> WarmedUp:
    """Synthesize and discard a word, so that the engine caches the voice."""
    service: Service = request.app.state.service
    began = time.monotonic()
    order = SpeechOrder("Hi.", "chatterbox", voice=voice_id, options={"preset": preset})
    async with service.speak(order) as speech, until_left(partial(speech.cancel, "left"), request.receive):
        async for _ in speech:
            continue
    return WarmedUp(voice_id=voice_id, warmup_ms=round(1000 * (time.monotonic() - began), 1))


class SynthesizeBody(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    text: Annotated[str, Field(min_length=1)]
    voice_id: VoiceName
    preset: PresetName = "balanced"
    output_format: Literal["mulaw", "wav", "pcm"] = "mulaw"
    speed: Annotated[float | None, Field(ge=MIN_SPEED, le=MAX_SPEED)] = None


class Synthesized(BaseModel):
    audio: list[str] | str
    """Base64; for µ-law a list of 20 ms frames."""
    duration_seconds: float
    sample_rate: int
    format: str
    total_ms: float
    latency: dict[str, float]
    backend: str


@router.post("/synthesize", response_model=Synthesized, responses=problems(400, 413, 429, 500, 502, 503))
async def synthesize(body: SynthesizeBody, request: Request) -> Response:
    """Synthesize a text and return all of its audio at once."""
    service: Service = request.app.state.service
    return SynthesizedResponse(service, checked_order(service, body, body.text, body.preset))


class SynthesizedResponse(SpeechResponse):
    """A `Synthesized`, sent in pieces while it keeps the stream's place among those that are admitted."""

    async def deliver(self, speech: Speech, send: Send) -> None:
        began = time.monotonic()
        codec = speech.order.codec
        audio: list[bytes] = []
        rate = 0
        async for events in speech:
            for event in events:
                if isinstance(event, bytes):
                    audio.append(event)
                elif isinstance(event, Began):
                    rate = sample_rate(event)
        rest = {
            "duration_seconds": round(speech.report.audio_seconds, 3),
            "sample_rate": rate,
            "format": codec,
            "total_ms": round(1000 * (time.monotonic() - began), 1),
            "latency": speech.report.latency(),
            "backend": self.service.backend.name,
        }
        headers = [(b"content-type", b"application/json")]
        await self.send(speech, send, {"type": "http.response.start", "status": 200, "headers": headers})
        for piece in json_pieces(b"".join(audio), rest, frames=codec == "mulaw"):
            await self.send(speech, send, body_message(piece), lead=0.0)
        await self.send(speech, send, body_message(b"", more=False), lead=0.0)


def json_pieces(audio: bytes, rest: dict[str, Any], *, frames: bool) -> Iterator[bytes]:
    """Yield a JSON object of the audio, in base64, and the other fields; `frames`: as a list of frames of µ-law."""
    cutter = Frames(wire.FRAME_BYTES)
    yield b'{"audio": [' if frames else b'{"audio": "'
    separator = ""
    for at in range(0, len(audio), PIECE_BYTES):
        piece = audio[at : at + PIECE_BYTES]
        if frames:
            cut = cutter.cut(piece) + (cutter.finish() if at + PIECE_BYTES >= len(audio) else [])
            yield (separator + ", ".join(f'"{base64_of(frame)}"' for frame in cut)).encode()
            separator = ", "
        else:
            yield base64_of(piece).encode()
    yield (b"], " if frames else b'", ') + json.dumps(rest)[1:].encode()


def sample_rate(began: Began) -> int:
    return began.encoding.format.rate if began.encoding.format is not None else wire.MULAW_RATE


def checked_order(
    service: Service, message: wire.Synthesize | wire.Init | SynthesizeBody, text: str, default_preset: str
) -> SpeechOrder:
    """Return the order for a text with the parameters of a message. Raises OrderError if one is wrong."""
    service.check_order(text, voice=message.voice_id, preset=message.preset)
    return SpeechOrder(
        text,
        "chatterbox",
        codec=message.output_format,
        voice=message.voice_id,
        speed=message.speed,
        options={"preset": message.preset or default_preset},
    )


class ChatterboxSession(SocketSession):
    """The replies of both sockets, in two forms."""

    is_stream: bool

    async def reply(self, message: wire.Audio | wire.Complete | wire.Failure) -> None:
        await self.send(message.stream_message() if self.is_stream else message.message())

    async def on_problem(self, problem: Problem) -> None:
        await self.reply(wire.Failure(problem.message, problem.code))

    async def on_cancelled(self, order: SpeechOrder) -> None:
        await self.reply(wire.Complete(0, 0.0, cancelled=True, is_mulaw=order.codec == "mulaw"))

    async def deliver(self, speech: Speech) -> None:
        report, codec = speech.report, speech.order.codec
        frames = Frames(wire.FRAME_BYTES) if codec == "mulaw" else None
        rate = wire.MULAW_RATE
        sent = sent_before = 0

        async def send_audio(chunks: list[bytes]) -> None:
            nonlocal sent
            for chunk in chunks:
                await self.reply(wire.Audio(chunk, sent, codec, rate))
                report.mark("sent")
                sent += 1

        async for events in speech:
            for event in events:
                if isinstance(event, Began):
                    rate = sample_rate(event)
                    sent_before = sent
                elif isinstance(event, bytes):
                    await send_audio([event] if frames is None else frames.cut(event))
                elif self.is_stream:
                    audio_ms = round(1000 * event.at, 1)
                    await self.send(wire.SentenceComplete(sent - sent_before, event.text_end, audio_ms).message())
        if frames is not None:
            await send_audio(frames.finish())
        latency, first = report.latency(), report.first_byte_seconds
        complete = wire.Complete(
            sent,
            latency["total"],
            None if first is None else round(1000 * first, 1),
            latency,
            self.service.backend.name,
            is_mulaw=codec == "mulaw",
        )
        await self.reply(complete)


class WholeTextSession(ChatterboxSession):
    """One whole text after another."""

    is_stream = False

    async def on_message(self, message: str | bytes) -> None:
        request = wire.parse_request(decoded(message))
        if isinstance(request, wire.Synthesize):
            self.say(checked_order(self.service, request, request.text, wire.DEFAULT_PRESET))
        else:
            self.cancel()


class TextStreamSession(ChatterboxSession):
    """Texts that the client is still sending. One at a time; `init` begins the next one."""

    is_stream = True

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self._order: SpeechOrder | None = None
        """From `init`, without its text."""

    async def on_message(self, message: str | bytes) -> None:
        request = wire.parse_stream_request(decoded(message))
        if isinstance(request, wire.Init):
            order = checked_order(self.service, request, "", wire.DEFAULT_STREAM_PRESET)
            self.end_text()
            self._order = None  # a failed init keeps no voice
            await self.check_voice(order.voice, param="voice_id")
            self._order = order
            await self.send(wire.Ready(order.voice, order.options["preset"]).message())
        elif isinstance(request, wire.Text):
            self.service.check_order(request.content)
            text = self._begin_text()
            text.put_nowait(Flush(request.content) if request.flush else request.content)
            await text.room()
        elif request is wire.END:
            self._begin_text()
            self.end_text()
        else:
            self.end_text()
            self.cancel()

    def _begin_text(self) -> LiveText:
        if self._order is None:
            raise OrderError("no session was begun (send init first)", code="no_session")
        if self.text is None:
            self.text = self.say_live(self._order)
        return self.text

    async def on_over(self, order: SpeechOrder) -> None:
        if order.text is self.text:  # the order ended before its text, so the remaining text is dropped
            self.text = self._order = None


router.add_websocket_route(wire.SYNTHESIZE_PATH, WholeTextSession.endpoint)
router.add_websocket_route(wire.STREAM_PATH, TextStreamSession.endpoint)
