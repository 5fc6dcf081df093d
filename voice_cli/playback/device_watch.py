"""The watch on the device of a playback: it notices that the device has stopped by itself, and opens it again.

A device stops when the audio server is restarted, or when it is unplugged. What was in its buffer then goes back to the
source, and is played on the device that is opened next: the same one or, if none was named, the default one.
"""

from collections.abc import Callable
from typing import NamedTuple

from voice_cli.errors import DeviceError, Hint
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.sinks.base import Sink

DEAD_SECONDS = 5.0
"""Seconds without a pull after which the device counts as lost."""

RETURN_SECONDS = 2.0
"""Seconds to try to open a lost device."""

RETRY_SECONDS = 0.05
"""Seconds between two tries."""

MOST_LOSSES = 3
LOSSES_SECONDS = 10.0
"""A device that is lost more than `MOST_LOSSES` times in these seconds is not opened again."""

MARGIN_SECONDS = 0.01
"""Seconds that are played again before the first frame that was probably not heard."""


class Reopening(NamedTuple):
    """A loss of the device after which playback continued: seconds."""

    away: float
    """From the last pull of the lost device until the new one was started."""
    repeated: float
    """What was heard twice, at most."""


class DeviceWatch:
    """Starts the sink of one playback, and looks after it. The thread that owns the sink calls all methods."""

    def __init__(self, sink: Sink, clock: Callable[[], float]) -> None:
        self._sink = sink
        self._clock = clock
        self.is_started = False
        self.reopenings: list[Reopening] = []
        self._pulls = 0
        self._pulled_at = 0.0
        self._looked_at = 0.0
        self._losses: list[float] = []
        self._pulls_before = -1
        """Pulls before the device was opened again."""
        self._lost_at: float | None = None
        """When the device stopped; None: it works."""
        self._repeated = 0.0
        self._retry_at = self._give_up_at = 0.0

    def start(self, source: SinkSource) -> None:
        """Start the sink."""
        self.is_started = True
        try:
            self._sink.start(source.pull)
        except DeviceError:
            self._lose(source)
        self._pulled_at = self._clock()

    def look(self, source: SinkSource) -> None:
        """Notice that the device has stopped, and open it again. Call it often.

        Raises:
            DeviceError: the device does not come back.

        """
        if not self.is_started:
            return
        now = self._clock()
        was_stopped = now - self._looked_at > DEAD_SECONDS / 2  # this process, by Ctrl-Z
        self._looked_at = now
        if self._lost_at is not None:
            if was_stopped:
                self._give_up_at = now + RETURN_SECONDS
            self._try_again(source, self._lost_at)
        elif source.pulls != self._pulls or was_stopped:
            self._pulls, self._pulled_at = source.pulls, now
        elif (not self._sink.is_alive or now - self._pulled_at > DEAD_SECONDS) and (
            source.ended_at is None or self._sink.pulled_at < source.ended_at
        ):
            self._lose(source)

    def _lose(self, source: SinkSource) -> None:
        """Close the device, and take back what it has not played."""
        now = self._clock()
        lost_at = self._sink.pulled_at if source.pulls else now
        name = self._sink.name
        self._sink.close()
        was_useless = bool(self._losses) and source.pulls == self._pulls_before
        self._losses = [at for at in self._losses if at > now - LOSSES_SECONDS] + [now]
        if was_useless or len(self._losses) > MOST_LOSSES:
            message = f"the output device {name!r}" if name else "the output device"
            raise DeviceError(f"{message} stopped playing again and again", hint=Hint("see {list_devices}"))
        taken = source.take_back(lost_at, MARGIN_SECONDS)
        self._repeated = min(taken, now - lost_at + MARGIN_SECONDS)
        self._lost_at = lost_at
        self._retry_at, self._give_up_at = now, now + RETURN_SECONDS

    def _try_again(self, source: SinkSource, lost_at: float) -> None:
        if self._clock() < self._retry_at:
            return
        try:
            opened = self._sink.reopen(source.format)
            pull = source.pull
            if opened != source.format:
                from voice_cli.playback.converted import ConvertedPull

                pull = ConvertedPull(source.pull, source.format, opened)
            self._sink.start(pull)
        except DeviceError as exc:
            now = self._clock()
            self._retry_at = now + RETRY_SECONDS
            if now >= self._give_up_at:
                raise self._gone(exc) from exc
        else:
            now = self._clock()
            self.reopenings.append(Reopening(now - lost_at, self._repeated))
            self._lost_at = None
            self._pulls_before = source.pulls
            self._pulls, self._pulled_at = source.pulls, now

    def _gone(self, last: DeviceError) -> DeviceError:
        if self._sink.name is None:
            message = f"the output device stopped playing, and no other one opens: {last.message}"
            return DeviceError(message, hint=Hint("see {list_devices}"))
        message = f"the output device {self._sink.name!r} stopped playing and did not come back"
        return DeviceError(message, hint=Hint("connect it again, or see {list_devices} for another {device}"))
