"""The text of `voice say`, as a narration."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.cli.options import SayOptions
from voice_cli.config import Settings
from voice_cli.errors import ConfigError, FileError, UsageError
from voice_cli.script.line import Line, plain_line
from voice_cli.speech.narration import Narration

if TYPE_CHECKING:
    from voice_cli.script.markdown import Mode
    from voice_cli.script.pauses import Piece
    from voice_cli.speech.recovery import Recovery

PIECE = 256
"""Characters to read at a time: about an utterance."""
BUFFERED = 2 * PIECE
"""Characters that are read and not yet in a line: less than this in plain text."""


class ArrivingText(Protocol):
    """Text that is still arriving, such as `LiveText`."""

    def pieces(self) -> "Iterator[Piece | None]":
        """Yield the pieces, and None at a pause; raise FileError if the bytes are not text."""

    def close(self) -> None:
        """End the text after what is buffered. Any thread."""


def narrate(
    backend: Backend,
    options: SayOptions,
    settings: Settings,
    text: str | None,
    arriving: ArrivingText | None = None,
    open_fallback: Callable[[Settings], Backend] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Narration:
    """Start a narration. This sends the request for the first line, unless its text is still arriving.

    `text` None: it is `arriving`, from standard input if that is None. `open_fallback` opens the backend of a fallback
    profile; None: fallbacks are not used.

    Raises:
        UsageError: there is no text.
        BackendError: as `Backend.synthesize`.

    """
    request = partial(make_request, settings)
    defaults = settings.defaults
    lookahead = defaults.lookahead
    recovery: Recovery | None = None
    if open_fallback is not None and (settings.fallbacks or defaults.hedge or defaults.first_byte_timeout is not None):
        from voice_cli.cli.recovering import recovery_of

        recovery = recovery_of(settings, backend, open_fallback, environment)
    if text is None:
        if arriving is None:
            from voice_cli.cli.incoming import Incoming

            arriving = Incoming(sys.stdin.fileno(), settings.defaults.flush_after)
        kind: type[Narration] = Narration
        if backend.supports_streaming_text and not options.dialogue:  # a dialogue needs a request for each speaker
            from voice_cli.speech.streamed_narration import StreamedNarration

            kind = StreamedNarration
        else:
            backend.prepare()
        language = backend.language(settings.profile.voice)
        lines = _read(arriving.pieces(), options, settings, language, gathers=kind is Narration)
        narration = kind(backend, lines, request, lookahead=lookahead, stop=arriving.close)
        if recovery is None and backend.is_remote:
            from voice_cli.cli.recovering import recovery_of

            recovery = recovery_of(settings, backend)
        narration.recovery = recovery
        narration.start(first=False)
        return narration
    line = single_line(text, options, settings)
    narration = Narration(
        backend,
        [line] if line is not None else read_file(text, options, settings, backend.language(settings.profile.voice)),
        request,
        lookahead=lookahead,
        total=len(text),
        is_one=line is not None,
    )
    narration.recovery = recovery
    narration.start(first=True)
    return narration


def has_many(options: SayOptions, settings: Settings) -> bool:
    """Return whether there may be several utterances: the text is not one line of the arguments."""
    return not (options.text and single_line(" ".join(options.text), options, settings))


def single_line(text: str, options: SayOptions, settings: Settings) -> Line | None:
    """Return the text as one line, if it needs no splitting; else None."""
    return None if options.dialogue or settings.pronounce else plain_line(text)


def read_text(options: SayOptions) -> str | None:
    """Return the text of the arguments or the file; None: it is read from standard input.

    Raises:
        UsageError: there is no text, or it is blank.
        FileError: the file cannot be read, or is not text.

    """
    source = source_of(options, has_stdin=bool(sys.stdin), is_terminal=bool(sys.stdin) and sys.stdin.isatty())
    if source is None:
        return checked_text(" ".join(options.text))
    return None if source == "-" else decoded_file(read_bytes(source), source)


def source_of(options: SayOptions, *, has_stdin: bool, is_terminal: bool) -> str | None:
    """Return what the text is read from: a path, or `-` for standard input; None: the arguments.

    `has_stdin`: standard input is open. `is_terminal`: it is a terminal.

    Raises:
        UsageError: there is no text.

    """
    if options.file not in (None, "-"):
        return options.file
    if has_stdin and (options.file == "-" or options.text == ("-",) or not (options.text or is_terminal)):
        return "-"
    if options.text and options.text != ("-",):
        return None
    raise UsageError("there is nothing to say", hint='as in: voice say "Hello" or: echo Hello | voice say')


def read_bytes(path: str) -> bytes:
    """Return the content of a file.

    Raises:
        FileError: it cannot be read.

    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as exc:
        raise FileError(f"cannot read {path}: {exc.strerror}") from exc


def decoded_file(data: bytes, path: str) -> str:
    """Return the text of a file; raises as `read_text`."""
    from voice_cli.script.text_encoding import decode_text

    try:
        return checked_text(decode_text(data, path))
    except FileError as exc:
        if path.lower().endswith((".epub", ".pdf")):
            exc.hint = "make an audio book of it: voice book"
        raise


def checked_text(text: str) -> str:
    """Return the text.

    Raises:
        UsageError: it is blank.

    """
    if not text.strip():
        raise UsageError("there is nothing to say: the text is blank")
    return text


def read_file(text: str, options: SayOptions, settings: Settings, language: str) -> Iterator[Line]:
    """Yield the lines of a text. The `end` of a line is exact in plain text, and increases also if Markdown is dropped.

    The text is split in pieces, so that the first line of a book does not wait for the last.
    """
    taken = end = 0

    def pieces() -> Iterator[str]:
        nonlocal taken
        for at in range(0, len(text), PIECE):
            taken = min(at + PIECE, len(text))
            yield text[at : at + PIECE]

    for line in _read(pieces(), options, settings, language):
        end = max(line.end, max(end, taken - PIECE - BUFFERED) + len(line.text))
        yield line._replace(end=min(end, taken))


def _read(
    pieces: "Iterable[Piece | None]", options: SayOptions, settings: Settings, language: str, *, gathers: bool = True
) -> Iterator[Line]:
    """Yield the lines of the pieces. The reader is imported at the first line."""
    from voice_cli.script.reader import LineReader, lines_of

    speakers = settings.profile.speakers or {}
    if options.dialogue and not speakers:
        raise ConfigError(
            f"--dialogue needs speakers, and profile {settings.profile_name or 'none'} has none",
            hint='add [profiles.NAME.speakers] with lines such as: Ann = "en-gb"',
        )
    try:
        reader = LineReader(
            markdown=cast("Mode", settings.defaults.markdown),
            speakers=speakers if options.dialogue else (),
            pronounce=settings.pronounce,
            language=language,
            join_sentences=gathers,
        )
    except ValueError as exc:
        raise ConfigError(f"profile {settings.profile_name}: speakers: {exc}") from exc
    is_blank = True
    for line in lines_of(pieces, reader):
        is_blank = False
        yield line
    if is_blank:
        raise UsageError("there is nothing to say: the text is blank")


def make_request(settings: Settings, line: Line) -> SpeechRequest:
    """Return the request for a line."""
    profile = settings.profile
    return SpeechRequest(
        line.spoken,
        voice=(profile.speakers or {}).get(line.speaker or "", profile.voice),
        model=profile.model,
        codec=profile.format or "pcm",
        speed=profile.speed,
        instructions=profile.instructions,
    )
