"""The interface of sinks."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from voice_cli.audio import AudioFormat

Pull = Callable[[memoryview, float, bool, bool], None]
"""`pull(out, dac_time, underflow, discarded)`; see `Sink.start`."""


class Sink(ABC):
    """An audio output. One thread calls all methods; the sink calls `pull` on a thread of its own."""

    @abstractmethod
    def open(self, wanted: AudioFormat) -> AudioFormat:
        """Open the device, at `wanted` if it supports that, and return its format.

        The device plays at most silence until `start`. An open sink may be opened again for another format; its
        buffered frames are dropped.

        Raises:
            DeviceError: the device cannot be opened.

        """

    @abstractmethod
    def start(self, pull: Pull) -> None:
        """Start to call `pull(out, dac_time, underflow, discarded)` on the sink's thread for every block.

        The first calls fill the device's buffer, so `latency` seconds should be available. `out` has whole frames;
        `dac_time` (seconds, `time.monotonic`) is when the first one leaves the device; `underflow` is whether the
        device ran out of data before this block, and `discarded` whether it then dropped the block before this one,
        which came too late.

        Raises:
            DeviceError: the device cannot be started.

        """

    @abstractmethod
    def reopen(self, wanted: AudioFormat) -> AudioFormat:
        """Close a device that has stopped by itself, and open it again, as `open`; if it is the default, the new one.

        Raises:
            DeviceError: it cannot be opened now; it may be tried again.

        """

    @abstractmethod
    def close(self) -> None:
        """Stop at once and close the device; its buffered frames are dropped. Never raises."""

    @property
    @abstractmethod
    def latency(self) -> float:
        """Seconds from a pull until its first frame leaves the device; 0 before `open`."""

    @property
    @abstractmethod
    def pulled_at(self) -> float:
        """When `pull` was called last, on `time.monotonic`; 0 before."""

    @property
    @abstractmethod
    def name(self) -> str | None:
        """The name of the device; None: whichever is the system's default."""

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """Whether the device is started and active."""
