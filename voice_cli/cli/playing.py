"""`voice say` after its request: the device, the player, the status line."""

import os
from collections.abc import Callable
from contextlib import closing

from voice_cli.backends.base import Backend
from voice_cli.cli import interrupts
from voice_cli.cli.console import is_watched, print_note, report_error, write_file
from voice_cli.cli.keys import KEYS_TICK, Keys, are_usable
from voice_cli.cli.options import SayOptions
from voice_cli.config import Settings
from voice_cli.errors import FileError
from voice_cli.playback.learned import Learned
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.prebuffer import Prebuffer
from voice_cli.playback.pump import TICK
from voice_cli.playback.sinks.device import DeviceSink
from voice_cli.playback.timeline import Timeline
from voice_cli.recording.recorder import Recorder
from voice_cli.speech.assembly import Speech
from voice_cli.speech.narration import Narration

SHOW_TICK = 0.03
"""Seconds between two updates of `--show`: a word takes about 300 ms."""


def play(
    narration: Narration,
    backend: Backend,
    settings: Settings,
    options: SayOptions,
    recorder: Recorder | None,
    started: float,
) -> PlaybackResult:
    """Play and record a narration. `started`: the start of the process, on `time.monotonic`."""
    defaults = settings.defaults
    timeline = Timeline()
    if os.environ.get("VOICE_TRACE"):  # set by `voice bench`
        from voice_cli.bench.trace import TracedTimeline

        timeline = TracedTimeline()
    timeline.mark("process_start", started)
    learned = Learned(defaults.device, backend.where)
    has_keys = not options.no_play and narration.total is not None and are_usable()
    device: int | str | None = defaults.device
    if isinstance(device, str) and device.isdecimal():
        device = int(device)
    player = Player(
        None if options.no_play else DeviceSink(device, latency=learned.latency),
        recorder=recorder,
        prebuffer=Prebuffer(
            None if defaults.prebuffer == "auto" else float(defaults.prebuffer) / 1000, learned.head_start
        ),
        volume=defaults.volume,
        timeline=timeline,
        sink_optional=recorder is not None,
        expected=backend.expected(settings.profile.format or "pcm").format,
        tick=KEYS_TICK if has_keys else SHOW_TICK if options.show else TICK,
    )
    interrupts.stop_with(player.cancel)
    speech = Speech(narration, pause=None if narration.is_one else defaults.pause)
    result = _play(player, speech, narration, backend, options, has_keys=has_keys)
    if options.subtitles is not None:
        from voice_cli.speech.spoken import cues, subtitles

        furthest = max(end for _, end in result.spans)
        is_vtt = options.subtitles.lower().endswith(".vtt")
        try:
            write_file(options.subtitles, subtitles(cues(result.utterances, furthest), vtt=is_vtt))
        except FileError as exc:
            result = _failed(result, exc)
    if not options.no_play and defaults.prebuffer == "auto":
        learned.note(result.metrics)
    return result


def _play(
    player: Player, speech: Speech, narration: Narration, backend: Backend, options: SayOptions, *, has_keys: bool
) -> PlaybackResult:
    if options.show:
        from voice_cli.cli.status import TextDisplay

        display = TextDisplay()
        result = _play_with_keys(player, speech, display.update, print_note, has_keys=has_keys)
        display.finish(result)
        return result if display.error is None else _failed(result, display.error)
    if is_watched() and not (options.quiet or options.debug):
        from voice_cli.cli.status import StatusLine

        makes_file = options.no_play and not narration.is_one
        with closing(StatusLine(backend.name, narration, makes_file=makes_file)) as status:
            result = _play_with_keys(player, speech, status.update, status.note, has_keys=has_keys)
            status.finish(player)
            return result
    return _play_with_keys(player, speech, lambda _player: None, print_note, has_keys=has_keys)


def _play_with_keys(
    player: Player,
    speech: Speech,
    update: Callable[[Player], None],
    note: Callable[[str], None],
    *,
    has_keys: bool,
) -> PlaybackResult:
    """Play, and at each tick apply the keys that were pressed and call `update`."""
    if not has_keys:
        return player.play(speech, on_tick=update)
    with closing(Keys(player, note)) as keys:

        def on_tick(player: Player) -> None:
            keys.poll(is_playing=player.position > 0)
            update(player)

        return player.play(speech, on_tick=on_tick)


def _failed(result: PlaybackResult, error: FileError) -> PlaybackResult:
    """Return the result with an error of its output, or report that if there is another one."""
    if result.error is None:
        return result._replace(error=error)
    report_error(error, debug=False)
    return result
