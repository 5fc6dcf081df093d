"""Loudness normalization of a speech: one gain for each voice, and a limiter.

The gain of a voice whose loudness is known from earlier runs is constant; it is measured again after the speech. The
gain of another voice starts at 1, and goes slowly to what its loudness so far requires. The loudness of each voice is
measured before the gain, and stored.

To measure takes numpy. While it is imported, other threads are delayed, so a speech of known voices does without it.
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from math import log10
from typing import Any

from voice_cli.audio import AudioFormat, PcmChunk
from voice_cli.pcm.limiter import Limiter
from voice_cli.pcm.loudness import Meter, load
from voice_cli.speech.events import Utterance
from voice_cli.state_file import limited, read_section, state_path, update_section

TARGET = -16.0
"""LUFS. Apple asks for it of podcasts (podcasters.apple.com/support/893-audio-requirements), with peaks up to -1 dBFS.
Mono counts as the two equal channels that it is played on."""

MOST_GAIN = 20.0
"""Decibels by which a voice is amplified or attenuated at most."""

FIRST_SECONDS = 1.5
"""Seconds of a voice after which its loudness is estimated."""
START_WAIT = 0.3
"""Seconds for which the first measurement, which loads numpy, waits at most for the sound to begin."""
UPDATE_SECONDS = 0.5
"""Seconds from one estimate to the next one."""
SLOPE = 2.0
"""Decibels a second with which the gain goes to the estimate."""

SECTION = "loudness"
LEAST_SECONDS = 1.0
"""Seconds above the gates from which a voice's loudness is stored."""
MOST_SECONDS = 120.0
"""The weight, in seconds, of what was measured before, at most: a voice that changes is measured anew."""
KNOWN_SECONDS = 60.0
"""Seconds of a known voice that are measured after a speech, at most. They take 0.1 s."""
MOST_VOICES = 256
"""How many are stored; the one that was measured longest ago is dropped."""


class Levels:
    """The loudness of voices, in the state file. A file that cannot be read or written is ignored."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or state_path()

    def of(self, voice: str) -> float | None:
        """Return the loudness of a voice in LUFS; None: not known."""
        return _loudness(read_section(self._path, SECTION).get(voice))

    def note(self, measured: dict[str, tuple[float, float]]) -> None:
        """Store voices with their loudness in LUFS and how many seconds were measured."""

        def change(voices: dict[str, Any]) -> None:
            for voice, (loudness, seconds) in measured.items():
                entry, new = voices.pop(voice, None), min(seconds, MOST_SECONDS)
                known, before = _loudness(entry), 0.0
                if known is not None:
                    before = limited(entry[1], 0.0, MOST_SECONDS - new)
                    power = (before * 10 ** (known / 10) + new * 10 ** (loudness / 10)) / (before + new)
                    loudness = 10 * log10(power)  # noqa: PLW2901
                voices[voice] = [round(loudness, 2), round(before + new, 1)]
            while len(voices) > MOST_VOICES:
                del voices[next(iter(voices))]

        if measured:
            update_section(self._path, SECTION, change)


def _loudness(entry: Any) -> float | None:
    """Return the loudness of an entry of the file, which may have anything."""
    is_entry = isinstance(entry, list) and len(entry) == 2
    is_number = is_entry and isinstance(entry[0], int | float) and not isinstance(entry[0], bool)
    return float(entry[0]) if is_number and -70.0 <= entry[0] <= 10.0 else None


class _Voice:
    """A voice in the speech: its meter and its gain."""

    def __init__(self, audio_format: AudioFormat, known: float | None) -> None:
        self.known = known
        self._format = audio_format
        self._meter: Meter | None = None
        self._pending = bytearray()
        """Frames that were not measured."""
        self._measured = 0
        """Frames."""
        self.received = 0
        """Frames."""
        self._next_update = FIRST_SECONDS
        self._target = self._decibels = 0.0 if known is None else _gain_to_target(known)

    def add(self, data: bytes) -> None:
        if self.known is None or self._format.seconds(self.received) < KNOWN_SECONDS:
            self._pending += data
        self.received += len(data) // self._format.frame_bytes

    def is_due(self, frame: int) -> bool:
        """Return whether the loudness up to that frame must be measured."""
        return self.known is None and self._format.seconds(frame) >= self._next_update

    def gain(self, frame: int, elapsed: float) -> float:
        """Return the factor after so many frames of the voice, `elapsed` seconds after the last call."""
        if self.is_due(frame):
            self._next_update += UPDATE_SECONDS
            meter = self.measure(frame)
            if (loudness := meter.integrated) is not None:
                self._target = _gain_to_target(loudness)
        step = SLOPE * elapsed
        self._decibels += min(step, max(-step, self._target - self._decibels))
        return float(10 ** (self._decibels / 20))

    def measure(self, frame: int) -> Meter:
        """Measure the voice up to that frame, and return its meter."""
        if self._meter is None:
            self._meter = Meter(self._format, dual_mono=True)
        size = (frame - self._measured) * self._format.frame_bytes
        if size > 0:
            self._meter.feed(self._pending[:size])
            del self._pending[:size]
            self._measured = frame
        return self._meter

    def finish(self) -> tuple[float, float] | None:
        """Measure the rest, and return the loudness in LUFS and the seconds; None: too short."""
        meter = self.measure(self.received)
        meter.finish()
        loudness, seconds = meter.integrated, meter.seconds
        return None if loudness is None or seconds < LEAST_SECONDS else (loudness, seconds)


def _gain_to_target(loudness: float) -> float:
    return min(MOST_GAIN, max(-MOST_GAIN, TARGET - loudness))


class Normalizer:
    """Normalizes the PCM of one speech, which has one format. The pump's thread calls it.

    `voice_of` returns the name of the voice of an utterance, when its first audio has arrived; empty: its loudness is
    measured anew, and not stored.
    """

    def __init__(self, levels: Levels, voice_of: Callable[[Utterance], str]) -> None:
        self.has_started: Callable[[], bool] = lambda: True
        """Returns whether the sound has begun, which loading numpy would delay."""
        self._is_loading = False
        self._levels = levels
        self._voice_of = voice_of
        self._utterance: Utterance | None = None
        """The utterance whose audio comes next, if it has not begun."""
        self._voices: dict[str, _Voice] = {}
        self._firsts: list[int] = []
        """The frames at which another voice begins."""
        self._turns: list[tuple[_Voice, int]] = []
        """The voices from there on, and how many frames of theirs came before."""
        self._limiter: Limiter | None = None
        self._format: AudioFormat | None = None
        self._received = 0
        """Frames."""
        self._asked = 0
        """The last frame whose gain was asked for."""

    def begin(self, utterance: Utterance) -> None:
        """Note that the audio of another utterance follows."""
        self._utterance = utterance

    def process(self, chunk: PcmChunk) -> PcmChunk:
        """Return the frames that are certain after more of the speech: 5 ms are held back at most."""
        self._format = chunk.format
        if self._utterance is not None:
            self._turn_to(self._utterance, chunk.format)
            self._utterance = None
        voice = self._turns[-1][0]
        if voice.known is None and not self._is_loading and self.has_started():
            self._is_loading = True  # it takes a tenth of a second, so it begins before the first measurement
            threading.Thread(target=load, name="voice-loudness", daemon=True).start()
        voice.add(chunk.data)
        self._received += chunk.frames
        if self._limiter is None:
            self._limiter = Limiter(chunk.format, self._gain_at)
        return PcmChunk(chunk.format, self._limiter.process(chunk.data))

    def flush(self) -> PcmChunk | None:
        """Return the frames that are held back: the speech has ended, or its text is awaited."""
        if self._limiter is None or self._format is None:
            return None
        return PcmChunk(self._format, self._limiter.flush())

    def learn(self) -> None:
        """Store the loudness of the voices. After the speech."""
        measured = {name: voice.finish() for name, voice in self._voices.items()}
        self._levels.note({name: found for name, found in measured.items() if found is not None})

    def _turn_to(self, utterance: Utterance, audio_format: AudioFormat) -> None:
        name = self._voice_of(utterance)
        voice = self._voices.get(name)
        if voice is None:
            voice = _Voice(audio_format, self._levels.of(name) if name else None)
            if name:
                self._voices[name] = voice
        if not self._turns or self._turns[-1][0] is not voice:
            self._firsts.append(self._received)
            self._turns.append((voice, voice.received))

    def _gain_at(self, frame: int) -> float:
        """Return the gain of the voice that has that frame."""
        index = bisect_right(self._firsts, frame) - 1
        voice, before = self._turns[index]
        elapsed = (frame - self._asked) / (self._format.rate if self._format is not None else 1)
        self._asked = frame
        place = before + frame - self._firsts[index]
        if not self._is_loading and voice.is_due(place):
            self._wait_for_start()
        return voice.gain(place, elapsed)

    def _wait_for_start(self) -> None:
        """Wait until the sound has begun, which is soon: there are 1.5 s of it."""
        self._is_loading = True
        deadline = time.monotonic() + START_WAIT
        while not self.has_started() and time.monotonic() < deadline:
            time.sleep(0.005)
