"""An audio device without a sound card: PulseAudio's null sinks, recorded from their monitors.

A null sink with the stream's rate and channels passes samples unchanged. An idle sink renders in blocks of two
seconds, so the recorder, which requests 5 ms, must run before playback starts.
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
    "other": (24000, 1),
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
    """Return what is not installed for the audio tests, or None."""
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        return f"not installed: {', '.join(absent)} (apt install pulseaudio pulseaudio-utils)"
    if not any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so")):
        return "not installed: ALSA's pulse plugin (apt install libasound2-plugins)"
    return None


def null_sink(name: str) -> list[str]:
    """Return the module of a sink, with its arguments."""
    rate, channels = SINKS[name]
    return [
        "module-null-sink",
        f"sink_name={name}",
        f"rate={rate}",
        f"channels={channels}",
        f"channel_map={'mono' if channels == 1 else 'front-left,front-right'}",
        "format=s16le",
        "norewinds=1",  # else a new stream rewinds audio that the monitor has already recorded
    ]


class AudioServer:
    """A separate PulseAudio server with the null sinks; `environment()` selects one for a program."""

    def __init__(self, folder: Path) -> None:
        # The tests do not test playback under load, so raise the priority where permitted (as root, on CI).
        # Child processes inherit it.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, -10)
        self._folder = folder
        self._through_agent = "VOICE_TEST_AGENT" in os.environ
        """Whether `voice say` of the tests speaks through the agent, which the first one starts."""
        self._agents: set[str] = set()
        self._socket = folder / "native"
        """For programs."""
        self._tools_socket = folder / "tools"
        """For recorders and `pactl`."""
        (folder / "asound.conf").write_text(ASOUND)
        self._monitors: dict[str, Monitor] = {}
        self._log = (folder / "pulseaudio.log").open("wb")
        self._start(self._socket, self._tools_socket)

    def _start(self, *sockets: Path) -> None:
        modules = [f"module-native-protocol-unix auth-anonymous=1 socket={socket}" for socket in sockets]
        modules += [" ".join(null_sink(name)) for name in SINKS]
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
        home = {"HOME": str(self._folder), "XDG_RUNTIME_DIR": str(self._folder)}
        self.process = subprocess.Popen(command, env={**os.environ, **home}, stdout=self._log, stderr=self._log)
        deadline = time.monotonic() + 20
        while subprocess.run(["pactl", "info"], env=self._tools(), capture_output=True, check=False).returncode:
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.close()
                raise RuntimeError((self._folder / "pulseaudio.log").read_text())

    def pactl(self, *arguments: str) -> str:
        """Run `pactl` and return its output."""
        done = subprocess.run(["pactl", *arguments], env=self._tools(), capture_output=True, text=True, check=True)
        return done.stdout

    def kill(self) -> None:
        """Kill the server, as a crash does."""
        self.process.kill()
        self.process.wait(10)

    def restart(self) -> None:
        """Start the server again after `kill`; programs can connect once the recorders record."""
        self._start(self._tools_socket)
        for monitor in self._monitors.values():
            monitor.reconnect()
        self._socket.unlink(missing_ok=True)
        self.pactl("load-module", "module-native-protocol-unix", "auth-anonymous=1", f"socket={self._socket}")

    def make_default(self, sink: str) -> None:
        """Make a sink the default one."""
        self.pactl("set-default-sink", sink)

    def add(self, sink: str) -> None:
        """Add a sink that was removed, as when its device is connected again."""
        self.pactl("load-module", *null_sink(sink))

    def remove(self, sink: str) -> None:
        """Remove a sink, as when its device is unplugged. It is not recorded any more."""
        self.pactl("unload-module", self.module_of(sink))
        monitor = self._monitors.pop(sink, None)
        if monitor is not None:
            monitor.close()

    def module_of(self, sink: str) -> str:
        """Return the number of the module of a sink."""
        modules = self.pactl("list", "short", "modules").splitlines()
        (module,) = [line.split()[0] for line in modules if f"sink_name={sink} " in line]
        return module

    def _tools(self) -> dict[str, str]:
        return {**self.environment(), "PULSE_SERVER": f"unix:{self._tools_socket}"}

    def environment(self, sink: str | None = "ear", *, latency: float | None = None) -> dict[str, str]:
        """Return the environment of a program that plays on that sink (None: the default one).

        It has none of this machine's settings.

        `latency` (seconds) is stored as the device's learned latency, to prevent underruns on a busy machine. Use it
        where neither the time to first audio nor the device's buffer is tested.
        """
        learned = {}
        if latency is not None:
            path = self._folder / "voice" / "learned.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"devices": {"default": {"latency": latency, "clean": 0}}}))
            learned = {"XDG_STATE_HOME": str(self._folder)}
        agent = {}
        if self._through_agent:
            folder = self._folder / f"run-{sink}-{latency}"
            folder.mkdir(exist_ok=True, mode=0o700)
            self._agents.add(str(folder))
            agent = {"XDG_RUNTIME_DIR": str(folder), "VOICE_AGENT": "on"}
        return clean(
            **learned,
            **agent,
            HOME=str(self._folder),
            PULSE_SERVER=f"unix:{self._socket}",
            **({} if sink is None else {"PULSE_SINK": sink}),
            ALSA_CONFIG_PATH=str(self._folder / "asound.conf"),
            PYTHONDONTWRITEBYTECODE="",
        )

    def record(self, sink: str = "ear") -> "Recording":
        """Record that sink during a `with` block."""
        if sink not in self._monitors:
            self._monitors[sink] = Monitor(self._tools(), sink)
        return Recording(self._monitors[sink])

    def longest_stall(self, since: float) -> float:
        """Return the longest time (seconds) that a recorder, due every 5 ms, received nothing after `since`."""
        return max((monitor.longest_stall(since) for monitor in self._monitors.values()), default=0.0)

    def close(self) -> None:
        for folder in self._agents:
            end = [*VOICE, "agent", "stop", "--now"]
            subprocess.run(end, env=clean(XDG_RUNTIME_DIR=folder), check=False, timeout=20)
        for monitor in self._monitors.values():
            monitor.close()
        self.process.terminate()
        self.process.wait(10)
        self._log.close()


class Monitor:
    """A recorder that runs continuously, so that the sink never becomes idle."""

    def __init__(self, environment: dict[str, str], sink: str) -> None:
        self.rate, self.channels = SINKS[sink]
        self._command = ["parec", f"--device={sink}.monitor", "--latency-msec=5", "--format=s16le", "--raw"]
        self._command += [f"--rate={self.rate}", f"--channels={self.channels}"]
        self._environment = environment
        self.data = bytearray()
        self.times: list[tuple[float, int]] = []
        """(Time, bytes recorded by then)."""
        self._first_time = 0
        """The first time on the server that runs now."""
        self.grown = threading.Condition()
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for(0.1)

    def reconnect(self) -> None:
        """Continue the recording on a server that was started again."""
        self.close()
        del self.data[len(self.data) // (2 * self.channels) * 2 * self.channels :]
        self._first_time = len(self.times)
        self._start()

    def _read(self) -> None:
        descriptor = self._process.stdout.fileno()
        while data := os.read(descriptor, 65536):
            with self.grown:
                self.data += data
                self.times.append((time.monotonic(), len(self.data)))
                self.grown.notify_all()

    def longest_stall(self, since: float) -> float:
        with self.grown:
            times = [at for at, _ in self.times[self._first_time :] if at >= since]
        return max((later - at for at, later in itertools.pairwise(times)), default=0.0)

    def wait_for(self, seconds: float) -> None:
        """Wait until that many more seconds are recorded."""
        wanted = len(self.data) + int(seconds * self.rate) * 2 * self.channels
        with self.grown:
            if not self.grown.wait_for(lambda: len(self.data) >= wanted, timeout=20):
                raise RuntimeError("the recorder receives no data")

    def wait_for_silence(self) -> None:
        """Wait for 100 ms of silence, so that earlier playback has ended."""
        for _ in range(50):
            begins = len(self.data)
            self.wait_for(0.1)
            if not any(self.data[begins:]):
                return
        raise RuntimeError("the sink does not become silent")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)
        self._process.stdout.close()


class Recording:
    """Audio recorded during this context and 0.3 s after. `samples`: (frames, channels) int16."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self.rate, self.channels = monitor.rate, monitor.channels
        self._first = self._last = 0

    def __enter__(self) -> "Recording":
        self._monitor.wait_for_silence()
        self._first = len(self._monitor.data) // (2 * self.channels) * 2 * self.channels
        return self

    def __exit__(self, *_exc: object) -> None:
        if not self._last:
            self._monitor.wait_for(0.3)
            self._last = len(self._monitor.data)

    def stop(self) -> None:
        """End the recording of a sink that may be gone."""
        self._last = len(self._monitor.data)

    def wait_for_sound(self, timeout: float = 20.0) -> float:
        """Wait for sound and return the time (`time.monotonic`) of its first frame."""
        deadline = time.monotonic() + timeout
        with self._monitor.grown:
            while True:
                heard = np.flatnonzero(self.samples.any(axis=1))
                if heard.size:
                    return self.time_of(int(heard[0]))
                if not self._monitor.grown.wait(deadline - time.monotonic()):
                    raise RuntimeError("no sound was recorded")

    def wait_for(self, seconds: float) -> None:
        """Wait until that many more seconds are recorded, silent or not."""
        self._monitor.wait_for(seconds)

    @property
    def samples(self) -> np.ndarray:
        data = bytes(self._monitor.data[self._first : self._last or None])
        return np.frombuffer(data[: len(data) // (2 * self.channels) * 2 * self.channels], "<i2").reshape(
            -1, self.channels
        )

    def time_of(self, frame: int) -> float:
        """Return when that frame was received, about 5 ms after it was played."""
        at = self._first + (frame + 1) * 2 * self.channels
        times = self._monitor.times
        return times[bisect.bisect_left(times, at, key=lambda entry: entry[1])][0]

    def exact_time_of(self, frame: int) -> float:
        """Return when that frame was played: the recorder's packets may be late, but never early."""
        frame_bytes = 2 * self.channels
        seconds = 1 / (self.rate * frame_bytes)
        recent = [entry for entry in self._monitor.times if entry[1] > self._first]
        return min(at - size * seconds for at, size in recent) + (self._first + frame * frame_bytes) * seconds

    @property
    def sound(self) -> np.ndarray:
        """The recorded audio without leading and trailing silence."""
        samples = self.samples
        heard = np.flatnonzero(samples.any(axis=1))
        return samples[heard[0] : heard[-1] + 1] if heard.size else samples[:0]


def speech(seconds: float, rate: int = 24000, channels: int = 1, seed: int = 1) -> np.ndarray:
    """Return modulated noise without repetitions or zero samples: (frames, channels) int16."""
    frames = int(seconds * rate)
    noise = np.random.default_rng(seed).normal(0, 1, (frames, channels))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(frames) / rate)[:, None]
    samples = np.clip(np.round(noise * syllables * 4000), -32768, 32767).astype("<i2")
    samples[samples == 0] = 1
    return samples


def holes(heard: np.ndarray, rate: int, shortest: float = 0.001) -> list[tuple[int, int]]:
    """Return the runs of digital silence as (first frame, frames)."""
    silent = np.concatenate(([0], (~heard.any(axis=1)).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(silent))
    return [
        (int(first), int(last - first))
        for first, last in zip(edges[::2], edges[1::2], strict=True)
        if last - first >= shortest * rate
    ]
