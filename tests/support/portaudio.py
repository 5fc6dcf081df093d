"""A fake PortAudio: the part of python-sounddevice that DeviceSink uses."""

from types import SimpleNamespace


class PortAudioError(Exception):
    pass


class FakeStream:
    latency = 0.031

    def __init__(self, owner, options):
        self.owner = owner
        self.options = options
        self.active = False
        self.aborted = self.closed = False

    def start(self):
        if self.owner.start_fails:
            raise PortAudioError("Error starting stream: Device unavailable", -9985)
        self.active = True

    def abort(self, ignore_errors=True):
        self.active, self.aborted = False, True

    def close(self, ignore_errors=True):
        self.closed = True

    def pull(self, frames, *, adc=None, underflow=False):
        """Call the callback as PortAudio does, and return the block."""
        block = bytearray(frames * 2 * self.options["channels"])
        clock = SimpleNamespace(currentTime=500.0, outputBufferDacTime=0.0 if adc is None else 500.0 + adc)
        self.options["callback"](block, frames, clock, SimpleNamespace(output_underflow=underflow))
        return bytes(block)


class FakeSoundDevice:
    """The part of python-sounddevice that DeviceSink uses."""

    PortAudioError = PortAudioError

    def __init__(self):
        self.devices = [
            {
                "name": "mic",
                "hostapi": 0,
                "max_output_channels": 0,
                "default_samplerate": 44100.0,
                "default_low_output_latency": 0.0,
            },
            {
                "name": "speakers",
                "hostapi": 0,
                "max_output_channels": 2,
                "default_samplerate": 48000.0,
                "default_low_output_latency": 0.01,
            },
        ]
        self.default = SimpleNamespace(device=(0, 1))
        self.refused = lambda _rate, _channels: False
        self.start_fails = False
        self.tried = []
        self.streams = []
        self.initialized = 0
        """How often the devices were listed again."""
        self.initialize_fails = False
        self._initialized = 1

    def _terminate(self):
        assert self._initialized
        assert all(stream.closed for stream in self.streams), "PortAudio cannot be ended with an open stream"
        self._initialized -= 1

    def _initialize(self):
        if self.initialize_fails:
            raise PortAudioError("Error initializing PortAudio")
        self.initialized += 1
        self._initialized += 1

    def query_hostapis(self):
        return ({"name": "ALSA"},)

    def query_devices(self, device=None, kind=None):
        if kind is None:
            return self.devices
        if device == "two":
            raise ValueError("Multiple output devices found for 'two'")
        if device in (None, 1, "speak", "speakers") and self.devices:
            return self.devices[-1]
        raise PortAudioError(f"Error querying device {device}")

    def RawOutputStream(self, **options):  # noqa: N802  sounddevice's name
        self.tried.append((options["samplerate"], options["channels"]))
        if self.refused(options["samplerate"], options["channels"]):
            raise PortAudioError("Error opening RawOutputStream: Invalid sample rate [PaErrorCode -9997]", -9997)
        self.streams.append(FakeStream(self, options))
        return self.streams[-1]
