"""`voice say` once its request has left: the device, the player, the status line."""

import os
import signal
import sys

from voice_cli.backends.base import SpeechStream
from voice_cli.cli.options import SayOptions
from voice_cli.config import Settings
from voice_cli.playback.player import PlaybackResult, Player
from voice_cli.playback.pump import Prebuffer
from voice_cli.playback.recorder import Recorder
from voice_cli.playback.sinks.device import DeviceSink
from voice_cli.playback.timeline import Timeline


def play(
    stream: SpeechStream,
    backend: str,
    settings: Settings,
    options: SayOptions,
    recorder: Recorder | None,
    started: float,
) -> PlaybackResult:
    """Play what comes, and record it. `started`: when the process did, on `time.monotonic`."""
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    machine = settings.machine
    timeline = Timeline()
    if os.environ.get("VOICE_TRACE"):  # voice bench wants to know more than --json says
        from voice_cli.cli.trace import traced_timeline

        timeline = traced_timeline()
    timeline.mark("process_start", started)
    player = Player(
        None if options.no_play else DeviceSink(_device(machine.device)),
        recorder=recorder,
        prebuffer=Prebuffer(None if machine.prebuffer == "auto" else float(machine.prebuffer) / 1000),
        volume=machine.volume,
        timeline=timeline,
        sink_optional=recorder is not None,
    )
    if sys.stderr.isatty() and not (options.quiet or options.debug):
        from voice_cli.cli.status import StatusLine

        with StatusLine(backend) as status:
            return player.play([stream], on_tick=status.update)
    return player.play([stream])


def _device(text: str | None) -> int | str | None:
    """Read the setting: a number is an index, anything else part of a name."""
    return int(text) if text is not None and text.isdecimal() else text


def _interrupt(_number: int, _frame: object) -> None:
    """Make a signal that asks us to end what Ctrl-C is."""
    raise KeyboardInterrupt
