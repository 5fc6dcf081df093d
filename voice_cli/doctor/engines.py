"""The engines of the profiles that run in this process, and the installed voices."""

from collections.abc import Iterable, Iterator

from voice_cli.backends.local.engines import look
from voice_cli.config import Settings
from voice_cli.doctor.finding import BROKEN, OK, WARNING, Finding, failure
from voice_cli.errors import VoiceError
from voice_cli.voices.installed import engine_of, installed_voices


def check_engine(name: str, settings: Settings) -> Finding:
    """Return the state of a profile's engine. `name`: the profile's, or the engine's. No model is loaded."""
    engine = settings.profile.backend or "espeak"
    check = f"engine {engine}" if name == engine else f"engine {engine} ({name})"
    state = look(engine, settings.profile)
    if state.ready:
        return Finding(check, OK, f"ready, on {state.device}", details={"engine": engine, "device": state.device})
    if state.error is not None:
        return failure(check, state.error, "see the list of engines")
    if not state.installed:
        return Finding(check, BROKEN, "its package is not installed", f"install it: {state.missing}")
    return Finding(check, BROKEN, state.missing, "set compute to auto")


def check_voices() -> Iterator[Finding]:
    """Yield a finding for all installed voices that can be used, and one for each that lacks its engine."""
    usable = []
    for name, voice in installed_voices().items():
        try:
            engine_of(voice)
            usable.append(name)
        except VoiceError as exc:
            yield failure(f"voice {name}", exc, "install its engine", state=WARNING)
    yield Finding("voices", OK, _some(usable) or "only those of the embedded engine", details={"voices": usable})


def _some(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
