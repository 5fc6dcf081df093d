"""OpenAI's speech API: `POST /v1/audio/speech`, and the errors of the servers that implement it."""

import json
from typing import Any

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.printable import one_line

SPEECH_PATH = "/audio/speech"
VOICES_PATH = "/audio/voices"
MODELS_PATH = "/models"
DEFAULT_BASE_URL = "https://api.openai.com/v1"
DEFAULT_MODEL = "gpt-4o-mini-tts"
DEFAULT_VOICE = "alloy"

VOICES = [
    "alloy",
    "ash",
    "ballad",
    "cedar",
    "coral",
    "echo",
    "fable",
    "marin",
    "nova",
    "onyx",
    "sage",
    "shimmer",
    "verse",
]
"""Of api.openai.com, which has no endpoint that lists them (its API reference, 2026)."""

PCM = AudioFormat(rate=24_000, channels=1)
"""The format of `response_format: pcm` by definition; some servers send a voice's own rate."""
_FORMATS = {"pcm": PCM, "opus": AudioFormat(48000, 1)}
RATE_KEY = "sample_rate"
"""A key of some servers' requests (speaches, `voice serve`): the rate that the response should have."""


def expected_encoding(codec: str) -> Encoding:
    """Return the encoding of the response: `pcm` is 24 kHz mono by definition, Opus decodes at 48 kHz."""
    return Encoding(codec, _FORMATS.get(codec))


def pcm_is_defined(host: str, model: str) -> bool:
    """Return whether PCM from that host has the format `PCM` even if no header says so.

    It does from OpenAI and Azure, and from Kokoro on any server: the model has no other rate.
    """
    host = host.partition(":")[0].lower()
    return host == "api.openai.com" or host.endswith(".azure.com") or "kokoro" in model.lower()


def speech_body(
    *, text: str, model: str, voice: str, codec: str, speed: float | None, instructions: str | None, rate: int | None
) -> dict[str, Any]:
    """Return the request's JSON object. Omit what is None, since not every server knows every key."""
    body = {"model": model, "input": text, "voice": voice, "response_format": codec}
    options = {"speed": speed, "instructions": instructions, RATE_KEY: rate}
    return body | {key: value for key, value in options.items() if value is not None}


def error_message(body: bytes) -> str | None:
    """Return the server's message in the body of an error; None: there is none, or it is HTML or not text.

    Known shapes: OpenAI's `{"error": {"message"}}`, FastAPI's `{"detail": "…"}` and `{"detail": [{"msg"}]}`,
    Kokoro-FastAPI's `{"detail": {"message"}}`, `{"message"}`, `{"error": "…"}`, and the first line of plain text.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    try:
        found = _message_in(json.loads(text))
    except (ValueError, RecursionError):
        found = None if text.lstrip().startswith("<") else text.strip().partition("\n")[0]
    return (one_line(found) or None) if found else None


def _message_in(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        return _message_in(value[0])
    if isinstance(value, dict):
        for key in ("message", "error", "detail", "msg"):
            if value.get(key):
                return _message_in(value[key])
    return None


def voices_in(body: bytes) -> list[tuple[str, str, str]] | None:
    """Return a list of voices as (id, name, language); None: the body is not such a list.

    Known shapes: `{"voices": ["af_bella", …]}`, `{"voices": [{"id", "name"}]}`, `{"data": [{"id"}]}`, the list itself.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = value.get("voices", value.get("data"))
    if not isinstance(value, list):
        return None
    voices = []
    for item in value:
        if isinstance(item, str):
            voices.append((item, "", ""))
        elif isinstance(item, dict):
            name = item.get("id") or item.get("voice_id") or item.get("name")
            if isinstance(name, str):
                voices.append((name, str(item.get("name") or ""), str(item.get("language") or "")))
    return voices
