"""The sinks' seam. A sink decides nothing: it takes what it is given, when its clock says so."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from voice_cli.audio import AudioFormat


class Sink(ABC):
    """One place where sound leaves. All methods are called by one thread; `pull` is called back on the sink's own."""

    @abstractmethod
    def open(self, wanted: AudioFormat) -> AudioFormat:
        """Take hold of the device, at that format if it can, and say at which it is.

        This plays nothing but silence, if anything: `start` plays. An opened sink may be opened again for another
        format; what it was playing is dropped.

        Raises:
            DeviceError: there is none, or it cannot be had.

        """

    @abstractmethod
    def start(self, pull: Callable[[memoryview, float, bool], None]) -> None:
        """Call `pull(out, dac_time, underflow)` from now on, on the sink's own thread, for every block.

        The first calls come in a row, until the device has all that it holds: `latency` seconds should be there.

        `out` holds whole frames; `dac_time` (seconds, `time.monotonic`) is when its first one leaves the device;
        `underflow` says that the device ran out of data before this block.

        Raises:
            DeviceError: it does not start.

        """

    @abstractmethod
    def close(self) -> None:
        """Stop at once and let go of the device; what it holds but has not played is dropped. Never raises."""

    @property
    @abstractmethod
    def latency(self) -> float:
        """Seconds from a pull to the moment at which its first frame leaves; 0 before `open`."""

    @property
    @abstractmethod
    def is_alive(self) -> bool:
        """Started, and still pulling as far as the system says."""
