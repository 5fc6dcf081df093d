"""The feeder: moves the PCM of a speech through tempo and volume into the ring of the source.

It keeps what was received in a `Store`. Until the first control, the pump's thread moves every chunk into the ring at
once. A control makes a new `Segment` with what is due at the new settings; from then on, the thread `voice-feeder`
keeps `AHEAD_SECONDS` in the ring, so that the next control drops little. No lock is shared with the audio thread.
"""

import threading
from collections.abc import Callable

from voice_cli.audio import AudioFormat
from voice_cli.pcm.convert import amplify
from voice_cli.pcm.tempo import Tempo
from voice_cli.playback.goals import Goal, next_goal
from voice_cli.playback.pauses import Pauses
from voice_cli.playback.prebuffer import RING_SECONDS
from voice_cli.playback.ring_buffer import NEVER, Segment
from voice_cli.playback.sink_source import SinkSource
from voice_cli.playback.store import BLOCK_SECONDS, Store
from voice_cli.playback.supply import Supply

KEPT_SECONDS = 600.0
"""Seconds of the speech that are kept to go back to: 29 MB at 24 kHz mono."""

AHEAD_SECONDS = 2.0
"""Seconds in the ring after the first control."""

FIRST_SECONDS = 0.2
"""Seconds that are rendered before a new segment is played."""

SLICE_SECONDS = 0.25
"""Seconds to render at a time."""

REFILL_SECONDS = 0.25
"""Seconds between two looks at the ring."""

PHRASE_SECONDS = 0.3
"""Seconds that are played before the next wait."""

VOLUMES = (0.0, 4.0)
SPEEDS = (0.25, 4.0)


class Feeder:
    """The store of one speech and the controls of its playback. Any thread may call the controls, which do not wait.

    `starts` returns the positions in the speech of the sentences that have arrived, in seconds. `supply` decides when
    the gate opens. `fail` is called with an error of the thread. `step`: seconds of a skip; None: it goes by sentences.
    """

    def __init__(
        self,
        volume: float,
        *,
        starts: Callable[[], list[float]],
        supply: Supply,
        fail: Callable[[BaseException], None],
        step: float | None = None,
    ) -> None:
        self.volume = volume
        self._step = step
        self.speed = 1.0
        self.is_paused = False
        self.source: SinkSource | None = None
        self._starts_in_seconds = starts
        self._supply = supply
        self._fail = fail
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._is_complete = False
        self._store = Store(1, 1, 1)
        self._tempo: Tempo | None = None
        self._pauses = Pauses(AudioFormat(1000, 1))
        """The pauses in the segment that is written."""
        self._beyond = 0
        """Bytes of that segment up to which playback does not wait again."""
        self._awaits_text = False
        self._read = 0
        """The frame to render next."""
        self._rest = memoryview(b"")
        """Rendered PCM for which the ring has no room."""
        self._is_stale = False
        """Whether a control was called that the ring does not reflect."""
        self._jump = 0
        """The number of the last jump."""
        self._target: int | None = None
        """The frame to jump to, while `_is_stale`."""
        self._awaited: Goal | None = None
        """Where to jump to when it arrives."""

    # The controls. Any thread.

    def pause(self, *, is_paused: bool) -> None:
        """Play silence from the next pull on, or go on at the same frame."""
        with self._changed:
            self.is_paused = is_paused
            if self.source is not None:
                self.source.is_paused = is_paused

    def set_volume(self, factor: float) -> None:
        """Change the volume; it is limited to `VOLUMES`."""
        factor = min(VOLUMES[1], max(VOLUMES[0], factor))
        with self._changed:
            if factor != self.volume:
                self.volume = factor
                self._refresh()

    def set_speed(self, factor: float) -> None:
        """Change the speed; it is limited to `SPEEDS`."""
        factor = min(SPEEDS[1], max(SPEEDS[0], factor))
        with self._changed:
            if factor != self.speed:
                self.speed = factor
                self._refresh()

    def skip(self, count: int) -> None:
        """Go `count` sentences or steps forward or back, as `next_goal`."""
        with self._changed:
            source = self.source
            if source is not None and count:
                here = self._next_frame(source)
                starts = [] if self._step is not None else self._starts()
                self._aim(next_goal(count, here, starts, self._awaited, source.format.rate, self._step))

    # The pump's thread.

    def attach(self, source: SinkSource | None) -> None:
        """Set the source to feed, before anything is written."""
        with self._changed:
            self.source = source
            if source is not None:
                audio_format = source.format
                kept = round(KEPT_SECONDS / BLOCK_SECONDS)
                self._store = Store(audio_format.frame_bytes, audio_format.frames(BLOCK_SECONDS), kept)
                self._pauses = Pauses(audio_format)
                source.is_paused = self.is_paused
                if self.speed != 1:
                    self._refresh()

    def write(self, data: memoryview) -> int:
        """Store the whole frames for which there is room, feed the ring, and return the number of bytes."""
        with self._changed:
            count = min(len(data), max(0, self._room()))
            self._store.append(data[:count])
            self._go_on()
            return count

    def await_text(self, *, is_awaited: bool) -> None:
        """Set whether text is awaited: then all that is buffered is played."""
        with self._changed:
            self._awaits_text = is_awaited
            if self.source is not None:
                self._hold(self.source, self.source.latest)

    def end_utterance(self) -> None:
        """Note that an utterance ends with what was written."""
        with self._changed:
            if not self._rest and self._read >= self._store.end:
                self._pauses.mark()

    def open_gate(self) -> bool:
        """Open the gate if enough is buffered, and return whether it is."""
        source = self.source
        with self._changed:
            if source is None or self._target is not None or self._awaited is not None:
                return False
            return self._open_gate(source)

    def finish(self) -> None:
        """Mark the speech as complete."""
        with self._changed:
            self._is_complete = True
            self._go_on()

    @property
    def buffered(self) -> float:
        """Seconds of playback in the ring and in the store; 0 while a jump is under way."""
        source = self.source
        with self._changed:
            if source is None or self._target is not None or self._awaited is not None:
                return 0.0
            return self._ahead(source, source.latest)

    def room_in(self, size: int) -> float:
        """Return the seconds of playback until `size` bytes fit, or until everything is played if they never do."""
        source = self.source
        with self._changed:
            if source is None:
                return 0.0
            missing = min(size, self._capacity(source)) - self._room()
            return max(0.0, missing / source.format.frame_bytes / source.format.rate / source.latest.speed)

    def close(self, timeout: float) -> None:
        """End the thread, and wait for it for `timeout` seconds at most."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout)

    # With the lock.

    def _go_on(self) -> None:
        """Feed the ring after a change of the store, or jump to a sentence that has arrived."""
        if self._awaited is not None:
            self._aim(self._awaited)
        elif self.source is not None and self._target is None:
            self._feed(self.source, self.source.latest)

    def _capacity(self, source: SinkSource) -> int:
        return source.format.frames(RING_SECONDS) * source.format.frame_bytes

    def _room(self) -> int:
        """Return how many bytes may be stored: as many as the ring holds, beyond the frame that is played next."""
        source = self.source
        if source is None or self._awaited is not None:
            return 1 << 62
        due = self._store.end - self._next_frame(source)
        return self._capacity(source) - due * source.format.frame_bytes

    def _next_frame(self, source: SinkSource) -> int:
        """Return the frame of the speech that is played next."""
        landing = source.landing if self._target is None else self._target
        return int(source.history.speech_frame) if landing is None else landing

    def _starts(self) -> list[int]:
        """Return the first frame of each sentence."""
        return [] if self.source is None else [self.source.format.frames(start) for start in self._starts_in_seconds()]

    def _aim(self, goal: Goal) -> None:
        """Jump to a goal, or wait for it, or go to the end if it does not exist."""
        was_awaited, self._awaited = self._awaited, None
        starts = [] if goal.sentence is None else self._starts()
        frame = goal.find(starts, self._store.oldest, self._store.end)
        if frame is not None:
            self._target = frame
        elif self._is_complete:
            self._target = self._store.end
        else:
            self._awaited, self._target = goal, None
            if was_awaited == goal:
                return
        self._refresh()

    def _refresh(self) -> None:
        """Have the ring filled anew."""
        if self.source is None or self._is_closed:
            return
        self._is_stale = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="voice-feeder", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _ahead(self, source: SinkSource, segment: Segment) -> float:
        """Return the seconds of playback in a segment and in the store after it."""
        rendered = (segment.readable + len(self._rest)) // source.format.frame_bytes
        unread = max(0, self._store.end - self._read) / segment.speed
        return (rendered + unread) / source.format.rate

    def _feed(self, source: SinkSource, segment: Segment, enough: int | None = None) -> None:
        """Write to the segment until it is full, or has `enough` bytes, or nothing more is stored."""
        is_all = self._fill(source, segment, enough)
        self._hold(source, segment)
        if is_all:
            segment.is_complete = self._is_complete  # after the hold point

    def _hold(self, source: SinkSource, segment: Segment) -> None:
        """Set where playback waits if nothing more arrives in time: in the last pause, if that can be foreseen."""
        place = None
        if self._supply.is_smooth and not (self._is_complete or self._awaits_text):
            place = self._pauses.after(max(segment.taken, self._beyond))
        if place is not None:
            lead = (place - segment.taken) / source.format.frame_bytes / source.format.rate
            if self._supply.lasts(self._ahead(source, segment), lead, segment.speed):
                place = None
        segment.hold = NEVER if place is None else place

    def _is_enough(self, source: SinkSource, segment: Segment, *, is_jump: bool = False) -> bool:
        beyond = source.format.frames(PHRASE_SECONDS) * source.format.frame_bytes
        self._beyond = segment.taken + beyond if not segment.is_open else self._beyond
        return self._is_complete or self._supply.is_enough(
            source,
            self._ahead(source, segment),
            segment.speed,
            has_pause=self._pauses.after(self._beyond) is not None,
            is_jump=is_jump,
        )

    def _open_gate(self, source: SinkSource) -> bool:
        """Open the gate if enough is buffered."""
        is_enough = self._is_enough(source, source.latest)
        if is_enough:
            self._hold(source, source.latest)
            source.open_gate()
        return is_enough

    def _fill(self, source: SinkSource, segment: Segment, enough: int | None) -> bool:
        """Write as `_feed`, and return whether all that is stored is written."""
        while enough is None or segment.readable < enough:
            self._rest = self._rest or self._render(source)
            if not self._rest:
                return True
            self._rest = self._rest[segment.write(self._rest) :]
            if self._rest:
                return False
        return False

    def _render(self, source: SinkSource) -> memoryview:
        """Return the next frames at the speed and the volume; none if nothing more is stored."""
        while data := self._store.read(self._read, source.format.frames(SLICE_SECONDS)):
            self._read += len(data) // source.format.frame_bytes
            changed = data if self._tempo is None else self._tempo.process(data)
            if changed:
                if self._supply.is_smooth:
                    self._pauses.feed(memoryview(changed))
                return memoryview(amplify(changed, self.volume))
        if self._tempo is None or not self._is_complete:
            return data
        tempo, self._tempo = self._tempo, None
        return memoryview(amplify(tempo.flush(), self.volume))

    def _apply(self, source: SinkSource) -> None:
        """Apply the controls that were called, and fill the ring."""
        if self._is_stale:
            self._renew(source)
        if self._awaited is None:
            self._feed(source, source.latest)
            if not source.is_open:  # it may have closed because the ring ran empty
                self._open_gate(source)

    def _renew(self, source: SinkSource) -> None:
        """Continue with a new segment, at the target or where playback is, at the current speed and volume."""
        audio_format = source.format
        is_awaited = self._awaited is not None
        is_jump = self._target is not None or (is_awaited and source.latest.start is not None)
        self._jump += is_jump
        start = self._next_frame(source)
        segment = Segment(
            audio_format.frames(AHEAD_SECONDS) * audio_format.frame_bytes,
            start=None if is_awaited else start,
            speed=self.speed,
            jump=self._jump,
        )
        self._is_stale, self._target = False, None
        self._rest = memoryview(b"")
        self._pauses.restart()
        self._beyond = 0
        self._read = start
        self._tempo = None if self.speed == 1 else Tempo(audio_format, self.speed)
        if not is_awaited:
            self._feed(source, segment, audio_format.frames(FIRST_SECONDS) * audio_format.frame_bytes)
            segment.is_open = self._is_enough(source, segment, is_jump=True) if is_jump else source.is_open
        source.latest = segment
        self._changed.notify_all()

    # The feeder's thread.

    def _run(self) -> None:
        try:
            while not self._is_closed:
                self._turn()
        except BaseException as exc:  # else the playback would not end
            self._fail(exc)

    def _turn(self) -> None:
        """Wait for a control or for room in the ring, and fill it."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_stale or self._is_closed, REFILL_SECONDS)
            source, is_stale = self.source, self._is_stale
        if self._is_closed or source is None:
            return
        if is_stale and self.speed != 1:
            Tempo(source.format, self.speed)  # loads PyAV without the lock
        with self._changed:
            self._apply(source)
