"""The endpoints of VibeVoice's demo, for any engine; see `protocol.vibevoice`.

Differences from the demo: streams run concurrently up to the admission limit; a failed stream closes with 1011 instead
of being reported complete; an unknown voice is an error instead of falling back to another voice.
"""

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.websockets import WebSocket

from voice_cli.codecs.frames import Frames
from voice_cli.errors import VoiceError
from voice_cli.protocol import vibevoice as wire
from voice_cli.protocol.fields import present
from voice_cli.server.errors import Problem, problem_of
from voice_cli.server.service import Service
from voice_cli.server.sockets import FAILED, TRY_AGAIN, SocketSession
from voice_cli.server.speech import Speech, SpeechOrder

router = APIRouter(tags=["VibeVoice"])


class Config(BaseModel):
    voices: list[str]
    default_voice: str


@router.get(wire.CONFIG_PATH)
async def config(request: Request) -> Config:
    """List the voices, the default one first: the demo's page chooses another one if none is named."""
    service: Service = request.app.state.service
    default = service.settings.voice or "default"  # which stands for the engine's own
    names = dict.fromkeys([default, *(voice.id for voice in service.voice_list)])
    return Config(voices=list(names), default_voice=default)


class OneText(SocketSession):
    """The text in the query. Messages of the client are ignored."""

    def __init__(self, websocket: WebSocket) -> None:
        super().__init__(websocket)
        self._query = wire.parse_query(websocket.query_params)
        self._sent = 0
        """Sent bytes of audio."""

    async def on_open(self) -> None:
        query = self._query
        order = SpeechOrder(
            query.text,
            "vibevoice",
            rate=wire.FORMAT.rate,
            voice=query.voice,
            options=present(steps=query.steps, cfg_scale=query.cfg),
        )
        try:
            self.service.check_order(query.text, voice=query.voice)
            self.say(order)
        except VoiceError as error:
            await self.on_problem(problem_of(error))

    async def on_message(self, message: str | bytes) -> None:
        pass

    async def deliver(self, speech: Speech) -> None:
        query = self._query
        await self._log(
            wire.REQUEST_RECEIVED,
            text_length=len(query.text),
            cfg_scale=query.cfg,
            inference_steps=query.steps,
            voice=query.voice,
        )
        frames = Frames(wire.FRAME_BYTES, fill=None)
        async for events in speech:
            for event in events:
                if isinstance(event, bytes):
                    await self._send(speech, frames.cut(event))
        await self._send(speech, frames.finish())
        await self._log(wire.STREAM_COMPLETE)
        await self.close(wire.CLOSED)

    async def on_problem(self, problem: Problem) -> None:
        """Send the error as a log event, as the demo does, and close."""
        busy = problem.retry_after is not None
        await self._log(wire.BUSY if busy else wire.GENERATION_ERROR, message=problem.message)
        await self.close(TRY_AGAIN if busy else FAILED, problem.message)

    async def _send(self, speech: Speech, frames: list[bytes]) -> None:
        for frame in frames:
            await self.send_binary(frame)
            speech.report.mark("sent")
            is_first = not self._sent
            self._sent += len(frame)
            await self._log(wire.MODEL_PROGRESS, generated_sec=seconds_of(self._sent), chunk_sec=seconds_of(len(frame)))
            if is_first:
                await self._log(wire.FIRST_CHUNK_SENT)

    async def _log(self, event: str, **data: Any) -> None:
        await self.send(wire.Log(event, data).message())


router.add_websocket_route(wire.STREAM_PATH, OneText.endpoint)


def seconds_of(size: int) -> float:
    return wire.FORMAT.seconds(size // wire.FORMAT.frame_bytes)
