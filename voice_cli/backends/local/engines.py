"""The state and the speed of the engines that run in this process."""

import contextlib
import time
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.backends import backend_class, options_of
from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.backends.packages import install_line, is_installed
from voice_cli.errors import EngineError, VoiceError
from voice_cli.printable import one_line

TEST_TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind."


class EngineState(NamedTuple):
    """The state of one engine with one model."""

    engine: str
    installed: str
    """The distribution and its version, or empty."""
    ready: bool
    device: str
    """The compute device; empty if unknown."""
    missing: str
    """What is missing, or the command that installs it; empty if it is ready."""
    error: VoiceError | None = None
    """Why it cannot be opened, hint included."""


class Measure(NamedTuple):
    """The figures of one sentence."""

    load_s: float
    """From the request to a loaded model."""
    first_ms: float
    """From a loaded model to the first chunk."""
    rtf: float
    """Real-time factor: seconds of generation a second of speech."""
    audio_s: float


def installed(backend: type[Backend]) -> str:
    """Return the first installed distribution of those that it runs on, with its version; or an empty string."""
    found = [package for package in backend.packages if is_installed(package[0])]
    for _, distribution in found:
        with contextlib.suppress(PackageNotFoundError):
            return f"{distribution} {version(distribution)}"
    return found[0][0] if found else ""


def look(name: str, profile: object) -> EngineState:
    """Open an engine's backend with a profile's settings, and return its state; an error is part of that.

    No model is loaded, but torch may be imported.
    """
    here = ""
    try:
        kind = backend_class(name)
        here = installed(kind)
        if not here and kind.extra is not None:
            return EngineState(name, "", False, "", install_line(kind.extra))
        with contextlib.closing(kind(**options_of(name, profile))) as backend:
            device = backend.compute_device
        return EngineState(name, here, bool(device), device, "" if device else "the compute device is not available")
    except VoiceError as error:
        return EngineState(name, here, False, "", error.message, error)
    except Exception as error:
        return EngineState(name, here, False, "", f"the backend {name!r} cannot be created: {one_line(str(error))}")


def measure(backend: Backend, voice: str | None = None, text: str = TEST_TEXT) -> Measure:
    """Generate a text, discard it, and return the timing. Raises what iteration over a stream raises."""
    began = time.monotonic()
    stream = backend.synthesize(SpeechRequest(text, voice=voice))
    size = sum(map(len, stream))
    ended = stream.timestamps.get("last_byte", time.monotonic())
    ready = stream.timestamps.get("engine_ready", began)
    audio_format = (stream.announced or stream.expected).format or AudioFormat(24000, 1)
    seconds = audio_format.seconds(size // audio_format.frame_bytes)
    if not seconds:
        raise EngineError(f"{backend.name} generated no audio")
    first = stream.timestamps.get("first_byte", ended)
    return Measure(ready - began, 1000 * (first - ready), (ended - ready) / seconds, seconds)
