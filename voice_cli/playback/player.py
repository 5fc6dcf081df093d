"""The player: play a speech on a sink and report the result.

Three threads: the caller's, which alone uses the sink (some hosts require that), opens it during the request
and waits for the end; the pump's; and the sink's, which pulls from the source.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from voice_cli import codecs
from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError, Interrupted, TruncatedAudio, VoiceError
from voice_cli.playback.device_watch import DeviceWatch, Reopening
from voice_cli.playback.prebuffer import RING_SECONDS, Prebuffer
from voice_cli.playback.pump import TICK, Pump
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.sinks.base import Sink
from voice_cli.playback.state import State
from voice_cli.playback.timeline import PlaybackMetrics, Timeline
from voice_cli.recording.recorder import Recorder
from voice_cli.speech.assembly import Speech
from voice_cli.speech.events import Utterance

if TYPE_CHECKING:
    from voice_cli.playback.normalizer import Normalizer

SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may hold the interpreter while the audio thread waits; Python's default of 5 ms is as long as a
device's period."""

DRAIN_SECONDS = 0.5
"""Seconds after the estimated end in which the device should pull the silence that fills its buffer."""

DRAIN_TICK = 0.002
"""Seconds between two looks whether it did."""

CANCEL_SECONDS = 0.5
"""Seconds to wait for a cancelled pump."""


class Outcome(Enum):
    """How a playback ended. Only COMPLETE is a success; DROPPED is as requested, before it began."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DROPPED = "dropped"


class PlaybackResult(NamedTuple):
    """The result of a playback."""

    outcome: Outcome
    error: BaseException | None
    """Why the playback is not complete."""
    metrics: PlaybackMetrics
    timestamps: Mapping[str, float]
    """Seconds on `time.monotonic`, by name: `timeline.TIMESTAMPS`."""
    codec: str | None
    """The codec found in the data."""
    format: AudioFormat | None
    """The format of the speech."""
    utterances: tuple[Utterance, ...]
    """Those that have audio, in order."""
    heard: float
    """The position of the speech, in seconds, at the end; without a device, seconds that were decoded."""
    spans: tuple[tuple[float, float], ...]
    """The parts of the speech that were heard, in the order of playback, in seconds; the last one ends at `heard`."""
    device_error: DeviceError | None
    """Why nothing was played, if the sink was optional."""
    reopenings: tuple[Reopening, ...] = ()
    """Losses of the device after which playback continued."""


class Player:
    """Plays one speech.

    `sink` None: consume the speech without playing it. `sink_optional`: a device that cannot be opened is reported in
    the result and is not a failure. `expected`: the format at which to open the sink before a request is under way.
    `tick`: seconds between two calls of `on_tick`. `step`: seconds of a skip; None: it goes by sentences.
    `normalizer`: makes the loudness that of its target, in what is played and recorded.
    """

    def __init__(
        self,
        sink: Sink | None,
        *,
        recorder: Recorder | None = None,
        prebuffer: Prebuffer | None = None,
        volume: float = 1.0,
        timeline: Timeline | None = None,
        sink_optional: bool = False,
        expected: AudioFormat | None = None,
        tick: float = TICK,
        step: float | None = None,
        normalizer: "Normalizer | None" = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timeline = timeline or Timeline()
        self._sink = sink
        self._sink_optional = sink_optional
        self._device_error: DeviceError | None = None
        self._error: BaseException | None = None
        self._recorder = recorder
        self._clock = clock
        self._tick = tick
        self._watch = DeviceWatch(sink, clock) if sink is not None else None
        self._pump = Pump(
            self.timeline,
            recorder=recorder,
            prebuffer=prebuffer or Prebuffer(),
            volume=volume,
            expected=expected,
            step=step,
            normalizer=normalizer,
            clock=clock,
        )
        self._is_done = False

    @property
    def state(self) -> State:
        if self._is_done:
            return State.DONE
        state, source = self._pump.state, self._pump.source
        if state is State.BUFFERING and source is not None and source.is_open:
            return State.PLAYING  # the gate was opened after a jump
        return state

    @property
    def position(self) -> float:
        """The position in the speech, in seconds, of the frame that the device pulls next."""
        source = self._pump.source
        return source.history.seconds if source is not None else 0.0

    @property
    def heard(self) -> float:
        """The position in the speech, in seconds, that leaves the device; without a device, seconds that were decoded.

        It goes back where playback does.
        """
        source = self._pump.source
        if source is not None:
            return source.heard(self._clock())
        speech = self._pump.speech
        return speech.seconds if self._sink is None and speech is not None else 0.0

    @property
    def spans(self) -> list[tuple[float, float]]:
        """The parts of the speech that were heard, in the order of playback, in seconds; the last ends at `heard`."""
        source = self._pump.source
        return source.spans(self._clock()) if source is not None else [(0.0, self.heard)]

    @property
    def source(self) -> SinkSource | None:
        """What the device pulls from, to look at; None: it is not open, or there is none."""
        return self._pump.source

    @property
    def utterances(self) -> Sequence[Utterance]:
        """Those that have audio, in order."""
        return self._pump.speech.utterances if self._pump.speech is not None else ()

    def play(self, speech: Speech, *, on_tick: Callable[["Player"], None] | None = None) -> PlaybackResult:
        """Play the speech and return when its last frame was heard, or playback has failed. Call once.

        The first request should be under way. `on_tick` is called at least every `tick` seconds. Errors of the speech,
        the sink and the recorder are reported in the result. A KeyboardInterrupt has the effect of `cancel`.
        """
        interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_INTERVAL)
        self._pump.speech = speech
        thread = threading.Thread(target=self._pump.run, name="voice-pump", daemon=True)
        try:
            thread.start()
            self._open_sink()
            self._start_sink()
            if self._pump.expected_codec is not None:
                codecs.preload(self._pump.expected_codec)
                if self._recorder is not None:
                    self._recorder.preload(self._pump.expected_codec)
            while not self._is_over():
                self._pump.wait(self._wait_seconds())
                self._open_sink()
                self._pump.turn_gate()
                self._start_sink()
                if self._watch is not None and self._pump.source is not None:
                    self._watch.look(self._pump.source)
                if on_tick is not None:
                    on_tick(self)
        except KeyboardInterrupt:
            self._error = Interrupted("interrupted")
        except DeviceError as exc:
            self._error = exc
        finally:
            if self._sink is not None:
                self._sink.close()
            if not self._pump.done:
                self._pump.cancel()
            self._pump.feeder.close(CANCEL_SECONDS)
            if thread.ident is not None:  # it may be interrupted before it starts
                thread.join(CANCEL_SECONDS)
            sys.setswitchinterval(interval)
        return self._result()

    def cancel(self) -> None:
        """Stop the playback and cancel the request. Any thread; `play` returns soon."""
        self._pump.cancel()

    # The controls. Any thread may call them, also before `play`; each returns at once.

    @property
    def is_paused(self) -> bool:
        return self._pump.feeder.is_paused

    @property
    def volume(self) -> float:
        """The factor of the samples."""
        return self._pump.feeder.volume

    @property
    def speed(self) -> float:
        """Seconds of speech a second."""
        return self._pump.feeder.speed

    def pause(self) -> None:
        """Play silence from the device's next pull on. The sink keeps running, and the speech is still received."""
        self._pump.feeder.pause(is_paused=True)

    def resume(self) -> None:
        """End a pause: play the frame that follows the last one that was played."""
        self._pump.feeder.pause(is_paused=False)

    def skip(self, count: int) -> None:
        """Go forward or back by sentences; by utterances (which may have several) if the backend sends no word times.

        With a `step`, go by so many seconds; otherwise by the marks of a stream that has some.
        1 is the start of the next one. -1 is the start of the current one, or of the one before if less than a second
        of the current one was played. If the target has not arrived, it is played when it does; after the last one,
        the speech ends. Going back ends at the oldest one that is kept (`feeder.KEPT_SECONDS`). Before the device is
        open, and without one, nothing is skipped.
        """
        self._pump.feeder.skip(count)

    def set_volume(self, factor: float) -> None:
        """Change the volume, 0 to 4, of what is played next."""
        self._pump.feeder.set_volume(factor)

    def set_speed(self, factor: float) -> None:
        """Change the speed, 0.25 to 4, of what is played next. The pitch stays."""
        self._pump.feeder.set_speed(factor)

    def _open_sink(self) -> None:
        """Open the sink if the pump needs it."""
        while self._pump.wanted_format is None and not (self._pump.done or self._pump.cancelled):
            self._pump.wait(TICK)
        wanted = self._pump.wanted_format
        if wanted is None or not self._pump.wants_device:
            return
        if self._device_error is not None:
            if self._pump.expected_codec is not None:  # before a request, its errors take precedence
                raise self._device_error
            return
        if self._sink is None:
            self._pump.attach(None, wanted)
            return
        try:
            source = SinkSource(self._sink.open(wanted), RING_SECONDS)
        except DeviceError as exc:
            self._device_error = exc
            if not self._sink_optional:
                return
            self._sink = self._watch = None
            self._pump.attach(None, wanted)
        else:
            self.timeline.mark("device_open")
            self._pump.attach(source, wanted, self._sink.latency)

    def _start_sink(self) -> None:
        """Start the sink once the gate is open."""
        source = self._pump.source
        if source is not None and source.is_open and self._watch is not None and not self._watch.is_started:
            self._watch.start(source)

    def _is_over(self) -> bool:
        pump = self._pump
        if pump.cancelled:
            return True
        if not pump.done:
            return False
        source = pump.source
        if source is None or not pump.written:
            return True
        ended_at, now = source.ended_at, self._clock()
        if ended_at is None or self._sink is None or now < ended_at:
            return ended_at is not None and now >= ended_at
        is_drained = source.silence_after_end > self._sink.latency - 0.001
        return is_drained or now >= ended_at + DRAIN_SECONDS

    def _wait_seconds(self) -> float:
        source = self._pump.source
        if not self._pump.done or source is None or source.is_paused:
            return self._tick
        ended_at = source.ended_at
        left = source.buffered + 0.005 if ended_at is None else ended_at - self._clock()
        return min(self._tick, max(DRAIN_TICK if ended_at is not None else 0.0, left))

    def _result(self) -> PlaybackResult:
        pump, timeline = self._pump, self.timeline
        source = pump.source
        if source is not None and source.started_at is not None:
            timeline.mark("started", source.started_at)
            if timeline.audible_seconds is not None:
                audible = source.history.first_time_of(timeline.audible_seconds)
                if audible is not None:
                    timeline.mark("first_audible", audible)
            last = source.history.time_of(source.position - 1)
            if last is not None:
                timeline.mark("last_frame", last + 1 / source.format.rate)
        pump.count_played()
        arrivals, speech = pump.supply.arrivals, pump.speech
        timeline.arrival_rate, timeline.arrival_lag = arrivals.rate, arrivals.lag
        if pump.done and pump.error is None and speech is not None and speech.source.total and speech.seconds:
            timeline.chars_per_second = speech.source.total / speech.seconds
        error = self._error or pump.error
        if error is None and pump.cancelled:
            error = Interrupted("interrupted")
        if self._recorder is not None:
            try:
                self._recorder.close(complete=error is None)
            except VoiceError as exc:
                error = error or exc
        self._is_done = True
        reopenings = tuple(self._watch.reopenings) if self._watch is not None else ()
        return PlaybackResult(
            outcome=_outcome(error),
            error=error,
            metrics=timeline.metrics(source, reopenings),
            timestamps=timeline.timestamps,
            codec=pump.codec,
            format=pump.speech.format if pump.speech is not None else None,
            utterances=tuple(self.utterances),
            heard=self.heard,
            spans=tuple(self.spans),
            device_error=self._device_error,
            reopenings=reopenings,
        )


def _outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return Outcome.COMPLETE
    if isinstance(error, TruncatedAudio):
        return Outcome.TRUNCATED
    if isinstance(error, Interrupted):
        return Outcome.CANCELLED
    return Outcome.FAILED
