"""A real audio device without a sound card: PulseAudio's null sinks, and what their monitors heard.

A null sink at the stream's own rate and channels passes samples on bit for bit. Idle, it renders in blocks of two
seconds: the recorder, which asks for 5 ms, has to run before anything is played.
"""

import bisect
import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

from support.environment import clean

SINKS = {
    "ear": (24000, 1),
    "ear22": (22050, 1),
    "ear44": (44100, 1),
    "ear48": (48000, 1),
    "stereo": (44100, 2),
}
"""Name to rate (Hz) and channels."""

TOOLS = ("pulseaudio", "pactl", "parec")
VOICE = (sys.executable, "-m", "voice_cli")

ASOUND = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing() -> str | None:
    """Say what this machine lacks for a real audio device."""
    gone = [tool for tool in TOOLS if shutil.which(tool) is None]
    if gone:
        return f"not installed: {', '.join(gone)} (apt install pulseaudio pulseaudio-utils)"
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        return "not installed: ALSA's pulse plugin (apt install libasound2-plugins)"
    return None


class AudioServer:
    """A PulseAudio of our own, with the null sinks; `environment()` points a program at one of them."""

    def __init__(self, folder: Path) -> None:
        # What is under test is not how a machine copes that has too much to do: those who listen and play go first,
        # where they may (as root, on CI). Programs that are started from here inherit it.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, -10)
        self._folder = folder
        self._socket = folder / "native"
        (folder / "asound.conf").write_text(ASOUND)
        modules = [f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"]
        for name, (rate, channels) in SINKS.items():
            layout = "mono" if channels == 1 else "front-left,front-right"
            modules.append(
                f"module-null-sink sink_name={name} rate={rate} channels={channels} channel_map={layout} format=s16le"
                " norewinds=1"  # else a stream that starts takes back what the monitor has heard already
            )
        command = [
            "pulseaudio",
            "-n",
            "--daemonize=no",
            "--exit-idle-time=-1",
            "--use-pid-file=no",
            "--realtime=no",
        ]
        for module in modules:
            command += ["-L", module]
        self._monitors: dict[str, Monitor] = {}
        self._log = (folder / "pulseaudio.log").open("wb")
        home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
        self.process = subprocess.Popen(command, env={**os.environ, **home}, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 20
        while subprocess.run(["pactl", "info"], env=self.environment(), capture_output=True, check=False).returncode:
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.close()
                raise RuntimeError((folder / "pulseaudio.log").read_text())

    def environment(self, sink: str = "ear", *, latency: float | None = None) -> dict[str, str]:
        """Return the environment of a program that plays on that sink, without this machine's own settings.

        With `latency` (seconds), the program finds that as the learned latency of the device: a busy machine then
        makes no holes. Use it where neither the time to the first sound nor the device's buffer is tested.
        """
        learned = {}
        if latency is not None:
            path = self._folder / "voice" / "learned.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"devices": {"default": {"latency": latency, "clean": 0}}}))
            learned = {"XDG_STATE_HOME": str(self._folder)}
        return clean(
            **learned,
            HOME=str(self._folder),
            PULSE_SERVER=f"unix:{self._socket}",
            PULSE_SINK=sink,
            ALSA_CONFIG_PATH=str(self._folder / "asound.conf"),
            PYTHONDONTWRITEBYTECODE="",
        )

    def record(self, sink: str = "ear") -> "Recording":
        """Listen to that sink for the length of a `with` block."""
        if sink not in self._monitors:
            self._monitors[sink] = Monitor(self.environment(sink), sink)
        return Recording(self._monitors[sink])

    def longest_stall(self, since: float) -> float:
        """Return the longest time (seconds) that a recorder, due every 5 ms, received nothing after `since`."""
        return max((monitor.longest_stall(since) for monitor in self._monitors.values()), default=0.0)

    def close(self) -> None:
        for monitor in self._monitors.values():
            monitor.close()
        self.process.terminate()
        self.process.wait(10)
        self._log.close()


class Monitor:
    """A recorder that runs on and on: a sink that somebody listens to never falls idle."""

    def __init__(self, environment: dict[str, str], sink: str) -> None:
        self.rate, self.channels = SINKS[sink]
        command = ["parec", f"--device={sink}.monitor", "--latency-msec=5", "--format=s16le", "--raw"]
        command += [f"--rate={self.rate}", f"--channels={self.channels}"]
        self.data = bytearray()
        self.times: list[tuple[float, int]] = []
        """When the recording had grown to how many bytes."""
        self.grown = threading.Condition()
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for(0.1)

    def _read(self) -> None:
        descriptor = self._process.stdout.fileno()
        while data := os.read(descriptor, 65536):
            with self.grown:
                self.data += data
                self.times.append((time.monotonic(), len(self.data)))
                self.grown.notify_all()

    def longest_stall(self, since: float) -> float:
        with self.grown:
            times = [at for at, _ in self.times if at >= since]
        return max((later - at for at, later in itertools.pairwise(times)), default=0.0)

    def wait_for(self, seconds: float) -> None:
        """Wait until that much more was recorded."""
        wanted = len(self.data) + int(seconds * self.rate) * 2 * self.channels
        with self.grown:
            if not self.grown.wait_for(lambda: len(self.data) >= wanted, timeout=20):
                raise RuntimeError("the recorder delivers nothing")

    def wait_for_silence(self) -> None:
        """Wait until whatever was played before has been heard: 100 ms of silence."""
        for _ in range(50):
            begins = len(self.data)
            self.wait_for(0.1)
            if not any(self.data[begins:]):
                return
        raise RuntimeError("the sink does not fall silent")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()


class Recording:
    """What was heard while this context was open, and a little after. `samples`: (frames, channels) int16."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.rate, self.channels = monitor.rate, monitor.channels
        self._first = self._last = 0

    def __enter__(self) -> "Recording":
        self._monitor.wait_for_silence()
        self._first = len(self._monitor.data) // (2 * self.channels) * 2 * self.channels
        return self

    def __exit__(self, *_exc: object) -> None:
        self._monitor.wait_for(0.3)
        self._last = len(self._monitor.data)

    def wait_for_sound(self, timeout: float = 20.0) -> float:
        """Wait until something is heard and give the time (`time.monotonic`) at which it was."""
        deadline = time.monotonic() + timeout
        with self._monitor.grown:
            while True:
                heard = np.flatnonzero(self.samples.any(axis=1))
                if heard.size:
                    return self.time_of(int(heard[0]))
                if not self._monitor.grown.wait(deadline - time.monotonic()):
                    raise RuntimeError("nothing was heard")

    def wait_for(self, seconds: float) -> None:
        """Wait until that much more was recorded, be it silence."""
        self._monitor.wait_for(seconds)

    @property
    def samples(self) -> np.ndarray:
        data = bytes(self._monitor.data[self._first : self._last or None])
        return np.frombuffer(data[: len(data) // (2 * self.channels) * 2 * self.channels], "<i2").reshape(
            -1, self.channels
        )

    def time_of(self, frame: int) -> float:
        """Tell when that frame arrived here: some 5 ms after it was heard."""
        at = self._first + (frame + 1) * 2 * self.channels
        times = self._monitor.times
        return times[bisect.bisect_left(times, at, key=lambda entry: entry[1])][0]

    def exact_time_of(self, frame: int) -> float:
        """Tell when that frame was heard: the recorder's packets come late, but never early."""
        frame_bytes = 2 * self.channels
        seconds = 1 / (self.rate * frame_bytes)
        recent = [entry for entry in self._monitor.times if entry[1] > self._first]
        return min(at - size * seconds for at, size in recent) + (self._first + frame * frame_bytes) * seconds

    @property
    def sound(self) -> np.ndarray:
        """What was heard, without the silence before and after."""
        samples = self.samples
        heard = np.flatnonzero(samples.any(axis=1))
        return samples[heard[0] : heard[-1] + 1] if heard.size else samples[:0]


def speech(seconds: float, rate: int = 24000, channels: int = 1, seed: int = 1) -> np.ndarray:
    """Make a signal that no two places of are alike, with syllables, and no sample 0: (frames, channels) int16."""
    frames = int(seconds * rate)
    noise = np.random.default_rng(seed).normal(0, 1, (frames, channels))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(frames) / rate)[:, None]
    samples = np.clip(np.round(noise * syllables * 4000), -32768, 32767).astype("<i2")
    samples[samples == 0] = 1
    return samples


def holes(heard: np.ndarray, rate: int, shortest: float = 0.001) -> list[tuple[int, int]]:
    """Find the runs of digital silence inside: (first frame, frames)."""
    silent = np.concatenate(([0], (~heard.any(axis=1)).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(silent))
    return [
        (int(first), int(last - first))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if last - first >= shortest * rate
    ]
