"""Profiles that are built in: for each server or service, its address, voice, the format that suits it, and its key.

`config.settle` imports this only if a profile is named. A profile of the same name in the config file overrides a
preset key by key, unless it has another backend.
"""

import os
from collections.abc import Collection, Mapping
from typing import Any

from voice_cli.errors import ConfigError, nearest

PRESETS: dict[str, dict[str, Any]] = {
    "embedded": {"backend": "espeak"},
    # `voice serve`.
    "serve": {"backend": "http", "base_url": "http://localhost:8880/v1", "format": "pcm"},
    # PCM is 24 kHz and streamed as it is generated (OpenAI's API reference).
    "openai": {
        "backend": "http",
        "base_url": "https://api.openai.com/v1",
        "model": "gpt-4o-mini-tts",
        "voice": "alloy",
        "format": "pcm",
        "api_key_env": "OPENAI_API_KEY",
    },
    # Azure OpenAI's v1 API, in which `model` is the name of a deployment (Azure's REST reference).
    "azure": {
        "backend": "http",
        "base_url": "$AZURE_OPENAI_ENDPOINT/openai/v1?api-version=preview",
        "model": "gpt-4o-mini-tts",
        "voice": "alloy",
        "format": "pcm",
        "api_key_env": "AZURE_OPENAI_API_KEY",
        "api_key_header": "api-key",
    },
    # It has WAV at 48 kHz (Groq's documentation of Orpheus).
    "groq": {
        "backend": "http",
        "base_url": "https://api.groq.com/openai/v1",
        "model": "canopylabs/orpheus-v1-english",
        "voice": "autumn",
        "format": "wav",
        "api_key_env": "GROQ_API_KEY",
    },
    # Kokoro-FastAPI: every format is streamed; PCM has the model's 24 kHz.
    "kokoro": {
        "backend": "http",
        "base_url": "http://localhost:8880/v1",
        "model": "kokoro",
        "voice": "af_bella",
        "format": "pcm",
    },
    "speaches": {
        "backend": "http",
        "base_url": "http://localhost:8000/v1",
        "model": "speaches-ai/Kokoro-82M-v1.0-ONNX",
        "voice": "af_heart",
        "format": "pcm",
    },
    # It has no PCM, and a model's own rate; only the header of a WAV says which (LocalAI's AudioConvert).
    "localai": {"backend": "http", "base_url": "http://localhost:8080/v1", "model": "tts-1", "format": "wav"},
    # By HTTP, vLLM-omni sends whole files unless a request has its own `stream_format`; the WebSocket streams PCM.
    "vllm-omni": {"backend": "omni-ws", "base_url": "ws://localhost:8091", "voice": "vivian"},
    # The streaming server over WebSockets.
    "chatterbox": {"backend": "chatterbox-ws", "base_url": "ws://localhost:8000"},
    # travisvn/chatterbox-tts-api, which has WAV only.
    "chatterbox-api": {"backend": "http", "base_url": "http://localhost:4123/v1", "format": "wav"},
    # The demo of VibeVoice-Realtime.
    "vibevoice": {"backend": "vibevoice-ws", "base_url": "ws://localhost:3000", "voice": "en-Carter_man"},
}
"""Keys of `config.Profile`. An address that begins with $NAME begins with the value of that environment variable."""


def check_name(path: str, name: str, profiles: Collection[str]) -> None:
    """Check that a profile is one of the config file, whose names are given, or built in.

    Raises:
        ConfigError: it is neither.

    """
    if name not in profiles and name not in PRESETS:
        raise ConfigError(
            f"{path}: there is no profile {name!r}{nearest(name, [*profiles, *PRESETS])}",
            hint=f"it has: {', '.join(profiles) or 'none'}; built in: {', '.join(PRESETS)}",
        )


def of_preset(name: str, own: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the keys that a profile with the values `own` takes from the preset of its name.

    Without a preset, or if the profile has another backend, there are none. The preset's key is only for its own
    address: a profile with another one names its key itself.
    """
    preset = PRESETS.get(name, {})
    if own.get("backend", preset.get("backend")) != preset.get("backend"):
        return {}
    values = {**preset}
    address = values.get("base_url", "")
    if address.startswith("$"):
        variable, slash, path = address[1:].partition("/")
        start = environment.get(variable, "").rstrip("/")
        if start:
            values["base_url"] = f"{start}{slash}{path}"
    is_elsewhere = own.get("base_url", values.get("base_url")) != values.get("base_url")
    if is_elsewhere or "api_key_env" in own or "api_key_command" in own:
        values.pop("api_key_env", None)
    return {key: value for key, value in values.items() if key not in own}
