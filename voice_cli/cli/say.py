"""`voice say`: settings, request, playback, report, in the order that `start` describes."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from voice_cli.agent.priorities import DEFAULT
from voice_cli.backends import BACKENDS, backend_class, is_remote, open_backend, options_of
from voice_cli.backends.base import Backend
from voice_cli.cli.caching import with_cache
from voice_cli.cli.console import check_writable, is_watched, print_note, report_error, silence_libraries
from voice_cli.cli.narrating import ArrivingText, has_many, narrate, read_text
from voice_cli.cli.options import SayOptions
from voice_cli.clock import process_start
from voice_cli.config import Settings, load, settle

if TYPE_CHECKING:
    from voice_cli.agent.turns import Turn
    from voice_cli.cli.event_lines import EventLines
    from voice_cli.playback.player import PlaybackResult
    from voice_cli.recording.recorder import Recorder
    from voice_cli.speech.narration import Narration


def say(
    options: SayOptions,
    *,
    has_tried_agent: bool = False,
    text: str | None = None,
    arriving: ArrivingText | None = None,
    spoken: str = "",
) -> int:
    """Speak the text, report errors, and return the exit code.

    `has_tried_agent`: no agent runs, or it has declined. `text`, `arriving`: instead of the text of the options, to
    speak in this process; `spoken`: what an agent has spoken before.
    """
    started = process_start()
    if not has_tried_agent:
        from voice_cli.cli.agent_client import speak_through_agent

        code = speak_through_agent(options.arguments())
        if code is not None:
            return code
    settings: Settings | None = None
    recorder: Recorder | None = None
    narration: Narration | None = None
    result: PlaybackResult | None = None
    error: BaseException | None = None
    noise: BinaryIO | None = None
    turn: Turn | None = None
    queued: float | None = None
    lines: EventLines | None = None
    try:
        options.check()
        settings = with_engine(settle(load(), options.flags(), backend_names=BACKENDS))
        is_whole = text is None and arriving is None
        if is_whole and (options.detach or (settings.defaults.agent == "on" and not options.no_agent)):
            from voice_cli.cli.agent_start import speak_through_new_agent

            code = speak_through_new_agent(options)
            if code is not None:
                return code
        if options.subtitles is not None:
            check_writable(options.subtitles)
        if options.save is not None:
            from voice_cli.cli.saving import make_recorder

            changes = has_many(options, settings) or settings.defaults.normalize  # so no bytes can be kept
            recorder = make_recorder(options.save, many=changes)
        if is_whole:
            text = read_text(options)
        if options.events:
            from voice_cli.cli import event_lines

            lines = event_lines.EventLines(started).start(settings.profile.backend)
        if not options.no_play:
            turn, queued = wait_for_turn(options, text, lines)
        noise = silence_libraries(keep=options.debug)
        waits_for_server = is_remote(str(settings.profile.backend))
        if not waits_for_server:
            load_device(options, settings)
        notes: list[str] = []
        backends = contextlib.ExitStack()
        backend = backends.enter_context(with_cache(settings, partial(_opened, settings, notes.append)))
        try:
            narration = narrate(backend, options, settings, text, arriving, partial(_open_fallback, backends))
            # The request was sent; the server works while the rest is imported.
            _print_all(notes)
            if waits_for_server:
                load_device(options, settings)
            from voice_cli.cli.playing import play

            result = play(narration, backend, settings, options, recorder, started, turn, lines)
            _print_all(notes)
        finally:
            if narration is not None:
                narration.cancel()
            backends.close()
        error = result.error
    except (Exception, KeyboardInterrupt) as exc:
        error = exc
    finally:
        if turn is not None:
            turn.release()
    code = report_error(error, debug=options.debug) if error is not None else 0
    if result is not None or options.json or options.events:
        from voice_cli.cli.report import account_of, report

        account = account_of(settings, narration, result, error, queued=queued)
        if spoken:
            account["json"]["text_spoken"] = f"{spoken.strip()} {account['json']['text_spoken'] or ''}".strip()
        report(options, account, saved=recorder.saved if recorder else None, noise=noise, lines=lines)
        if settings is not None and narration is not None and result is not None and not options.no_play:
            from voice_cli.cli.history import remember

            remember(settings, options, narration, account)
    return code


def wait_for_turn(
    options: SayOptions,
    text: str | None,
    lines: "EventLines | None" = None,
    *,
    controls: Callable[[], str] = str,
) -> "tuple[Turn | None, float]":
    """Wait until no other speech of the user is spoken, and return the turn and the seconds.

    `controls` returns the path of the socket with which this process will be controlled; empty: it has none.

    Raises:
        Dropped, Interrupted: as `Turns.take` and `Turn.wait`.

    """
    if sys.platform == "win32":  # no flock(2)
        return None, 0.0
    from voice_cli.agent.turns import Turns

    began = time.monotonic()
    socket = controls()
    number = os.getpid() if socket else 0
    turn = Turns().take(options.priority or DEFAULT, options.mode, id=number, agent=socket, text=text or "")

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return False

    try:
        turn.wait(pause, lambda ahead: tell_waiting(ahead, options, lines))
    except BaseException:
        turn.release()
        raise
    return turn, time.monotonic() - began


def tell_waiting(ahead: int, options: SayOptions, lines: "EventLines | None") -> None:
    """Print that other speeches come first."""
    if lines is not None:
        lines.send("queued", ahead=ahead)
    if is_watched() and not options.quiet:
        print_note(f"waiting for {ahead} other {'speech' if ahead == 1 else 'speeches'}")


def say_values(*, text: Sequence[str] | None, **values: Any) -> int:
    """Speak as `say`, with the values of typer."""
    return say(SayOptions(text=tuple(text or ()), **values))


def load_device(options: SayOptions, settings: Settings) -> None:
    if not options.no_play:
        from voice_cli.playback.sinks.portaudio import load_soon

        load_soon(default_only=settings.defaults.device is None)


def with_engine(settings: Settings, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings with the engine of a voice that is named without one. Raises as `voices.named.with_engine`.

    Nothing is imported for other settings.
    """
    if settings.fallbacks:
        fallbacks = tuple(with_engine(fallback, environment) for fallback in settings.fallbacks)
        settings = settings._replace(fallbacks=fallbacks)
    if not settings.names_only_a_voice:
        return settings
    from voice_cli.voices import named

    return named.with_engine(settings, environment)


def make_backend(settings: Settings, *, note: Callable[[str], object] = print_note) -> Backend:
    """Open the backend of the settings. `note` is called with a line to print."""
    name, options = backend_options(settings, note=note)
    return open_backend(name, **options)


def _opened(settings: Settings, note: Callable[[str], object]) -> contextlib.AbstractContextManager[Backend]:
    return contextlib.closing(make_backend(settings, note=note))


def _open_fallback(backends: contextlib.ExitStack, settings: Settings) -> Backend:
    """Open the backend of a fallback profile, which `backends` closes."""
    return backends.enter_context(with_cache(settings, partial(_opened, settings, print_note)))


def _print_all(notes: list[str]) -> None:
    """Print the notes, and remove them."""
    while notes:
        print_note(notes.pop(0))


def backend_options(
    settings: Settings, *, note: Callable[[str], object], environment: Mapping[str, str] = os.environ
) -> tuple[str, dict[str, Any]]:
    """Return the name of the settings' backend and the options of its constructor; `note` as `make_backend`."""
    profile = settings.profile
    name = profile.backend or "espeak"
    if profile.format not in (None, "pcm") and not backend_class(name).has_formats:
        note(f"the format {profile.format} is not applied: {name} has its own")
    options = options_of(name, profile)
    if not is_remote(name):
        return name, options
    from voice_cli.api_keys import api_key, key_note

    options |= {"api_key": api_key(settings, environment), "timeout": settings.defaults.timeout}
    if about_key := key_note(settings, environment):
        note(about_key)
    if profile.base_url is not None:
        options["base_url"] = profile.base_url
    return name, options
