"""OpenAI's `POST /v1/audio/speech`, and its lists of models and voices."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from voice_cli.codecs.media_types import DEFAULT_PCM
from voice_cli.protocol.fields import MAX_SPEED, MIN_SPEED
from voice_cli.server.errors import OrderError, problems
from voice_cli.server.responses import SSE_TYPE, SpeechResponse
from voice_cli.server.service import Service
from voice_cli.server.speech import SpeechOrder
from voice_cli.server.voices import VoiceName

router = APIRouter(prefix="/v1", tags=["OpenAI"])

MODELS = ("gpt-4o-mini-tts", "tts-1", "tts-1-hd")
"""Names that OpenAI's clients send by default."""


class VoiceId(BaseModel):
    id: VoiceName


class SpeechBody(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    input: Annotated[str, Field(min_length=1, description="The text.")]
    model: Annotated[str | None, Field(max_length=200, description="Any: the server has one engine.")] = "tts-1"
    voice: Annotated[VoiceName | VoiceId | Literal[""] | None, Field(description="See /v1/audio/voices.")] = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] | None = "mp3"
    speed: Annotated[float | None, Field(ge=MIN_SPEED, le=MAX_SPEED)] = 1.0
    instructions: Annotated[str | None, Field(max_length=10_000, description="For engines that take them.")] = None
    stream_format: Literal["audio", "sse"] | None = "audio"
    sample_rate: Annotated[
        Literal[8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000] | None,
        Field(description="Hertz; without it, pcm has 24000 and the others their own. opus has 48000."),
    ] = None


_sound: dict[str, Any] = {"type": "string", "format": "binary"}
_event: dict[str, Any] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": ["speech.audio.delta", "speech.audio.done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}
_SPOKEN = {
    "description": "Audio, streamed",
    "content": {
        **{kind: {"schema": _sound} for kind in ("audio/mpeg", "audio/ogg", "audio/aac", "audio/flac", "audio/wav")},
        "audio/pcm": {"schema": _sound},
        SSE_TYPE.partition(";")[0]: {"schema": _event},
    },
}


@router.post(
    "/audio/speech", response_class=Response, responses={200: _SPOKEN, **problems(400, 413, 429, 500, 502, 503)}
)
async def speech(body: SpeechBody, request: Request) -> Response:
    """Synthesize a text and stream its audio."""
    service: Service = request.app.state.service
    service.check_order(body.input, param="input")
    codec = body.response_format or "mp3"
    rate = body.sample_rate or (DEFAULT_PCM.rate if codec == "pcm" else None)
    order = SpeechOrder(
        body.input,
        "openai",
        codec=codec,
        rate=None if codec == "opus" else rate,
        voice=(body.voice.id if isinstance(body.voice, VoiceId) else body.voice) or None,
        speed=body.speed or 1.0,
        instructions=body.instructions,
    )
    return SpeechResponse(service, order, sse=body.stream_format == "sse")


class Model(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "voice"


class ModelVoice(BaseModel):
    name: str
    """What a request's `voice` takes."""
    language: str
    gender: str


class SpeechModel(Model):
    """A model as speaches describes it, whose clients find its voices here."""

    task: Literal["text-to-speech"] = "text-to-speech"
    sample_rate: int = DEFAULT_PCM.rate
    voices: list[ModelVoice]


class Models(BaseModel):
    object: Literal["list"] = "list"
    data: list[Model]


class AudioModel(BaseModel):
    id: str
    name: str


class AudioModels(BaseModel):
    """The list as Open WebUI reads it."""

    models: list[AudioModel]


def model_names(request: Request) -> tuple[str, ...]:
    service: Service = request.app.state.service
    return (service.settings.server.engine, *MODELS)


@router.get("/models")
async def models(request: Request) -> Models:
    """List the models: the engine, and OpenAI's names for it."""
    return Models(data=[Model(id=name) for name in model_names(request)])


@router.get("/models/{model}", responses=problems(404))
async def model(model: str, request: Request) -> SpeechModel:
    """Describe a model and its voices."""
    if model not in model_names(request):
        raise OrderError("there is no such model", status=404, param="model", code="model_not_found")
    service: Service = request.app.state.service
    return SpeechModel(
        id=model,
        voices=[
            ModelVoice(name=voice.id, language=voice.language, gender=voice.gender) for voice in service.voice_list
        ],
    )


@router.get("/audio/models")
async def audio_models(request: Request) -> AudioModels:
    """List the models, as Open WebUI asks for them."""
    return AudioModels(models=[AudioModel(id=name, name=name) for name in model_names(request)])


class VoiceEntry(BaseModel):
    id: str
    name: str
    language: str
    gender: str


class VoiceList(BaseModel):
    voices: list[VoiceEntry]


@router.get("/audio/voices")
async def voices(request: Request) -> VoiceList:
    """List the engine's voices. OpenAI's names are accepted too, for the default voice."""
    service: Service = request.app.state.service
    return VoiceList(
        voices=[
            VoiceEntry(id=voice.id, name=voice.name or voice.id, language=voice.language, gender=voice.gender)
            for voice in service.voice_list
        ]
    )
