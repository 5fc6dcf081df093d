"""The text of `voice say`, as a narration."""

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from voice_cli.backends.base import Backend, SpeechRequest
from voice_cli.cli.options import SayOptions
from voice_cli.config import Settings
from voice_cli.errors import ConfigError, FileError, UsageError
from voice_cli.script.line import Line, plain_line
from voice_cli.speech.narration import Narration

if TYPE_CHECKING:
    from voice_cli.script.markdown import Mode
    from voice_cli.script.pauses import Piece

PIECE = 256
"""Characters to read at a time: about an utterance."""


def narrate(backend: Backend, options: SayOptions, settings: Settings) -> Narration:
    """Start a narration. This sends the request for the first line, unless its text is still arriving.

    Raises:
        UsageError: there is no text.
        FileError: the text's file cannot be read, or is not text.
        BackendError: as `Backend.synthesize`.

    """
    text = read_text(options)
    request = partial(make_request, settings)
    lookahead = settings.defaults.lookahead
    if text is None:
        from voice_cli.cli.incoming import Incoming

        incoming = Incoming(sys.stdin.fileno(), settings.defaults.flush_after)
        kind: type[Narration] = Narration
        if backend.supports_streaming_text and not options.dialogue:  # a dialogue needs a request for each speaker
            from voice_cli.speech.streamed_narration import StreamedNarration

            kind = StreamedNarration
        else:
            backend.prepare()
        lines = _read(incoming, options, settings, backend.language(settings.profile.voice), gathers=kind is Narration)
        narration = kind(backend, lines, request, lookahead=lookahead, stop=incoming.stop)
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
    narration.start(first=True)
    return narration


def single_line(text: str, options: SayOptions, settings: Settings) -> Line | None:
    """Return the text as one line, if it needs no splitting; else None."""
    return None if options.dialogue or settings.pronounce else plain_line(text)


def read_text(options: SayOptions) -> str | None:
    """Return the text of the arguments or the file; None: it is read from standard input.

    Raises:
        UsageError: there is no text, or it is blank.
        FileError: the file cannot be read, or is not text.

    """
    if options.file not in (None, "-"):
        try:
            with open(str(options.file), "rb") as file:
                data = file.read()
        except OSError as exc:
            raise FileError(f"cannot read {options.file}: {exc.strerror}") from exc
        from voice_cli.script.text_encoding import decode_text

        text = decode_text(data, str(options.file))
    elif sys.stdin and (options.file == "-" or options.text == ("-",) or not (options.text or sys.stdin.isatty())):
        return None
    elif options.text and options.text != ("-",):
        text = " ".join(options.text)
    else:
        raise UsageError("there is nothing to say", hint='as in: voice say "Hello" or: echo Hello | voice say')
    if not text.strip():
        raise UsageError("there is nothing to say: the text is blank")
    return text


def read_file(text: str, options: SayOptions, settings: Settings, language: str) -> Iterator[Line]:
    """Yield the lines of a text. A line's `end`, for the progress bar, is the end of the piece that completed it.

    The text is split in pieces, so that the first line of a book does not wait for the last.
    """
    taken = 0

    def pieces() -> Iterator[str]:
        nonlocal taken
        for at in range(0, len(text), PIECE):
            taken = min(at + PIECE, len(text))
            yield text[at : at + PIECE]

    for line in _read(pieces(), options, settings, language):
        yield line._replace(end=taken)


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
