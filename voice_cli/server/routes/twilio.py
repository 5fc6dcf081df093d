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
"""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.websockets import WebSocket

from voice_cli.protocol import twilio as wire
from voice_cli.server.errors import OrderError, problems
from voice_cli.server.routes.chatterbox import VoiceName
from voice_cli.server.routes.twilio_call import SID, Call, Cleared

router = APIRouter(tags=["Twilio"])


@router.websocket(wire.STREAM_PATH)
async def call_socket(websocket: WebSocket) -> None:
    """Speak into a call."""
    await Call(websocket, websocket.app.state.service, websocket.app.state.calls).serve()


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


@router.post("/twilio/{stream_sid}/clear", responses=problems(400, 404))
async def clear(stream_sid: StreamSid, request: Request) -> Cleared:
    """Stop the speech of a call at once, and return how much of it was heard."""
    return await call_of(request, stream_sid).clear()


def call_of(request: Request, stream_sid: str) -> Call:
    """Return an active call.

    Raises:
        OrderError: there is no such call.

    """
    calls: dict[str, Call] = request.app.state.calls
    if stream_sid not in calls:
        raise OrderError("there is no such call", status=404, param="stream_sid", code="call_not_found")
    return calls[stream_sid]
