"""Finds the pauses of a speech in its PCM as it is written: the places where playback can wait without cutting a word.

A pause is PCM that is much quieter than the speech before it. The silence of a stop consonant inside a word is as short
as a short pause between words; so a long pause is preferred.
"""

from voice_cli.audio import AudioFormat
from voice_cli.pcm.levels import AUDIBLE

QUIET = 0.03
"""The peak of a pause relative to that of the speech: -30 dB."""

SHORT_SECONDS, LONG_SECONDS = 0.06, 0.15
"""The shortest pause, and the shortest one that is surely not inside a word."""

TAIL_SECONDS = 3.0
"""A short pause is preferred if the last long one has more than this behind it."""

WINDOW_SECONDS = 0.01
STEP = 3
"""One of so many samples is looked at; odd, so that both channels of stereo are."""

FALL = 0.25
"""How much of the speech's level is forgotten in a second."""

ONSET_SECONDS = 0.02
"""Seconds of a pause that are played after a wait: a soft onset of the next word may be in them."""


class Pauses:
    """The last pauses of PCM that is fed in order. Positions are bytes since `restart`. One thread at a time."""

    def __init__(self, audio_format: AudioFormat) -> None:
        self._rate = rate = audio_format.rate * audio_format.frame_bytes
        self._window = audio_format.frames(WINDOW_SECONDS) * audio_format.channels
        self._onset = audio_format.frames(ONSET_SECONDS) * audio_format.frame_bytes
        self._short, self._long = SHORT_SECONDS * rate, LONG_SECONDS * rate
        self._level = 0.0
        self.restart()

    def restart(self) -> None:
        """Forget the pauses; the next byte is the first. The level of the speech is kept."""
        self._end = self._quiet = self._last = self._last_long = 0

    def feed(self, data: memoryview) -> None:
        """Process s16 samples: whole frames."""
        samples = memoryview(data).cast("h")
        for first in range(0, len(samples), self._window):
            block = samples[first : first + self._window]
            seen = block[::STEP]
            highest, lowest = max(seen), min(seen)
            peak = max(highest, -lowest)
            self._end += block.nbytes
            self._level = max(peak, self._level * (1 - FALL * block.nbytes / self._rate))
            if peak >= max(AUDIBLE, QUIET * self._level):
                self._quiet = 0
            elif self._level >= AUDIBLE:  # else the speech has not begun
                self._quiet += block.nbytes
                if self._quiet >= self._short:
                    self._last = self._end - self._onset
                if self._quiet >= self._long:
                    self._last_long = self._last

    def mark(self) -> None:
        """Count the end of what was fed as a long pause: an utterance ends here."""
        self._last = self._last_long = self._end

    def after(self, position: int) -> int | None:
        """Return where playback can wait, as late as possible after `position`; None: nowhere."""
        is_near = self._end - self._last_long < TAIL_SECONDS * self._rate
        place = self._last_long if is_near and self._last_long > position else self._last
        return place if place > position else None
