"""A simulated device, like mpv's `ao_null.c`."""

from voice_cli.audio import AudioFormat
from voice_cli.errors import DeviceError
from voice_cli.playback.sinks.base import Pull, Sink


class NullSink(Sink):
    """A sink that pulls only in `step`, with exact DAC times. Its clock starts at `now` and advances with frames."""

    def __init__(
        self,
        *,
        latency: float = 0.02,
        now: float = 0.0,
        rates: tuple[int, ...] | None = None,
        channels: int | None = None,
    ) -> None:
        self._latency = latency
        self._rates = rates
        self._channels = channels
        self._pull: Pull | None = None
        self.format: AudioFormat | None = None
        self.now = now
        """Seconds: the simulated clock."""
        self.heard = bytearray()
        """All bytes pulled since `open`, silence included."""
        self.opened: list[AudioFormat] = []
        self.reopened = 0
        """How often it was opened again."""
        self.refuses = 0
        """How often it cannot be opened again."""
        self._pulled_at = 0.0

    def open(self, wanted: AudioFormat) -> AudioFormat:
        if self._rates is not None and not self._rates:
            raise DeviceError("the null device supports no rate")
        rate = wanted.rate if self._rates is None or wanted.rate in self._rates else self._rates[0]
        self.format = AudioFormat(rate, self._channels or wanted.channels)
        self.opened.append(self.format)
        self.heard.clear()
        self._pull = None
        return self.format

    def start(self, pull: Pull) -> None:
        if self.format is None:
            raise RuntimeError("start() before open()")
        self._pull = pull

    def step(self, frames: int, *, underflow: bool = False, discarded: bool = False) -> bytes:
        """Pull one block of that many frames and return it."""
        if self._pull is None or self.format is None:
            raise RuntimeError("step() before start()")
        block = bytearray(frames * self.format.frame_bytes)
        self._pulled_at = self.now
        self._pull(memoryview(block), self.now + self._latency, underflow, discarded)
        self.heard += block
        self.now += frames / self.format.rate
        return bytes(block)

    def reopen(self, wanted: AudioFormat) -> AudioFormat:
        """Open again; `heard` continues, in the new format."""
        self.close()
        if self.refuses:
            self.refuses -= 1
            raise DeviceError("the null device is gone")
        heard = bytes(self.heard)
        opened = self.open(wanted)
        self.heard += heard
        self.reopened += 1
        return opened

    def close(self) -> None:
        self._pull = None

    @property
    def pulled_at(self) -> float:
        return self._pulled_at

    @property
    def name(self) -> str | None:
        return None

    @property
    def latency(self) -> float:
        return self._latency

    @property
    def is_alive(self) -> bool:
        return self._pull is not None
