"""What a sink pulls from: a ring buffer behind a gate, and a record of which frames were played when.

The gate is closed until the pump opens it, when the prebuffer or the whole speech is buffered. If the ring runs empty
before the end, or the reader reaches the hold point that the writer has set in a pause of the speech, the gate closes
again until the pump has buffered more: one long pause instead of many short ones.

At the edges of a pause, ramps of 5 ms prevent clicks: from the last sample to zero, and from zero to the next one. They
replace silence, so every frame of the speech is played once, in order and unchanged. If the device discards its last
block after an underflow, as PortAudio does on ALSA, that block is played again. If a device is lost, so are the frames
in its buffer: they are played again on the next one (`take_back`).

A control that changes what is played next leaves the ring alone that the audio thread reads. It fills another one, a
`Segment`, and the audio thread continues with that from its next pull on. Another volume is faded in over 5 ms. Where a
segment does not continue the sound, a falling and a rising ramp are inserted.
"""

from array import array
from collections import deque
from typing import NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.playback.history import KEPT_EVENTS, History
from voice_cli.playback.ring_buffer import LastBytes, Segment

RAMP_SECONDS = 0.005

KEPT_SECONDS = 1.0
"""Seconds of pulled frames that can be taken back: longer than a device's buffer."""


class Gap(NamedTuple):
    """A time in which the device had no frames of ours to play."""

    frame: int
    """Frames that were pulled before."""
    seconds: float
    position: float
    """Seconds of the speech where it was."""


class SinkSource:
    """The frames of one stream for one opened sink. The pump writes, the audio thread pulls; any thread may read.

    Times are on `time.monotonic`, at the moment when a frame leaves the device (DAC time).
    """

    def __init__(self, audio_format: AudioFormat, capacity_seconds: float) -> None:
        self.format = audio_format
        self._frame_bytes = audio_format.frame_bytes
        self._byte_rate = audio_format.rate * audio_format.frame_bytes
        self.latest = Segment(audio_format.frames(capacity_seconds) * audio_format.frame_bytes)
        """The segment that is written, and is read from the next pull on."""
        self._segment = self.latest
        """The segment that is read."""
        self._jump = 0
        """The number of the last jump that was made."""
        self._flowing = False
        self._ramp = memoryview(b"")
        self._rises = False
        self._last_frame = bytes(audio_format.frame_bytes)
        self._dry_since: float | None = None
        self._was_held = False
        self._paused_since: float | None = None
        self._resumed_at: float | None = None
        """When a pause ended after which no frame was played yet."""
        self._next_time: float | None = None
        self._last = self._again = memoryview(b"")
        self._pulled = LastBytes(audio_format.frames(KEPT_SECONDS) * audio_format.frame_bytes)
        """What was pulled since the last jump or change of speed."""
        self._lost_at: float | None = None
        """When the device was lost; None after the first pull of the next one."""
        self._last_time: float | None = None
        self._may_rest = False
        self.silence_after_end = 0.0
        """Seconds of silence that were pulled after the last frame. When they fill the device's buffer, that frame has
        left it, even if the device's clock was estimated wrongly."""

        self.pulls = 0
        """Calls of `pull`; a working device increases it."""
        self.is_resting = False
        """Whether the ring ran empty when no more was due."""
        self.is_paused = False
        """Set by any thread: play silence from the next pull on, and keep the frames."""
        self.paused_seconds = 0.0
        """The pauses after which frames were played."""
        self.history = History(audio_format.rate)
        self.started_at: float | None = None
        """When the first frame leaves the device; None until it is pulled."""
        self.ended_at: float | None = None
        """When the last frame has left the device; None until it is pulled and `finish` was called. Each later pull
        measures it again, and may move it back."""
        self.underruns: deque[Gap] = deque(maxlen=KEPT_EVENTS)
        """The ring ran empty before the end: the network or the backend was too slow."""
        self.underrun_count = 0
        self.underrun_seconds = 0.0
        self.rebuffer_count = 0
        """The underruns that waited in a pause of the speech, at a hold point."""
        self.rebuffer_seconds = 0.0
        self.underflows: deque[Gap] = deque(maxlen=KEPT_EVENTS)
        """The device was not served in time: this program or machine was too slow."""
        self.underflow_count = 0
        self.underflow_seconds = 0.0

    # The writer's thread. Only one thread at a time may write.

    @property
    def buffered(self) -> float:
        """Seconds of audio in the ring."""
        return self.latest.readable / self._byte_rate

    @property
    def is_open(self) -> bool:
        """Whether the sink gets frames. False at first, and after the ring ran empty."""
        return self.latest.is_playable

    def write(self, data: bytes | memoryview) -> int:
        """Write the whole frames that fit, without waiting, and return the number of bytes."""
        return self.latest.write(data)

    def open_gate(self) -> None:
        """Open the gate, from the next pull on."""
        self.latest.is_open = True

    @property
    def landing(self) -> int | None:
        """The frame of the speech to which the next pull jumps, if it does."""
        latest = self.latest
        return latest.start if latest.jump != self._jump else None

    @property
    def is_dry(self) -> bool:
        """Whether an underrun is under way."""
        return self._dry_since is not None and not self.is_resting

    def rest(self, *, expected: bool) -> None:
        """Set whether more frames are not due yet, so that an empty ring is not an underrun."""
        self._may_rest = expected

    @property
    def rested(self) -> float | None:
        """Seconds of silence since the ring ran empty at a rest, up to the last pull; None: there is no rest."""
        since, until = self._dry_since, self._next_time
        return max(0.0, until - since) if self.is_resting and since is not None and until is not None else None

    def finish(self) -> None:
        """Mark the stream as complete, so that the rest of the ring is played."""
        self.latest.is_complete = True

    def _ramp_of(self, frame: bytes, *, rising: bool) -> memoryview:
        samples = memoryview(frame).cast("h")
        steps = self.format.frames(RAMP_SECONDS)
        order = range(1, steps + 1) if rising else range(steps, 0, -1)
        return memoryview(array("h", [s * i // (steps + 1) for i in order for s in samples])).cast("B")

    # The audio thread.

    def pull(self, out: memoryview, dac_time: float, underflow: bool = False, discarded: bool = False) -> None:
        """Fill `out` (bytes of whole frames), whose first frame leaves the device at `dac_time`.

        `underflow`, `discarded`: see `Sink.start`.

        Copies, fills the rest with silence, and counts; never blocks or raises.
        """
        self.pulls += 1
        size = len(out)
        if underflow:
            self._resume(dac_time, discarded=discarded)
        self._last = memoryview(b"")
        self._last_time, self._next_time = self._next_time, dac_time + size / self._byte_rate
        if self._lost_at is not None:
            self._note_loss(dac_time)
        latest = self.latest
        if latest is not self._segment and (latest.jump != self._jump or not self._again):
            self._switch(latest, dac_time)
        if self.ended_at is not None:
            self.ended_at = max(self.ended_at, dac_time - self.silence_after_end)
            self.silence_after_end += size / self._byte_rate
        self._note_pause(dac_time)
        segment = self._segment
        # Read once: a gate that opens after this line opens for the next pull.
        is_open = segment.is_playable and self._paused_since is None
        if is_open and self._rises:
            first = bytes(self._again[: self._frame_bytes]) or segment.peek(self._frame_bytes)
            if first:
                self._ramp = memoryview(bytes(self._ramp) + self._ramp_of(first, rising=True))
                self._rises = False
        filled = self._play_ramp(out)
        if is_open and filled < size and self.ended_at is None:
            finished = segment.is_complete  # read before the ring, so that all frames written before `finish` are seen
            if not self._flowing and (self._again or segment.readable):
                self._begin_run(dac_time + filled / self._byte_rate)
            count = self._read_into(out[filled:])
            self._last = memoryview(bytes(out[filled : filled + count]))
            if count:
                self._last_frame = bytes(self._last[-self._frame_bytes :])
                self._pulled.append(self._last)
            filled += count
            self.history.position += count // self._frame_bytes
            if filled < size:
                now = dac_time + filled / self._byte_rate
                if finished:
                    self.ended_at = now if count or self._dry_since is None else self._dry_since
                    self.silence_after_end = dac_time + size / self._byte_rate - self.ended_at
                else:
                    self._run_dry(now)
                    filled += self._play_ramp(out[filled:])
        if filled < size:
            out[filled:] = bytes(size - filled)

    def _note_loss(self, now: float) -> None:
        """The time without a device is no part of an underrun."""
        since, self._lost_at = self._lost_at, None
        if since is not None and self._dry_since is not None and self._paused_since is None:
            self._dry_since += max(0.0, now - since)

    def _note_pause(self, now: float) -> None:
        if self.is_paused:
            if self._paused_since is None:
                self._paused_since = now
                if self.ended_at is None:
                    self._stop()
        elif self._paused_since is not None:
            if self._dry_since is not None:
                self._dry_since += now - self._paused_since  # the time of the pause is no part of an underrun
            if self.started_at is not None:
                self.paused_seconds += now - self._paused_since
                self._resumed_at = now
            self._paused_since = None

    def _switch(self, segment: Segment, now: float) -> None:
        """Continue with another segment, unless its next frame is not rendered yet."""
        here = self.history.speech_frame
        start = here if segment.start is None else float(segment.start)
        is_jump = segment.jump != self._jump
        if not is_jump:
            behind = max(0, round((here - start) / segment.speed)) * self._frame_bytes
            if behind > segment.readable:
                return
            segment.skip(behind)
            start = here
        if is_jump or not segment.speed == self._segment.speed == 1:
            self._stop()
            self._pulled.take(0)
            self.ended_at = None
            if is_jump:
                self._again = memoryview(b"")
                self._end_gap(now)
            self.history.move(now, start, segment.speed, is_jump=is_jump)
        elif self._flowing:
            self._again = self._faded(self._segment, segment)
            segment.skip(len(self._again))
        self._jump = segment.jump  # last, so that another thread sees either a landing or the new position
        self._segment = segment

    def _faded(self, old: Segment, new: Segment) -> memoryview:
        """Return the first frames of the new segment, faded in over the same ones of the old one."""
        size = self.format.frames(RAMP_SECONDS) * self._frame_bytes
        before, after = (memoryview(segment.peek(size)).cast("h") for segment in (old, new))
        steps = min(len(before), len(after))
        pairs = zip(range(1, steps + 1), before, after, strict=False)
        return memoryview(array("h", [a + (b - a) * i // (steps + 1) for i, a, b in pairs])).cast("B")

    def _stop(self) -> None:
        """Ramp down from the last frame; a run begins with the next one."""
        if self._flowing:
            self._ramp = self._ramp_of(self._last_frame, rising=False)
        elif not self._rises:
            self._ramp = memoryview(b"")  # the ramp before a frame that does not follow now
        self._flowing = False
        self._rises = self.started_at is not None

    def _play_ramp(self, out: memoryview) -> int:
        count = min(len(self._ramp), len(out))
        if count:
            out[:count] = self._ramp[:count]
            self._ramp = self._ramp[count:]
        return count

    def _read_into(self, out: memoryview) -> int:
        again = min(len(self._again), len(out))
        if again:
            out[:again] = self._again[:again]
            self._again = self._again[again:]
        return again + self._segment.read_into(out[again:])

    def _begin_run(self, now: float) -> None:
        self._flowing = True
        self.history.begin_run(now)
        if self.started_at is None:
            self.started_at = now
        if self._resumed_at is not None and self._dry_since is None:
            self.paused_seconds += now - self._resumed_at
        self._resumed_at = None
        self._end_gap(now)

    def _end_gap(self, now: float) -> None:
        """Count the time since the ring ran empty, unless no more was due."""
        if self._dry_since is not None and not self.is_resting:
            gap = Gap(self.position, max(0.0, now - self._dry_since), self.history.seconds)
            self.underruns.append(gap)
            self.underrun_count += 1
            self.underrun_seconds += gap.seconds
            if self._was_held:
                self.rebuffer_count += 1
                self.rebuffer_seconds += gap.seconds
        self._dry_since = None
        self.is_resting = False

    def _run_dry(self, now: float) -> None:
        if self._dry_since is None and self.started_at is not None:
            self._dry_since = now
            self._was_held = self._segment.is_held
            self.is_resting = self._may_rest
            self._stop()
        self._segment.is_open = False  # last, because the pump may then open it again

    def _resume(self, dac_time: float, *, discarded: bool) -> None:
        """Count an underflow of the speech. If the device discarded the last block, queue it again.

        The DAC time can show that, too: it is before the end of that block.
        """
        dry_since = self._next_time
        if dry_since is not None and self.ended_at is None:
            discarded |= dac_time < dry_since - 0.5 * len(self._last) / self._byte_rate
        if self._last and discarded:
            self._again = memoryview(bytes(self._last) + bytes(self._again))
            self._pulled.remove(len(self._last))
            self.history.position -= len(self._last) // self._frame_bytes
            dry_since = self._last_time
            self.ended_at = None
            self.silence_after_end = 0.0
        if not self._flowing or self.ended_at is not None:
            return
        late = 0.0 if dry_since is None else max(0.0, dac_time - dry_since)
        self.history.begin_run(dac_time)
        self.underflows.append(Gap(self.position, late, self.history.seconds))
        self.underflow_count += 1
        self.underflow_seconds += late

    # The thread that owns the device, while no thread pulls.

    def take_back(self, lost_at: float, margin: float) -> float:
        """Queue the frames again that had not left the device at `lost_at`, and return their seconds.

        If there are any, `margin` seconds before them are queued, too, since a device's clock is an estimate.
        """
        history = self.history
        count = history.position - history.position_at(lost_at)
        if count:
            count += self.format.frames(margin)
        pulled = self._pulled.take(count * self._frame_bytes)
        self._again = memoryview(pulled + bytes(self._again))
        history.take_back(len(pulled) // self._frame_bytes)
        if not history.position:
            self.started_at = None
        if pulled:
            self.ended_at = self._dry_since = None
            self.is_resting = False
            self._segment.is_open = True
        self._last = self._ramp = memoryview(b"")
        self._last_time = self._next_time = None
        self._flowing, self._rises = False, self.started_at is not None
        self.silence_after_end = 0.0
        self._lost_at = lost_at
        return len(pulled) / self._byte_rate

    # Any thread.

    @property
    def position(self) -> int:
        """Frames that were pulled."""
        return self.history.position

    @property
    def paused(self) -> float:
        """Seconds of all pauses after the first frame, up to the last pull."""
        since, until = self._paused_since, self._next_time
        if since is None or until is None or self.started_at is None or self.ended_at is not None:
            return self.paused_seconds
        return self.paused_seconds + until - since

    def heard(self, now: float) -> float:
        """Return the seconds of the speech that have left the device at `now`."""
        ended_at = self.ended_at
        if ended_at is not None and now >= ended_at:
            return self.history.seconds  # the device's clock may be faster than its rate
        return self.history.heard(now)

    def spans(self, now: float) -> list[tuple[float, float]]:
        """Return the parts of the speech that have left the device at `now`, in the order of playback, in seconds."""
        return self.history.spans(now, self.heard(now))
