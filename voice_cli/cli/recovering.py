"""The recovery of a speech of `voice say`: its profile, the fallbacks, and the limits of the settings."""

import os
from collections.abc import Callable, Mapping
from functools import partial

from voice_cli.backends.base import Backend
from voice_cli.cli.narrating import make_request
from voice_cli.config import Settings
from voice_cli.errors import server_name
from voice_cli.speech.breaker import Breaker
from voice_cli.speech.recovery import Policy, Recovery, Target
from voice_cli.state_file import state_path


def recovery_of(
    settings: Settings,
    backend: Backend,
    open_fallback: Callable[[Settings], Backend] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Recovery:
    """Return the recovery of a speech. `open_fallback`: as `narrating.narrate`.

    The state file is read only if there are fallbacks.
    """
    defaults = settings.defaults
    policy = Policy(
        timeout=defaults.timeout,
        first_byte_timeout=defaults.first_byte_timeout,
        hedge=defaults.hedge / 1000 if defaults.hedge else None,
        resume=defaults.resume,
    )
    targets = [_target(settings, lambda: backend)]
    if open_fallback is None or not settings.fallbacks:
        return Recovery(targets, policy)
    targets += [_target(fallback, partial(open_fallback, fallback)) for fallback in settings.fallbacks]
    return Recovery(targets, policy, Breaker(state_path(environment)))


def _target(settings: Settings, open_backend: Callable[[], Backend]) -> Target:
    profile = settings.profile
    name = settings.profile_name or str(profile.backend)
    key = f"{profile.backend} {server_name(profile.base_url or '')}".strip()
    return Target(name, open_backend, partial(make_request, settings), key=key)
