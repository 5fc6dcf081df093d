"""The process that makes the sound of one chapter for `voice book`.

Each chapter has a process of its own: what an engine keeps between requests (espeak-ng's noise, a library's memory)
then neither depends on the chapters before it nor grows with the book. It reads a job as JSON from the first line of
standard input, and prints a JSON object a line: `done` (characters), `note`, and at last `seconds` or `error`.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import voice_cli
from voice_cli.audio import AudioFormat
from voice_cli.backends import BACKENDS
from voice_cli.books.sound import ChapterWriter
from voice_cli.cli.console import print_traceback, silence_libraries
from voice_cli.cli.narrating import narrate
from voice_cli.cli.options import SayOptions, words
from voice_cli.cli.playing import speech_of
from voice_cli.cli.say import make_backend, with_engine
from voice_cli.config import Settings, load, settle
from voice_cli.errors import VoiceError
from voice_cli.speech.events import Audio, UtteranceEnded

PROGRAM = f"""\
import sys
sys.path.append({os.path.dirname(os.path.dirname(voice_cli.__file__))!r})
from voice_cli.cli.book_worker import main
main()
"""

LOOKAHEAD = 3
"""Utterances to request ahead, at least: nobody listens, so more at once is faster."""
REPORT_SECONDS = 0.1
"""Between two reports of the progress."""


def book_settings(flags: Mapping[str, Any]) -> Settings:
    """Return the settings in effect for options; raises ConfigError."""
    return with_engine(settle(load(), flags, backend_names=BACKENDS))


def main() -> None:
    """Make the chapter of the job, and exit. If the parent ends before, so does this process, with its requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends this process
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, name="voice-parent", daemon=True).start()
    if not job["debug"]:
        silence_libraries()
    try:
        _send(seconds=_make(job))
    except Exception as exc:
        if job["debug"]:
            import traceback

            print_traceback(traceback.format_exc())
        error = exc if isinstance(exc, VoiceError) else VoiceError(f"internal error: {type(exc).__name__}: {exc}")
        hint = words(error.hint) if error.hint else None
        _send(error={"kind": error.kind, "message": error.message, "hint": hint})
    sys.stdout.flush()
    os._exit(0)  # an engine's threads may still run


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _make(job: Mapping[str, Any]) -> float:
    settings = book_settings(job["flags"])
    lookahead = max(settings.defaults.lookahead, LOOKAHEAD)
    settings = settings._replace(
        defaults=settings.defaults._replace(markdown=job["markdown"], lookahead=lookahead),
    )
    writer = ChapterWriter(job["path"], AudioFormat(*job["format"]) if job["format"] else None)
    notes: set[str] = set()
    with ExitStack() as backends:

        def opened(settings: Settings) -> Any:
            return backends.enter_context(closing(make_backend(settings, note=partial(_note, notes))))

        backend = opened(settings)
        narration = narrate(backend, SayOptions(), settings, job["text"], open_fallback=opened)
        try:
            _write(speech_of(narration, settings, backend), writer, partial(_note, notes))
        finally:
            narration.cancel()
    writer.close()
    return writer.seconds


def _write(speech: Any, writer: ChapterWriter, note: Callable[[str], object]) -> None:
    reported = 0.0
    for event in speech:
        if isinstance(event, Audio):
            writer.write(event.chunk)
        elif isinstance(event, UtteranceEnded):
            utterance = event.utterance
            for line in (*utterance.stream.notes, *utterance.notes):
                note(line)
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                _send(done=utterance.line.end)


def _note(known: set[str], line: str) -> None:
    if line not in known:
        known.add(line)
        _send(note=line)


def _send(**message: Any) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
