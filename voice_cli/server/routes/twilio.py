"""Calls by Twilio Media Streams: Twilio brings the call, an application says by HTTP what is spoken into it.

::

    <Connect><Stream url="wss://…/twilio">                      at most 500 characters a Parameter
      <Parameter name="api_key" value="…"/>                     if the server has keys
      <Parameter name="text" value="Hello."/>                   what is said at once
      <Parameter name="voice" value="…"/>                       also preset, speed
      <Parameter name="interruptible" value="dtmf"/>            a key of the telephone stops what is being said
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
    """What is to be said."""

    model_config = ConfigDict(extra="ignore")

    text: str
    voice: Annotated[VoiceName | None, Field(description="Of this text and what goes on with it.")] = None
    flush: Annotated[bool, Field(description="False: the text goes on in the next request.")] = True


class Said(BaseModel):
    """What was taken."""

    stream_sid: str
    characters: int


StreamSid = Annotated[str, Path(pattern=f"^{SID}$")]


@router.post("/twilio/{stream_sid}/say", responses=problems(400, 404, 413, 429, 503))
async def say(stream_sid: StreamSid, body: SayBody, request: Request) -> Said:
    """Say a text into a call, after what is being said."""
    call = call_of(request, stream_sid)
    await call.add(body.text, body.voice, flush=body.flush)
    return Said(stream_sid=stream_sid, characters=len(body.text))


@router.post("/twilio/{stream_sid}/clear", responses=problems(400, 404))
async def clear(stream_sid: StreamSid, request: Request) -> Cleared:
    """Stop at once what is being said into a call, and tell how much of it was heard."""
    return await call_of(request, stream_sid).clear()


def call_of(request: Request, stream_sid: str) -> Call:
    """Find a call.

    Raises:
        OrderError: there is none.

    """
    calls: dict[str, Call] = request.app.state.calls
    if stream_sid not in calls:
        raise OrderError("there is no such call", status=404, param="stream_sid", code="call_not_found")
    return calls[stream_sid]
