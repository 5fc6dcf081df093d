"""`voice say`: settings, request, playback, report, in the order that `start` describes."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from voice_cli.backends import BACKENDS, backend_class, is_remote, open_backend, options_of
from voice_cli.backends.base import Backend
from voice_cli.cli.console import check_writable, print_note, report_error, silence_libraries
from voice_cli.cli.narrating import narrate, single_line
from voice_cli.cli.options import SayOptions
from voice_cli.clock import process_start
from voice_cli.config import Settings, load, settle

if TYPE_CHECKING:
    from voice_cli.playback.player import PlaybackResult
    from voice_cli.recording.recorder import Recorder
    from voice_cli.speech.narration import Narration


def say(options: SayOptions) -> int:
    """Speak the text, report errors, and return the exit code."""
    started = process_start()
    settings: Settings | None = None
    recorder: Recorder | None = None
    narration: Narration | None = None
    result: PlaybackResult | None = None
    error: BaseException | None = None
    noise: BinaryIO | None = None
    try:
        options.check()
        settings = settle(load(), options._asdict(), backend_names=BACKENDS)
        if options.subtitles is not None:
            check_writable(options.subtitles)
        if options.save is not None:
            from voice_cli.cli.saving import make_recorder

            many = not (options.text and single_line(" ".join(options.text), options, settings))
            recorder = make_recorder(options.save, many=many)
        noise = silence_libraries(keep=options.debug)
        waits_for_server = is_remote(str(settings.profile.backend))
        if not waits_for_server:
            _load_device(options, settings)
        notes: list[str] = []
        backend = make_backend(settings, note=notes.append)
        try:
            narration = narrate(backend, options, settings)
            # The request was sent; the server works while the rest is imported.
            for note in notes:
                print_note(note)
            if waits_for_server:
                _load_device(options, settings)
            from voice_cli.cli.playing import play

            result = play(narration, backend, settings, options, recorder, started)
        finally:
            if narration is not None:
                narration.cancel()
            backend.close()
        error = result.error
    except (Exception, KeyboardInterrupt) as exc:
        error = exc
    code = report_error(error, debug=options.debug) if error is not None else 0
    if result is not None or options.json:
        from voice_cli.cli.report import report

        saved = recorder.saved if recorder else None
        report(options, settings, narration, result, error, saved=saved, noise=noise)
    return code


def say_values(*, text: Sequence[str] | None, **values: Any) -> int:
    """Speak as `say`, with the values of typer."""
    return say(SayOptions(text=tuple(text or ()), **values))


def _load_device(options: SayOptions, settings: Settings) -> None:
    if not options.no_play:
        from voice_cli.playback.sinks.portaudio import load_soon

        load_soon(default_only=settings.defaults.device is None)


def make_backend(settings: Settings, *, note: Callable[[str], object] = print_note) -> Backend:
    """Open the backend of the settings. `note` is called with a line to print."""
    profile = settings.profile
    name = profile.backend or "espeak"
    if profile.format not in (None, "pcm") and not backend_class(name).has_formats:
        note(f"the format {profile.format} is not applied: {name} has its own")
    options = options_of(name, profile)
    if not is_remote(name):
        return open_backend(name, **options)
    from voice_cli.api_keys import api_key, key_note

    options |= {"api_key": api_key(settings), "timeout": settings.defaults.timeout}
    if about_key := key_note(settings):
        note(about_key)
    if profile.base_url is not None:
        options["base_url"] = profile.base_url
    return open_backend(name, **options)
