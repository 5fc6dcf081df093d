"""`voice say` after its request: the device, the player, the status line."""

import os
from contextlib import closing

from voice_cli.backends.base import Backend
from voice_cli.cli import interrupts
from voice_cli.cli.console import is_watched, report_error, write_file
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
        tick=SHOW_TICK if options.show else TICK,
    )
    interrupts.stop_with(player.cancel)
    speech = Speech(narration, pause=None if narration.is_one else defaults.pause)
    result = _play(player, speech, narration, backend, options)
    if options.subtitles is not None:
        from voice_cli.speech.spoken import cues, subtitles

        is_vtt = options.subtitles.lower().endswith(".vtt")
        try:
            write_file(options.subtitles, subtitles(cues(result.utterances, result.heard), vtt=is_vtt))
        except FileError as exc:
            result = _failed(result, exc)
    if not options.no_play and defaults.prebuffer == "auto":
        learned.note(result.metrics)
    return result


def _play(
    player: Player, speech: Speech, narration: Narration, backend: Backend, options: SayOptions
) -> PlaybackResult:
    if options.show:
        from voice_cli.cli.status import TextDisplay

        display = TextDisplay()
        result = player.play(speech, on_tick=display.update)
        display.finish(result)
        return result if display.error is None else _failed(result, display.error)
    if is_watched() and not (options.quiet or options.debug):
        from voice_cli.cli.status import StatusLine

        makes_file = options.no_play and not narration.is_one
        with closing(StatusLine(backend.name, narration, makes_file=makes_file)) as status:
            result = player.play(speech, on_tick=status.update)
            status.finish(player)
            return result
    return player.play(speech)


def _failed(result: PlaybackResult, error: FileError) -> PlaybackResult:
    """Return the result with an error of its output, or report that if there is another one."""
    if result.error is None:
        return result._replace(error=error)
    report_error(error, debug=False)
    return result
