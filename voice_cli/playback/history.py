"""Which frames left the device when, and where they are in the speech.

Frames are counted as they are pulled (`position`). Their number in the speech differs from that after a jump or at
another speed. The audio thread writes; any thread reads. Times are on `time.monotonic`, at the DAC.
"""

from collections import deque
from itertools import pairwise
from typing import NamedTuple

KEPT_EVENTS = 1024
"""How many runs, underruns or underflows are kept one by one; the last two are all counted."""


class Run(NamedTuple):
    """Frames that leave the device one after the other, up to the next run."""

    at: float
    """When the first one leaves the device."""
    first: int
    """Frames that were pulled before."""
    speech: float
    """The first frame's number in the speech."""
    speed: float
    """Frames of the speech for each frame."""

    def speech_at(self, position: int) -> float:
        """Return the number in the speech of the frame at that position."""
        return self.speech + (position - self.first) * self.speed


class Jump(NamedTuple):
    """A jump from one frame of the speech to another."""

    at: float
    left: float
    landed: float


class Stretch(NamedTuple):
    """A part of the speech that was played without a break: seconds."""

    began: float
    ended: float
    start: float
    """Seconds of the speech."""
    end: float


class History:
    """The history of one playback."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._runs: deque[Run] = deque(maxlen=KEPT_EVENTS)
        self._jumps: list[Jump] = []
        self._base = Run(0.0, 0, 0.0, 1.0)
        """What the next frame continues; its time is not used."""
        self.position = 0
        """Frames that were pulled. Only the audio thread changes it."""

    # The audio thread.

    def begin_run(self, at: float) -> None:
        """Note when the next frame leaves the device: it does not follow the one before at once."""
        self._base = Run(at, self.position, self.speech_frame, self._base.speed)
        self._runs.append(self._base)

    def move(self, at: float, start: float, speed: float, *, is_jump: bool) -> None:
        """Continue at that frame of the speech and at that speed. A run begins next."""
        if is_jump:
            self._jumps.append(Jump(at, self.speech_frame, start))
        self._base = Run(at, self.position, start, speed)

    # The thread that owns the device, while no thread pulls.

    def take_back(self, count: int) -> None:
        """Take back the last `count` frames, which were not heard: they are pulled again in another run."""
        self.position -= count
        while self._runs and self._runs[-1].first >= self.position:
            self._runs.pop()

    # Any thread.

    @property
    def speech_frame(self) -> float:
        """The number in the speech of the frame that is pulled next."""
        while True:
            base, position = self._base, self.position
            if base is self._base:  # else the audio thread has moved meanwhile
                return base.speech_at(position)

    @property
    def seconds(self) -> float:
        """The position in the speech of the frame that is pulled next."""
        return self.speech_frame / self._rate

    def heard(self, now: float) -> float:
        """Return the seconds of the speech that have left the device at `now`."""
        end = self.position
        for run in reversed(tuple(self._runs)):
            if run.at <= now:
                frames = min((now - run.at) * self._rate, max(0, end - run.first))
                return (run.speech + frames * run.speed) / self._rate
            end = run.first
        return 0.0

    def position_at(self, now: float) -> int:
        """Return how many frames have left the device at `now`."""
        end = self.position
        for run in reversed(tuple(self._runs)):
            if run.at <= now:
                return min(end, run.first + int((now - run.at) * self._rate))
            end = min(end, run.first)
        return end

    def spans(self, now: float, heard: float) -> list[tuple[float, float]]:
        """Return the parts of the speech that have left the device at `now`, in the order of playback, in seconds.

        `heard`: the position in the speech at `now`.
        """
        spans, start = [], 0.0
        for jump in tuple(self._jumps):
            if jump.at <= now:
                spans.append((start, jump.left / self._rate))
                start = jump.landed / self._rate
        return [*spans, (start, max(start, heard))]

    def time_of(self, position: int) -> float | None:
        """Return when the frame at that position leaves the device; None if it has not been pulled."""
        if position >= self.position:
            return None
        for run in reversed(tuple(self._runs)):
            if run.first <= position:
                return run.at + (position - run.first) / self._rate
        return None

    def has_played(self, frame: int) -> bool:
        """Return whether the frame of the speech before that number was pulled."""
        start = 0.0
        for jump in tuple(self._jumps):
            if start < frame <= jump.left:
                return True
            start = jump.landed
        return start < frame <= self.speech_frame

    def first_time_of(self, seconds: float) -> float | None:
        """Return when that position of the speech is heard first; None if it has not been pulled."""
        for stretch in self.stretches():
            if stretch.start <= seconds < stretch.end:
                share = (seconds - stretch.start) / (stretch.end - stretch.start)
                return stretch.began + share * (stretch.ended - stretch.began)
        return None

    def between(self, since: float, until: float) -> list[Stretch]:
        """Return what leaves the device between two times, in order."""
        found = []
        for stretch in self.stretches():
            began, ended = max(stretch.began, since), min(stretch.ended, until)
            if ended > began:
                speed = (stretch.end - stretch.start) / (stretch.ended - stretch.began)
                start, end = (stretch.start + speed * (at - stretch.began) for at in (began, ended))
                found.append(Stretch(began, ended, start, end))
        return found

    def stretches(self) -> list[Stretch]:
        """Return what was pulled, in order."""
        runs = [*self._runs, self._base._replace(first=self.position)]
        return [
            Stretch(
                run.at,
                run.at + (after.first - run.first) / self._rate,
                run.speech / self._rate,
                run.speech_at(after.first) / self._rate,
            )
            for run, after in pairwise(runs)
        ]
