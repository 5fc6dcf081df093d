"""OpenAI's speech API on the wire: `POST /v1/audio/speech` and the errors that its family of servers answers with."""

import json
from typing import Any

from voice_cli.audio import AudioFormat, Encoding
from voice_cli.errors import one_line

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
"""Those of api.openai.com, which has no list to ask for (its API reference, 2026)."""


_FORMATS = {"pcm": AudioFormat(24000, 1), "opus": AudioFormat(48000, 1)}


def expected_encoding(codec: str) -> Encoding:
    """Say what asking for a codec should bring: `pcm` is 24 kHz mono by definition, Opus decodes at 48 kHz."""
    return Encoding(codec, _FORMATS.get(codec))


def speech_body(
    *, text: str, model: str, voice: str, codec: str, speed: float | None, instructions: str | None
) -> dict[str, Any]:
    """Give the request's JSON object; what is None is left out, since not every server knows every key."""
    body: dict[str, Any] = {"model": model, "input": text, "voice": voice, "response_format": codec}
    if speed is not None:
        body["speed"] = speed
    if instructions is not None:
        body["instructions"] = instructions
    return body


def error_message(body: bytes) -> str | None:
    """Find the server's own words in an error's body, in any of the shapes that are about.

    OpenAI's `{"error": {"message"}}`, FastAPI's `{"detail": "…"}` and `{"detail": [{"msg"}]}`, Kokoro-FastAPI's
    `{"detail": {"message"}}`, `{"message"}`, `{"error": "…"}`; else the first line of plain text; None for HTML, for
    nothing, and for what is not text.
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
    """Read a list of voices as (id, name, language), in any of the shapes that are about; None: it is none.

    `{"voices": ["af_bella", …]}`, `{"voices": [{"id", "name"}]}`, `{"data": [{"id"}]}`, or the list itself.
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
