"""What a sink pulls from: a ring buffer behind a gate, and a record of which frames were played when.

The gate is closed until the pump opens it, when the prebuffer or the whole speech is buffered. If the ring runs empty
before the end, the gate closes again until the pump has buffered more: one long pause instead of many short ones.

At the edges of a pause, ramps of 5 ms prevent clicks: from the last sample to zero, and from zero to the next one. They
replace silence, so every frame of the speech is played once, in order and unchanged. If the device discards its last
block after an underflow, as PortAudio does on ALSA, that block is played again.
"""

from array import array
from collections import deque
from typing import NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.playback.ring_buffer import RingBuffer

RAMP_SECONDS = 0.005

KEPT_EVENTS = 1024
"""How many underruns or underflows are kept one by one; all are counted."""


class Gap(NamedTuple):
    """A time in which the device had no frames of ours to play."""

    frame: int
    """Frames of the stream that were played before."""
    seconds: float


class SinkSource:
    """The frames of one stream for one opened sink. The pump writes, the audio thread pulls; any thread may read.

    Times are on `time.monotonic`, at the moment when a frame leaves the device (DAC time).
    """

    def __init__(self, audio_format: AudioFormat, capacity_seconds: float) -> None:
        self.format = audio_format
        self._frame_bytes = audio_format.frame_bytes
        self._byte_rate = audio_format.rate * audio_format.frame_bytes
        self._ring = RingBuffer(audio_format.frames(capacity_seconds) * audio_format.frame_bytes)
        self._open = False
        self._finished = False
        self._flowing = False
        self._ramp = memoryview(b"")
        self._rises = False
        self._last_frame = bytes(audio_format.frame_bytes)
        self._runs: deque[tuple[int, float]] = deque(maxlen=KEPT_EVENTS)
        self._dry_since: float | None = None
        self._next_time: float | None = None
        self._last = self._again = memoryview(b"")
        self._last_time: float | None = None
        self._may_rest = False
        self._silence_after_end = 0.0

        self.pulls = 0
        """Calls of `pull`; a working device increases it."""
        self.is_resting = False
        """Whether the ring ran empty when no more was due."""
        self.position = 0
        """Frames of the stream that were pulled."""
        self.started_at: float | None = None
        """When the first frame leaves the device; None until it is pulled."""
        self.ended_at: float | None = None
        """When the last frame has left the device; None until it is pulled and `finish` was called. Each later pull
        measures it again, and may move it back."""
        self.underruns: deque[Gap] = deque(maxlen=KEPT_EVENTS)
        """The ring ran empty before the end: the network or the backend was too slow."""
        self.underrun_count = 0
        self.underrun_seconds = 0.0
        self.underflows: deque[Gap] = deque(maxlen=KEPT_EVENTS)
        """The device was not served in time: this program or machine was too slow."""
        self.underflow_count = 0
        self.underflow_seconds = 0.0

    # The pump's thread.

    @property
    def buffered(self) -> float:
        """Seconds of audio in the ring."""
        return self._ring.readable / self._byte_rate

    @property
    def is_open(self) -> bool:
        """Whether the sink gets frames. False at first, and after the ring ran empty."""
        return self._open or self._finished

    def write(self, data: bytes | memoryview) -> int:
        """Write the whole frames that fit, without waiting, and return the number of bytes."""
        count = self._ring.write(data)
        if count:
            self._last_frame = bytes(data[count - self._frame_bytes : count])
        return count

    def room_in(self, size: int) -> float:
        """Return the seconds of playback until `size` bytes fit, or until the ring is empty if they never do."""
        size = min(size, self._ring.writable + self._ring.readable)
        return max(0.0, (size - self._ring.writable) / self._byte_rate)

    def open_gate(self) -> None:
        """Open the gate, from the next pull on."""
        self._open = True

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
        self._finished = True

    def _ramp_of(self, frame: bytes, *, rising: bool) -> memoryview:
        samples = memoryview(frame).cast("h")
        steps = self.format.frames(RAMP_SECONDS)
        order = range(1, steps + 1) if rising else range(steps, 0, -1)
        return memoryview(array("h", [s * i // (steps + 1) for i in order for s in samples])).cast("B")

    # The audio thread.

    def pull(self, out: memoryview, dac_time: float, underflow: bool = False) -> None:
        """Fill `out` (bytes of whole frames), whose first frame leaves the device at `dac_time`.

        Copies, fills the rest with silence, and counts; never blocks or raises.
        """
        self.pulls += 1
        size = len(out)
        if underflow and self._flowing and self.ended_at is None:
            self._resume(dac_time)
        self._last_time, self._next_time = self._next_time, dac_time + size / self._byte_rate
        if self.ended_at is not None:
            self.ended_at = max(self.ended_at, dac_time - self._silence_after_end)
            self._silence_after_end += size / self._byte_rate
        is_open = self.is_open  # read once: a gate that opens after this line opens for the next pull
        if is_open and self._rises and (first := self._ring.peek(self._frame_bytes)):
            self._ramp = self._ramp_of(first, rising=True)
            self._rises = False
        filled = self._play_ramp(out)
        if is_open and filled < size and self.ended_at is None:
            finished = self._finished  # read before the ring, so that all frames written before `finish` are seen
            available = self._ring.readable
            if available and not self._flowing:
                self._begin_run(dac_time + filled / self._byte_rate)
            count = self._read_into(out[filled:])
            self._last = memoryview(bytes(out[filled : filled + count]))
            filled += count
            self.position += count // self._frame_bytes
            if filled < size:
                now = dac_time + filled / self._byte_rate
                if finished:
                    self.ended_at = now if count or self._dry_since is None else self._dry_since
                    self._silence_after_end = dac_time + size / self._byte_rate - self.ended_at
                else:
                    self._run_dry(now)
                    filled += self._play_ramp(out[filled:])
        if filled < size:
            out[filled:] = bytes(size - filled)

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
        return again + self._ring.read_into(out[again:])

    def _begin_run(self, now: float) -> None:
        self._flowing = True
        self._runs.append((self.position, now))
        if self.started_at is None:
            self.started_at = now
        elif self._dry_since is not None and not self.is_resting:
            gap = Gap(self.position, now - self._dry_since)
            self.underruns.append(gap)
            self.underrun_count += 1
            self.underrun_seconds += gap.seconds
        self._dry_since = None
        self.is_resting = False

    def _run_dry(self, now: float) -> None:
        if self._flowing:
            self._flowing = False
            self._dry_since = now
            self.is_resting = self._may_rest
            self._ramp = self._ramp_of(self._last_frame, rising=False)
            self._rises = True
        self._open = False  # last, because the pump may then open it again

    def _resume(self, dac_time: float) -> None:
        """Count an underflow. If the DAC time shows that the device discarded the last block, queue it again."""
        dry_since = self._next_time
        if self._last and dry_since is not None and dac_time < dry_since - 0.5 * len(self._last) / self._byte_rate:
            self._again = memoryview(bytes(self._last) + bytes(self._again))
            self.position -= len(self._last) // self._frame_bytes
            dry_since = self._last_time
        late = 0.0 if dry_since is None else max(0.0, dac_time - dry_since)
        self._runs.append((self.position, dac_time))
        self.underflows.append(Gap(self.position, late))
        self.underflow_count += 1
        self.underflow_seconds += late

    # Any thread.

    def time_of(self, frame: int) -> float | None:
        """Return when a frame leaves the device; None if it has not been pulled."""
        if frame >= self.position:
            return None
        for first, started in reversed(self._runs):
            if first <= frame:
                return started + (frame - first) / self.format.rate
        return None

    def heard(self, now: float) -> float:
        """Return the seconds of the stream that have left the device at `now`."""
        if self.ended_at is not None and now >= self.ended_at:
            return self.format.seconds(self.position)  # the device's clock may be faster than its rate
        for first, started in reversed(self._runs):
            if started <= now:
                return min(self.format.seconds(first) + now - started, self.format.seconds(self.position))
        return 0.0
