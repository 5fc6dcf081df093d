"""`voice play`: files, URLs and pipes with sound, played as a speech is."""

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from voice_cli import __version__
from voice_cli.agent.paths import control_path
from voice_cli.audio import MAX_CHANNELS, MAX_HERTZ, MIN_HERTZ, AudioFormat, Encoding
from voice_cli.backends.base import SpeechStream
from voice_cli.cli import interrupts, play_options, quick
from voice_cli.cli.console import report_error, silence_libraries
from voice_cli.cli.options import SayOptions
from voice_cli.cli.say import wait_for_turn
from voice_cli.clock import process_start
from voice_cli.codecs.media_types import DEFAULT_PCM
from voice_cli.codecs.sample_types import SAMPLE_TYPES
from voice_cli.config import Profile, Settings, load, settle
from voice_cli.errors import ConfigError, FileError, ServerError, TruncatedAudio, UsageError, VoiceError

if TYPE_CHECKING:
    from voice_cli.agent.turns import Turn
    from voice_cli.cli.subtitles import Cue, CueDisplay
    from voice_cli.playback.player import PlaybackResult, Player

STEP = 5.0
"""Seconds of a skip, in files without subtitles."""

HEAD_BYTES = 1 << 14
"""Bytes of a file in which its format is found."""

KEYS_HELP = "space pause · ←/→ {} back/forward · ↑/↓ volume · [ ] speed · q quit · ? keys"

SENT = "the server sent"
"""The start of the messages about bytes that are no sound."""

NO_AUDIO = "the response has no audio"
"""The message about a stream without bytes."""


class Item(NamedTuple):
    """A file, URL or pipe to play."""

    name: str
    """As it was given."""
    raw: Encoding | None
    """The encoding that the user states."""

    @property
    def is_url(self) -> bool:
        return self.name.lower().startswith(("http://", "https://"))

    @property
    def shown(self) -> str:
        """What the user is shown; of a URL without user and password."""
        if self.is_url:
            from voice_cli.backends.remote.address import without_credentials

            return without_credentials(self.name)
        return "standard input" if self.name == "-" else self.name

    @property
    def place(self) -> str:
        """Where the bytes come from, for what is learned about it: the host, `pipe` or `file`."""
        if self.is_url:
            from voice_cli.errors import server_name

            return server_name(self.name)
        return "pipe" if self.name == "-" else "file"

    @property
    def expected(self) -> Encoding:
        """The encoding that the user or the name states."""
        if self.raw is not None:
            return self.raw
        from voice_cli.codecs import table

        codec = table.by_suffix(os.path.splitext(self.name.partition("?")[0] if self.is_url else self.name)[1].lower())
        return Encoding(codec.name if codec is not None and codec.name != "pcm" else None)

    def identity(self) -> str:
        """Return a name of the file's content, which does not reveal its path; empty: it is no file."""
        if self.is_url or self.name == "-":
            return ""
        import hashlib

        try:
            found = os.stat(self.name)
        except OSError:  # it was deleted meanwhile
            return ""
        if not stat.S_ISREG(found.st_mode):
            return ""
        text = f"{os.path.realpath(self.name)}\0{found.st_size}\0{found.st_mtime_ns}"
        return f"file {hashlib.blake2b(text.encode('utf-8', 'surrogateescape'), digest_size=8).hexdigest()}"

    def check(self) -> Encoding:
        """Check that it can be played, as far as that is known before, and return the encoding to expect.

        Raises:
            UsageError: the name is not valid.
            FileError: there is no such file, or it cannot be read.
            ServerError: it is no sound.

        """
        if self.is_url:
            return self.expected
        if self.name == "-":
            if sys.stdin is None or sys.stdin.isatty():
                raise UsageError("there is no sound on standard input", hint="as in: voice play - < sound.wav")
            return self.expected
        try:
            if not stat.S_ISREG(os.stat(self.name).st_mode):
                return self.expected
            with open(self.name, "rb") as file:
                head = file.read(HEAD_BYTES)
        except (OSError, ValueError) as exc:
            raise FileError(f"cannot read {self.name}: {getattr(exc, 'strerror', exc)}") from exc
        if not head:
            raise FileError(f"{self.name} is empty")
        from voice_cli import codecs

        is_whole = len(head) < HEAD_BYTES
        found = codecs.open_decoder(None, self.expected, head, final=is_whole, is_external=self.raw is None)
        if found is None or self.raw is not None:
            return self.expected
        codec, decoder = found
        with suppress(ServerError):  # playing it raises that again
            for chunk in decoder.decode(head):
                return Encoding(codec, chunk.format)
        return Encoding(codec)

    def open(self, expected: Encoding, cues: "Sequence[Cue]", timeout: float, resources: ExitStack) -> SpeechStream:
        """Open the stream. Raises as `FileStream`, or UsageError: the URL is not valid."""
        if self.is_url:
            from voice_cli.backends.remote.http_file import open_file
            from voice_cli.backends.remote.http_transfer import Transfers

            transfers = resources.enter_context(closing(Transfers()))
            try:
                return open_file(transfers, self.name, expected, timeout=timeout)
            except ConfigError as exc:
                raise UsageError(exc.message.replace("base_url ", "", 1)) from exc
        from voice_cli.backends.local.files import FileStream

        path = sys.stdin.fileno() if self.name == "-" else self.name
        marks = tuple(cue.start for cue in cues)
        return FileStream(path, self.shown, expected, is_external=self.raw is None, marks=marks)


def play_arguments(arguments: Sequence[str]) -> int | None:
    """Play as a command line says, without the program's name and the command; None: typer must parse it."""
    found = quick.parse_options(arguments, play_options.options())
    if found is None or not found[1]:
        return None
    values, files = found
    return play_values(files=files, **values)


def play_values(
    *,
    files: Sequence[str],
    raw: str | None = None,
    rate: int | None = None,
    channels: int | None = None,
    **values: Any,
) -> int:
    """Play as `play`, with the values of the parsers."""
    return play(files, SayOptions(**values), lambda: _raw(raw, rate, channels))


def _raw(samples: str | None, rate: int | None, channels: int | None) -> Encoding | None:
    """Return the encoding that the options state; None: the files have headers.

    Raises:
        UsageError: a value is not valid.

    """
    if samples is None:
        if rate is not None or channels is not None:
            raise UsageError("--rate and --channels are those of raw samples", hint="add --raw s16le")
        return None
    if samples not in SAMPLE_TYPES:
        raise UsageError(f"invalid --raw {samples!r}", hint=f"use one of {', '.join(SAMPLE_TYPES)}")
    if rate is not None and not MIN_HERTZ <= rate <= MAX_HERTZ:
        raise UsageError(f"invalid --rate {rate}: it must be from {MIN_HERTZ} to {MAX_HERTZ}")
    if channels is not None and not 1 <= channels <= MAX_CHANNELS:
        raise UsageError(f"invalid --channels {channels}: it must be from 1 to {MAX_CHANNELS}")
    usual = 8000 if samples in ("mulaw", "alaw") else DEFAULT_PCM.rate
    return Encoding("pcm", AudioFormat(rate or usual, channels or 1), samples)


def play(files: Sequence[str], options: SayOptions, raw: Callable[[], Encoding | None] = lambda: None) -> int:
    """Play files, URLs and pipes (`-`), one after the other without a gap; report errors, and return the exit code.

    `raw` returns the encoding of files without headers.
    """
    started = process_start()
    settings: Settings | None = None
    result: PlaybackResult | None = None
    error: BaseException | None = None
    noise: BinaryIO | None = None
    turn: Turn | None = None
    queued: float | None = None
    opened: list[Item] = []
    try:
        options.check()
        settings = settle(load(), options.flags())._replace(profile=Profile(backend="file"))
        stated = raw()
        items = [Item(name, stated) for name in files]
        noise = silence_libraries(keep=options.debug)
        from voice_cli.playback.sinks.portaudio import load_soon

        load_soon(default_only=settings.defaults.device is None)  # it takes longest
        expected: list[Encoding] = []
        for item in items:
            opened.append(item)
            expected.append(item.check())
        opened.clear()
        cues = [_cues(item) for item in items]
        turn, queued = wait_for_turn(options, " ".join(item.shown for item in items), controls=control_path)
        with ExitStack() as resources:

            def streams() -> Iterator[SpeechStream]:
                for item, encoding, subtitles in zip(items, expected, cues, strict=True):
                    opened.append(item)
                    yield item.open(encoding, subtitles, settings.defaults.timeout, resources)

            first = expected[0].format
            result = _play(streams(), items[0].place, lambda: opened[-1], first, cues, settings, options, started, turn)
        error = _of_file(result.error, opened)
    except (Exception, KeyboardInterrupt) as exc:
        error = _of_file(exc, opened)
    finally:
        if turn is not None:
            turn.release()
    code = report_error(error, debug=options.debug) if error is not None else 0
    if result is not None or options.json:
        from voice_cli.cli.report import account_of, report

        account = account_of(settings, None, result, error, queued=queued)
        report(options, account, noise=noise)
    return code


def _cues(item: Item) -> "list[Cue]":
    """Return the subtitles beside a file."""
    stem = os.path.splitext(item.name)[0]
    if item.is_url or item.name == "-" or not any(os.path.isfile(stem + suffix) for suffix in (".srt", ".vtt")):
        return []
    from voice_cli.cli.subtitles import subtitles_beside

    return subtitles_beside(item.name)


def _cue_display(cues: "list[list[Cue]]", write: Callable[[str], object]) -> "CueDisplay":
    from voice_cli.cli.subtitles import CueDisplay

    return CueDisplay(write, cues)


def _play(
    streams: Iterator[SpeechStream],
    place: str,
    current: Callable[[], Item],
    expected: AudioFormat | None,
    cues: "list[list[Cue]]",
    settings: Settings,
    options: SayOptions,
    started: float,
    turn: "Turn | None",
) -> "PlaybackResult":
    from voice_cli.cli.keys import are_usable
    from voice_cli.cli.playing import Watch, device_of, learn, make_player, play_shown, wake_of
    from voice_cli.playback.learned import Learned
    from voice_cli.playback.sinks.device import DeviceSink
    from voice_cli.playback.timeline import Timeline
    from voice_cli.speech.assembly import Speech

    learned = Learned(settings.defaults.device, place)
    sink = DeviceSink(device_of(settings), latency=learned.latency, wake=wake_of(settings, turn))
    timeline = Timeline()
    timeline.mark("process_start", started)
    by_subtitles = all(cues)
    step = None if by_subtitles else STEP
    normalizer = None
    if settings.defaults.normalize:
        from voice_cli.playback.normalizer import Levels, Normalizer

        normalizer = Normalizer(Levels(), lambda _utterance: current().identity())
    player = make_player(sink, expected, settings, None, timeline, learned, step=step, normalizer=normalizer)
    if options.speed is not None:
        player.set_speed(options.speed)
    interrupts.stop_with(player.cancel)
    keys_help = KEYS_HELP.format("subtitle" if by_subtitles else f"{STEP:g} s")
    speech = Speech.of(streams)
    with ExitStack() as controls:
        on_start = partial(_serve_controls, player, controls) if turn is not None else None
        watch = Watch(turn, on_start, has_keys=are_usable(), keys_help=keys_help)
        result = play_shown(
            player, speech, options, watch, partial(_status_line, place, speech), partial(_cue_display, cues)
        )
    learn(learned, result, settings, options, normalizer)
    return result


def _serve_controls(player: "Player", controls: ExitStack) -> None:
    """Accept commands for the player from other processes."""
    from voice_cli.agent.controlled import Controlled

    controlled = controls.enter_context(closing(Controlled(__version__)))
    controlled.serve(player)


def _status_line(name: str, speech: Any) -> Any:
    from voice_cli.cli.status import WORDS, StatusLine
    from voice_cli.playback.state import State

    words = WORDS | {State.PLAYING: "playing", State.DRAINING: "playing"}
    return StatusLine(name, speech.source, words)


def _of_file(error: BaseException | None, opened: Sequence[Item]) -> BaseException | None:
    """Return an error of a stream as one of the file that was read last."""
    if not isinstance(error, ServerError | TruncatedAudio) or not opened:
        return error
    item, message = opened[-1], error.message
    if message == NO_AUDIO:
        return ServerError(f"{item.shown} is empty")
    if item.is_url:
        return error
    hint = error.hint if isinstance(error.hint, str) else None
    if message.startswith(SENT):
        what, separator, _ = message.removeprefix(SENT).partition(", and no content type")
        message = f"{item.shown} is{what}"
        hint = "if it is raw, state its samples, as in: --raw s16le --rate 24000" if separator else hint
    else:
        message = f"{item.shown}: {message}"
    named: VoiceError = type(error)(message, hint=hint)
    return named.with_traceback(error.__traceback__)
