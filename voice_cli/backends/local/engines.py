"""How it is with the engines in this process: installed, ready, on which device; and if they may speak, how quick."""

import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.backends import open_backend
from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.backends.packages import install_line, is_installed
from voice_cli.errors import EngineError, VoiceError

TEST_TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind."


class Engine(NamedTuple):
    """One backend that runs in this process."""

    name: str
    packages: tuple[tuple[str, str], ...]
    """(module, distribution) of what it runs on; any of them will do."""
    extra: str | None
    """None: it comes with the program."""


ENGINES = (
    Engine("espeak", (("espeakng_loader", "espeakng-loader"),), None),
    Engine("sherpa", (("sherpa_onnx", "sherpa-onnx"),), "sherpa"),
    Engine("piper", (("piper", "piper-tts"),), "piper"),
    Engine("chatterbox", (("chatterbox", "chatterbox-streaming"), ("chatterbox", "chatterbox-tts")), "chatterbox"),
    Engine("vibevoice", (("vibevoice", "vibevoice"), ("transformers", "transformers")), "vibevoice"),
)


class EngineState(NamedTuple):
    """How it is with one engine, and one model of it."""

    engine: str
    installed: str
    """The distribution and its version, or empty."""
    ready: bool
    device: str
    """Where it runs, or would; empty where that cannot be told."""
    missing: str
    """What is to be done before it speaks."""


class Measure(NamedTuple):
    """What a sentence took."""

    load_s: float
    """From the request to a loaded model."""
    first_ms: float
    """From there to the first chunk."""
    rtf: float
    """Seconds of work a second of speech: below 1 it is quicker than one can listen."""
    audio_s: float


def engine(name: str) -> Engine:
    """Give the engine of that name.

    Raises:
        KeyError: it is none.

    """
    return {one.name: one for one in ENGINES}[name]


def installed(one: Engine) -> str:
    """Give the first of its distributions that is here, with its version; empty: none."""
    for module, distribution in one.packages:
        if is_installed(module):
            try:
                return f"{distribution} {version(distribution)}"
            except PackageNotFoundError:
                continue
    return next((module for module, _ in one.packages if is_installed(module)), "")


def look(one: Engine, options: Mapping[str, Any]) -> EngineState:
    """Tell how it is with an engine that would be opened with these options. Loads no model; may import torch."""
    here = installed(one)
    if not here and one.extra is not None:
        return EngineState(one.name, "", False, "", install_line(one.extra))
    try:
        backend = open_backend(one.name, **options)
    except VoiceError as error:
        return EngineState(one.name, here, False, "", told(error))
    try:
        device = backend.compute_device
        return EngineState(one.name, here, bool(device), device, "" if device else "the compute device is not here")
    finally:
        backend.close()


def measure(backend: Backend, voice: str | None = None, text: str = TEST_TEXT) -> Measure:
    """Let it speak to nobody, and time it.

    Raises:
        BackendError, UsageError: as iteration over a stream.

    """
    began = time.monotonic()
    stream = backend.synthesize(SpeechRequest(text, voice=voice))
    size = sum(map(len, stream))
    ended = stream.timestamps.get("last_byte", time.monotonic())
    ready = stream.timestamps.get("engine_ready", began)
    audio_format = (stream.announced or stream.expected).format or AudioFormat(24000, 1)
    seconds = audio_format.seconds(size // audio_format.frame_bytes)
    if not seconds:
        raise EngineError(f"{backend.name} gave no sound")
    first = stream.timestamps.get("first_byte", ended)
    return Measure(ready - began, 1000 * (first - ready), (ended - ready) / seconds, seconds)


def told(error: VoiceError) -> str:
    return error.message + (f" ({error.hint})" if error.hint else "")
