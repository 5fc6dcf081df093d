"""`voice say`: one text, from the command line to the ear.

The order is the point (see `start`): the text, the settings, a look at the file to save to; then the request leaves,
and only then is loaded what plays, saves and reports.
"""

import sys
from typing import TYPE_CHECKING, BinaryIO

from voice_cli.backends import BACKENDS, REMOTE, open_backend
from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.cli.console import report_error, silence_libraries
from voice_cli.cli.options import SayOptions
from voice_cli.clock import process_start
from voice_cli.config import Settings, api_key, load, settle
from voice_cli.errors import FileError, UsageError

if TYPE_CHECKING:
    from voice_cli.playback.player import PlaybackResult
    from voice_cli.playback.recorder import Recorder

DEFAULT_CODEC = "pcm"


def say(options: SayOptions) -> int:
    """Say it and give the exit code. All that can go wrong is told here."""
    started = process_start()
    settings: Settings | None = None
    recorder: Recorder | None = None
    result: PlaybackResult | None = None
    error: BaseException | None = None
    noise: BinaryIO | None = None
    try:
        options.check()
        text = read_text(options)
        settings = settle(load(), options._asdict(), backend_names=BACKENDS)
        if options.save is not None:
            from voice_cli.cli.saving import make_recorder

            recorder = make_recorder(options.save, settings.profile.format or DEFAULT_CODEC)
        noise = silence_libraries(keep=options.debug)
        backend = make_backend(settings)
        try:
            stream = backend.synthesize(make_request(text, settings))
            # The request has left. From here on, the server thinks while we load: first what takes longest.
            if not options.no_play:
                from voice_cli.playback.sinks.device import load_soon

                load_soon()
            from voice_cli.cli.playing import play

            result = play(stream, backend.name, settings, options, recorder, started)
        finally:
            backend.close()
        error = result.error
    except (Exception, KeyboardInterrupt) as exc:
        error = exc
    code = report_error(error, debug=options.debug) if error is not None else 0
    if result is not None or options.json:
        from voice_cli.cli.report import report

        report(options, settings, result, error, recorder.saved if recorder is not None else None, noise)
    return code


def read_text(options: SayOptions) -> str:
    """Find the text: the arguments, the file, or standard input.

    Raises:
        UsageError: there is none, or nothing in it.
        FileError: the file cannot be read.

    """
    if options.file not in (None, "-"):
        try:
            with open(str(options.file), "rb") as file:
                text = file.read().decode("utf-8-sig", "replace")
        except OSError as exc:
            raise FileError(f"cannot read {options.file}: {exc.strerror}") from exc
    elif options.file == "-" or options.text == ("-",) or not (options.text or sys.stdin.isatty()):
        text = sys.stdin.buffer.read().decode("utf-8-sig", "replace")
    elif options.text:
        text = " ".join(options.text)
    else:
        raise UsageError("there is nothing to say", hint='as in: voice say "Hello" or: echo Hello | voice say')
    if not text.strip():
        raise UsageError("there is nothing to say: the text is blank")
    return text


def make_backend(settings: Settings) -> Backend:
    """Make the backend that the settings name, with what it takes."""
    profile = settings.profile
    name = profile.backend or "espeak"
    if name not in REMOTE:
        return open_backend(name)
    options = {"api_key": api_key(settings), "timeout": settings.machine.timeout}
    if profile.base_url is not None:
        options["base_url"] = profile.base_url
    return open_backend(name, **options)


def make_request(text: str, settings: Settings) -> SpeechRequest:
    """Put the request together from the text and the profile."""
    profile = settings.profile
    return SpeechRequest(
        text,
        voice=profile.voice,
        model=profile.model,
        codec=profile.format or DEFAULT_CODEC,
        speed=profile.speed,
        instructions=profile.instructions,
    )
