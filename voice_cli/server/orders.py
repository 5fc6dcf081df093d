"""What every protocol looks at before it takes an order."""

from voice_cli.backends.local.chatterbox_presets import PRESETS
from voice_cli.server.errors import OrderError, VoiceNotFoundError
from voice_cli.server.service import Service


def check_order(
    service: Service, text: str = "", *, voice: str | None = None, preset: str | None = None, param: str = "text"
) -> None:
    """See that an order can be, as far as it can be told at once. `param`: what the text is called.

    Raises:
        UsageError: it cannot.

    """
    if preset is not None and preset not in PRESETS:
        raise OrderError(f"there is no such preset: {', '.join(PRESETS)}", param="preset", code="invalid_value")
    check_length(service, len(text), param=param)
    if voice is not None:
        service.voices.check(voice)


def check_length(service: Service, characters: int, *, param: str = "text") -> None:
    """See that a text is not too long.

    Raises:
        OrderError: it is.

    """
    most = service.settings.server.max_text
    if characters > most:
        raise OrderError(f"the text has {characters} characters, and {most} may be", param=param, code="too_long")


async def check_voice(service: Service, voice: str | None, *, param: str = "voice") -> None:
    """See that a voice can speak; None: whichever it is.

    Raises:
        UsageError: there is no such voice.
        NetworkError, ServerError: it could not be fetched.

    """
    if voice is not None and not await service.has_voice(voice):
        raise VoiceNotFoundError(param=param)
