"""Checks that every protocol makes before it queues an order."""

from voice_cli.errors import UsageError
from voice_cli.server.errors import OrderError, VoiceNotFoundError
from voice_cli.server.service import Service


def check_order(
    service: Service, text: str = "", *, voice: str | None = None, preset: str | None = None, param: str = "text"
) -> None:
    """Raise OrderError if a parameter is wrong. `param`: the text's parameter in the protocol."""
    if preset is not None:
        try:
            service.backend.check_options({"preset": preset})
        except UsageError as exc:
            raise OrderError(f"{exc.message} ({exc.hint})", param="preset", code="invalid_value") from exc
    check_length(service, len(text), param=param)
    if voice is not None:
        service.voices.check(voice)


def check_length(service: Service, characters: int, *, param: str = "text") -> None:
    """Raise OrderError if a text is too long."""
    most = service.settings.server.max_text
    if characters > most:
        raise OrderError(f"the text has {characters} characters (at most {most})", param=param, code="too_long")


async def check_voice(service: Service, voice: str | None, *, param: str = "voice") -> None:
    """Raise VoiceNotFoundError if a voice does not exist; other errors as `Service.has_voice`."""
    if voice is not None and not await service.has_voice(voice):
        raise VoiceNotFoundError(param=param)
