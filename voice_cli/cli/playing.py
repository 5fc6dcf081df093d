"""`voice say` after its request: the device, the player, the status line."""

import os
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Protocol

from voice_cli.audio import AudioFormat
from voice_cli.backends.base import Backend
from voice_cli.cli import interrupts
from voice_cli.cli.agent_start import start_agent
from voice_cli.cli.console import is_watched, print_note, report_error, write_file
from voice_cli.cli.keys import HELP, TICK, Keys, are_usable
from voice_cli.cli.options import SayOptions
from voice_cli.config import Settings
from voice_cli.errors import FileError
from voice_cli.playback.learned import Learned
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.sinks.base import Sink
from voice_cli.playback.sinks.device import DeviceSink
from voice_cli.playback.timeline import Timeline
from voice_cli.recording.recorder import Recorder
from voice_cli.speech.assembly import Speech
from voice_cli.speech.narration import Narration

if TYPE_CHECKING:
    from voice_cli.agent.turns import Turn
    from voice_cli.cli.event_lines import EventLines
    from voice_cli.cli.event_watch import EventWatch
    from voice_cli.cli.status import FileProgress, StatusLine
    from voice_cli.playback.normalizer import Normalizer
    from voice_cli.speech.events import Utterance

WAKE_SECONDS = 3.0
"""Seconds of silence after which a device may lose its first sound."""


def play(
    narration: Narration,
    backend: Backend,
    settings: Settings,
    options: SayOptions,
    recorder: Recorder | None,
    started: float,
    turn: "Turn | None" = None,
    lines: "EventLines | None" = None,
) -> PlaybackResult:
    """Play and record a narration. `started`: the start of the process, on `time.monotonic`.

    `turn`: ends the playback if another speech has cancelled this one. `lines`: where the events are written.
    """
    learned = learned_of(backend, settings)
    sink = None
    if not options.no_play:
        sink = DeviceSink(device_of(settings), latency=learned.latency, wake=wake_of(settings, turn))
    timeline = Timeline()
    if os.environ.get("VOICE_TRACE"):  # set by `voice bench`
        from voice_cli.bench.trace import TracedTimeline

        timeline = TracedTimeline()
    timeline.mark("process_start", started)
    expected = backend.expected(settings.profile.format or "pcm").format
    normalizer = normalizer_of(narration, backend, settings)
    player = make_player(sink, expected, settings, recorder, timeline, learned, normalizer=normalizer)
    interrupts.stop_with(player.cancel)
    watch = Watch(
        turn,
        partial(start_agent, settings) if turn is not None and not options.no_agent else None,
        has_keys=sink is not None and narration.total is not None and are_usable(),
    )
    makes_file = options.no_play and not narration.is_one
    status = partial(_status_line, backend.name, narration, makes_file=makes_file)
    if lines is not None:
        from voice_cli.cli.event_watch import EventWatch

        watch.watch_events(lines, EventWatch(lines.send_object, narration, started))
    result = play_shown(player, speech_of(narration, settings, backend), options, watch, status)
    if lines is not None and lines.error is not None:
        result = _failed(result, lines.error)
    if options.subtitles is not None:
        try:
            write_file(options.subtitles, subtitles_of(result, options.subtitles))
        except FileError as exc:
            result = _failed(result, exc)
    learn(learned, result, settings, options, normalizer)
    return result


def device_of(settings: Settings) -> int | str | None:
    """Return the output device of the settings: an index, a part of a name, or None for the default."""
    device = settings.defaults.device
    return int(device) if isinstance(device, str) and device.isdecimal() else device


def learned_of(backend: Backend, settings: Settings, path: str | None = None) -> Learned:
    """Return what is known of the settings' device and voice; `path`: as `Learned`."""
    profile = settings.profile
    speed = None if profile.speed is None else f"{profile.speed:g}"
    voice = " ".join(filter(None, (backend.where, profile.model, profile.voice, speed)))
    return Learned(settings.defaults.device, voice, path)


def wake_of(settings: Settings, turn: "Turn | None") -> float:
    """Return the seconds of silence to play first: none, if another speech has just ended."""
    is_silent = turn is None or turn.seconds_of_silence > WAKE_SECONDS
    return settings.defaults.wake / 1000 if is_silent else 0.0


def make_player(
    sink: Sink | None,
    expected: AudioFormat | None,
    settings: Settings,
    recorder: Recorder | None,
    timeline: Timeline,
    learned: Learned,
    *,
    step: float | None = None,
    normalizer: "Normalizer | None" = None,
) -> Player:
    """Return the player of a speech. `expected`: the likely format. `step`, `normalizer`: as `Player`."""
    defaults = settings.defaults
    return Player(
        sink,
        recorder=recorder,
        prebuffer=Prebuffer(
            None if defaults.prebuffer == "auto" else float(defaults.prebuffer) / 1000,
            learned.head_start,
            defaults.smooth,
            learned.rate,
            learned.chars_per_second,
        ),
        volume=defaults.volume,
        timeline=timeline,
        sink_optional=recorder is not None,
        expected=expected,
        tick=TICK,
        step=step,
        normalizer=normalizer,
    )


def speech_of(narration: Narration, settings: Settings, backend: Backend) -> Speech:
    """Return the speech of a narration, whose requests are sent again if its backend is a server."""
    is_cached = narration.is_one and all(utterance.stream.is_cached for utterance in narration.utterances)
    if narration.recovery is None and backend.is_remote and not is_cached:
        from voice_cli.cli.recovering import recovery_of

        narration.recovery = recovery_of(settings, backend)
    return Speech(narration, pause=None if narration.is_one else settings.defaults.pause)


def subtitles_of(result: PlaybackResult, path: str) -> str:
    """Return the subtitles of what was heard, in the format of the path's suffix."""
    from voice_cli.speech.spoken import cues, subtitles

    furthest = max(end for _, end in result.spans)
    return subtitles(cues(result.utterances, furthest), vtt=path.lower().endswith(".vtt"))


def normalizer_of(
    narration: Narration, backend: Backend, settings: Settings, path: str | None = None
) -> "Normalizer | None":
    """Return what normalizes the loudness of a narration, if that is wanted. `path`: as `Levels`."""
    if not settings.defaults.normalize:
        return None
    from voice_cli.playback.normalizer import Levels, Normalizer

    profile = settings.profile

    def voice_of(utterance: "Utterance") -> str:
        fallback = narration.recovery.fallback if narration.recovery is not None else None
        voice = (profile.speakers or {}).get(utterance.line.speaker or "", profile.voice)
        return " ".join(filter(None, (settings.profile_name, fallback, backend.where, profile.model, voice)))

    return Normalizer(Levels(path), voice_of)


def learn(
    learned: Learned,
    result: PlaybackResult,
    settings: Settings,
    options: SayOptions,
    normalizer: "Normalizer | None" = None,
) -> None:
    """Learn from a playback: what automatic settings need, and the loudness of its voices."""
    if normalizer is not None:
        normalizer.learn()
    if not options.no_play and settings.defaults.prebuffer == "auto":
        learned.note(result.metrics, of_backend=not any(each.stream.is_cached for each in result.utterances))


class Display(Protocol):
    """Prints a text as it is heard."""

    def update(self, player: Player) -> None: ...
    def finish(self, result: PlaybackResult) -> None: ...


def _status_line(name: str, narration: Narration, *, makes_file: bool) -> "StatusLine | FileProgress":
    from voice_cli.cli.status import status_line

    return status_line(name, narration, makes_file=makes_file)


def _text_display(write: Callable[[str], object]) -> Display:
    from voice_cli.cli.status import TextDisplay

    return TextDisplay(write)


def play_shown(
    player: Player,
    speech: Speech,
    options: SayOptions,
    watch: "Watch",
    status_line: Callable[[], "StatusLine | FileProgress"],
    display_on: Callable[[Callable[[str], object]], Display] = _text_display,
) -> PlaybackResult:
    """Play, with what the options show: the text (`display_on` returns its display) or a status line."""
    if options.show:
        from voice_cli.cli.status import StandardOutput

        output = StandardOutput()
        display = display_on(output.write)

        def update(player: Player) -> None:
            display.update(player)
            if output.is_closed:
                raise KeyboardInterrupt

        result = watch.play(player, speech, update, print_note)
        display.finish(result)
        return result if output.error is None else _failed(result, output.error)
    if is_watched() and not (options.quiet or options.debug):
        with closing(status_line()) as status:
            result = watch.play(player, speech, status.update, status.note)
            status.finish(player)
            return result
    return watch.play(player, speech, lambda _player: None, print_note)


class Watch:
    """What is looked at during a playback: the turn, which another speech may cancel, and the keys."""

    def __init__(
        self, turn: "Turn | None", on_start: Callable[[], object] | None, *, has_keys: bool, keys_help: str = HELP
    ) -> None:
        """`on_start` is called once the speech has begun. `keys_help`: what the key ? prints."""
        self._turn = turn
        self._on_start = on_start
        self._keys_help = keys_help
        self._has_keys = has_keys
        self._lines: EventLines | None = None
        self._events: EventWatch | None = None

    def watch_events(self, lines: "EventLines", events: "EventWatch") -> None:
        """Send events during the playback; end it if the reader of the lines closes them."""
        self._lines, self._events = lines, events

    def play(
        self, player: Player, speech: Speech, update: Callable[[Player], object], note: Callable[[str], None]
    ) -> PlaybackResult:
        """Play, and call `update` at each tick. `note` prints a line for the keys."""
        with closing(Keys(player, note, self._keys_help)) if self._has_keys else nullcontext() as keys:

            def on_tick(player: Player) -> None:
                self._look(player)
                if keys is not None:
                    keys.poll(is_playing=player.position > 0)
                update(player)
                if self._events is not None:
                    self._events.update(player)
                if self._lines is not None and self._lines.is_closed:
                    raise KeyboardInterrupt

            result = player.play(speech, on_tick=on_tick)
            if self._events is not None:
                self._events.finish(player, result)
            return result

    def _look(self, player: Player) -> None:
        if self._turn is not None and self._turn.is_cancelled:
            player.cancel()
        if self._on_start is not None and player.position:
            start, self._on_start = self._on_start, None
            start()


def _failed(result: PlaybackResult, error: FileError) -> PlaybackResult:
    """Return the result with an error of its output, or report that if there is another one."""
    if result.error is None:
        return result._replace(error=error)
    report_error(error, debug=False)
    return result
