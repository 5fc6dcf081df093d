"""Play a file with sound, for samples of voices."""

import os
from collections.abc import Iterator

from voice_cli.audio import Encoding
from voice_cli.backends.base import SpeechStream
from voice_cli.cli.console import report_error, silence_libraries
from voice_cli.cli.playing import device_of
from voice_cli.config import load, settle
from voice_cli.errors import Interrupted
from voice_cli.playback.player import Player
from voice_cli.playback.sinks.device import DeviceSink
from voice_cli.speech.assembly import Speech


class _File(SpeechStream):
    def __init__(self, path: str, codec: str) -> None:
        self.expected = self.announced = Encoding(codec)
        self.timestamps = {}
        self._path = path
        self._cancelled = False

    def __iter__(self) -> Iterator[bytes]:
        with open(self._path, "rb") as file:
            while data := file.read(1 << 14):
                if self._cancelled:
                    raise Interrupted("interrupted")
                yield data

    def cancel(self) -> None:
        self._cancelled = True


def play_file(path: str, codec: str) -> int:
    """Play a file, and return the exit code."""
    settings = settle(load(), {}, os.environ)
    silence_libraries()
    player = Player(DeviceSink(device_of(settings)), volume=settings.defaults.volume)
    result = player.play(Speech.of([_File(path, codec)]))
    return report_error(result.error, debug=False) if result.error is not None else 0
