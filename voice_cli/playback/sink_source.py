"""What a sink pulls from: the ring buffer behind a gate, and an account of what went out when.

The gate is closed until the pump opens it (the prebuffer is there, or all is). A ring that runs dry before the end
closes it again: playback pauses, the pump gathers, and opens it again: one hole instead of many, and nothing is lost.

A hole's edges would click. The ramps that prevent it are made of the hole's own silence: 5 ms from the last
sample heard down to zero, and from zero up to the next one. So the frames of the speech themselves are never touched:
each goes out once, in order, as it came. So do those that a device took and threw away: PortAudio starts one that ran
dry anew, on ALSA without what it had been given last.
"""

from array import array
from collections import deque
from typing import NamedTuple

from voice_cli.audio import AudioFormat
from voice_cli.playback.ring_buffer import RingBuffer

RAMP_SECONDS = 0.005

KEPT_EVENTS = 1024
"""How many underruns or underflows are remembered one by one; all are counted."""


class Gap(NamedTuple):
    """A stretch in which the device had nothing of ours to play."""

    frame: int
    """The position in the stream: how many of its frames went out before."""
    seconds: float


class SinkSource:
    """One stream's way to one opened sink. The pump writes, the audio thread pulls; anyone may read the account.

    Times are on `time.monotonic`, and mean the moment at which a frame leaves the device (DAC time).
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
        self._resting = False

        self.pulls = 0
        """How often the sink has asked: a device that lives makes it grow."""
        self.position = 0
        """Frames of the stream that the sink has taken."""
        self.started_at: float | None = None
        """When the first frame left the device."""
        self.ended_at: float | None = None
        """When the last frame has left the device: known once it is taken, and no more will come."""
        self.underruns: deque[Gap] = deque(maxlen=KEPT_EVENTS)
        """The ring ran empty before the end: the network or the backend was too slow."""
        self.underrun_count = 0
        self.underrun_seconds = 0.0
        self.underflows: deque[Gap] = deque(maxlen=KEPT_EVENTS)
        """The device says that it was not served in time: this program or this machine was too slow."""
        self.underflow_count = 0
        self.underflow_seconds = 0.0

    # The pump's side.

    @property
    def buffered(self) -> float:
        """Seconds that wait in the ring."""
        return self._ring.readable / self._byte_rate

    @property
    def is_open(self) -> bool:
        """The sink may take frames. False at first, and after the ring ran dry."""
        return self._open or self._finished

    def write(self, data: bytes | memoryview) -> int:
        """Take what fits of whole frames and return how many bytes that was; never waits."""
        count = self._ring.write(data)
        if count:
            self._last_frame = bytes(data[count - self._frame_bytes : count])
        return count

    def room_in(self, size: int) -> float:
        """Seconds until `size` bytes fit (or the whole ring, if they never do), if the device takes them now."""
        size = min(size, self._ring.writable + self._ring.readable)
        return max(0.0, (size - self._ring.writable) / self._byte_rate)

    def open_gate(self) -> None:
        """Let the sink take frames from its next pull on."""
        self._open = True

    def rest(self, *, expected: bool) -> None:
        """Say whether a ring that runs dry now is no underrun: what was written is complete, and more is not due."""
        self._may_rest = expected

    @property
    def rested(self) -> float | None:
        """Seconds of silence since the ring ran dry at a rest, up to the last pull; None: it did not."""
        since, until = self._dry_since, self._next_time
        return max(0.0, until - since) if self._resting and since is not None and until is not None else None

    @property
    def is_resting(self) -> bool:
        """The ring ran dry when no more was due."""
        return self._resting

    def finish(self) -> None:
        """Say that all has been written; what is in the ring goes out, however little it is."""
        self._finished = True

    def _ramp_of(self, frame: bytes, *, rising: bool) -> memoryview:
        samples = memoryview(frame).cast("h")
        steps = self.format.frames(RAMP_SECONDS)
        order = range(1, steps + 1) if rising else range(steps, 0, -1)
        return memoryview(array("h", [s * i // (steps + 1) for i in order for s in samples])).cast("B")

    # The audio thread's side.

    def pull(self, out: memoryview, dac_time: float, underflow: bool = False) -> None:
        """Fill `out` (whole frames, as bytes) with what is to leave the device from `dac_time` on.

        Copies, fills the rest with silence, counts; waits for nothing, raises nothing.
        """
        self.pulls += 1
        size = len(out)
        if underflow and self._flowing and self.ended_at is None:
            self._resume(dac_time)
        self._last_time, self._next_time = self._next_time, dac_time + size / self._byte_rate
        is_open = self.is_open  # read once: a gate that opens after this line opens for the next pull
        if is_open and self._rises and (first := self._ring.peek(self._frame_bytes)):
            self._ramp = self._ramp_of(first, rising=True)
            self._rises = False
        filled = self._play_ramp(out)
        if is_open and filled < size and self.ended_at is None:
            finished = self._finished  # before the ring is read: what is written before it is set is then seen
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
        elif self._dry_since is not None and not self._resting:
            gap = Gap(self.position, now - self._dry_since)
            self.underruns.append(gap)
            self.underrun_count += 1
            self.underrun_seconds += gap.seconds
        self._dry_since = None
        self._resting = False

    def _run_dry(self, now: float) -> None:
        if self._flowing:
            self._flowing = False
            self._dry_since = now
            self._resting = self._may_rest
            self._ramp = self._ramp_of(self._last_frame, rising=False)
            self._rises = True
        self._open = False  # last: from now on the pump may open it again

    def _resume(self, dac_time: float) -> None:
        """Count an underflow. Where the clock went back over the last block, that was thrown away: it goes again."""
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

    # The account.

    def time_of(self, frame: int) -> float | None:
        """Tell when that frame of the stream left (or will leave) the device; None if it has not been taken."""
        if frame >= self.position:
            return None
        for first, started in reversed(self._runs):
            if first <= frame:
                return started + (frame - first) / self.format.rate
        return None

    def heard(self, now: float) -> float:
        """Tell how many seconds of the stream have left the device by that time."""
        if self.ended_at is not None and now >= self.ended_at:
            return self.format.seconds(self.position)  # the device's clock may be quicker than its rate says
        for first, started in reversed(self._runs):
            if started <= now:
                return min(self.format.seconds(first) + now - started, self.format.seconds(self.position))
        return 0.0
