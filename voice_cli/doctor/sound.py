"""PortAudio, the audio server, and the output device."""

import math
import os
import re
import shutil
import socket
import sys
import threading
import time
from array import array
from collections.abc import Iterator

from voice_cli.audio import FULL_SCALE, AudioFormat
from voice_cli.doctor.finding import BROKEN, OK, WARNING, Finding, failure
from voice_cli.errors import DeviceError, Hint
from voice_cli.playback.sinks.base import Pull
from voice_cli.playback.sinks.connections import PULSE_PORT
from voice_cli.playback.sinks.device import DeviceSink, output_devices
from voice_cli.playback.sinks.portaudio import call_within, load_sounddevice
from voice_cli.system_packages import install_hint

SECONDS = 8.0
"""Time for the audio server to answer."""
FORMAT = AudioFormat(24_000, 1)
TONE_SECONDS = 0.6
TONE_HERTZ = 440.0
TONE_LEVEL = 0.1
FADE_SECONDS = 0.02


def check_sound(device: int | str | None, *, tone: bool) -> list[Finding]:
    """Return the state of PortAudio, the audio server and the device; `tone`: play a short tone on it.

    Returns even if the audio server is frozen; then PortAudio cannot be used any more.
    """
    findings: list[Finding] = []

    def check() -> None:
        findings.extend(check_audio_server())
        findings.extend(_check_device(device, tone=tone))

    if sys.platform == "win32":  # PortAudio's COM belongs to the thread that starts it
        check()
        return findings
    try:
        call_within(SECONDS + (TONE_SECONDS if tone else 0), check, None)
    except DeviceError as exc:
        findings.append(Finding("output device", BROKEN, exc.message, _restart()))
    return findings


def check_audio_server() -> Iterator[Finding]:
    """Yield whether an audio server answers, or sound cards are used without one. Linux only; else nothing."""
    if not sys.platform.startswith("linux"):
        return
    places = _pulse_sockets()
    answering = [place for place in places if _answers(place)]
    pipewire = os.path.join(_runtime_folder(), "pipewire-0")
    if answering:
        name = "PipeWire" if os.path.exists(pipewire) else "PulseAudio"
        yield Finding("audio server", OK, f"{name}, at {answering[0]}")
    elif os.environ.get("PULSE_SERVER"):
        found = f"nothing answers at {os.environ['PULSE_SERVER']}, which PULSE_SERVER names"
        yield Finding("audio server", BROKEN, found, "unset PULSE_SERVER, or start the audio server there")
    elif _answers(pipewire):
        yield Finding("audio server", OK, f"PipeWire, at {pipewire}")
    elif _has_cards():
        yield Finding("audio server", OK, "none; ALSA's cards are used directly")
    else:
        remote = "; or hear it where you are, as docs/AGENT.md describes" if os.environ.get("SSH_CONNECTION") else ""
        yield Finding("audio server", WARNING, "there is none, and no sound card", _restart() + remote)


def _pulse_sockets() -> list[str]:
    """Return the sockets where PulseAudio, or PipeWire in its place, may listen: paths, or HOST:PORT."""
    named = os.environ.get("PULSE_SERVER")
    if named:
        return [part.rpartition("}")[2].removeprefix("unix:") for part in named.split()]
    return [os.path.join(_runtime_folder(), "pulse", "native"), "/run/pulse/native"]


def _runtime_folder() -> str:
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"


def _answers(place: str) -> bool:
    """Return whether something listens at a socket's path or at HOST:PORT."""
    try:
        if place.startswith("/"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(place)
            return True
        place = re.sub(r"^tcp[46]?:", "", place)
        host, _, port = place.partition(":")
        socket.create_connection((host, int(port or PULSE_PORT)), timeout=1).close()
    except (OSError, ValueError):
        return False
    return True


def _has_cards() -> bool:
    try:
        with open("/proc/asound/cards", encoding="utf-8") as file:
            return "[" in file.read()
    except OSError:
        return False


def _restart() -> str:
    if sys.platform == "darwin":
        return "restart it: sudo killall coreaudiod"
    if sys.platform == "win32":
        return "restart the service Windows Audio"
    if shutil.which("pipewire-pulse"):
        return "start it again: systemctl --user restart pipewire-pulse"
    start = "pulseaudio -k; pulseaudio -D"
    return f"start it again: {start}" if shutil.which("pulseaudio") else f"apt install pulseaudio; {start}"


def _check_device(device: int | str | None, *, tone: bool) -> Iterator[Finding]:
    try:
        sounddevice = load_sounddevice()
    except DeviceError as exc:
        yield failure("PortAudio", exc, install_hint("PortAudio"))
        return
    version = sounddevice.get_portaudio_version()[1].partition(",")[0]
    yield Finding("PortAudio", OK, version.removeprefix("PortAudio "))
    devices = output_devices()
    names = [each["name"] for each in devices]
    sink = DeviceSink(device)
    try:
        opened = sink.open(FORMAT)
        default = next((each["name"] for each in devices if each["default"]), "the default one")
        name = sink.name or default
        found = f"{name}, {opened}, latency {1000 * sink.latency:.0f} ms; {len(names)} in all"
        details = {"device": name, "rate": opened.rate, "channels": opened.channels, "devices": names}
        yield Finding("output device", OK, found, details=details)
        if tone:
            yield _play_tone(sink, opened)
    except DeviceError as exc:
        hint = exc.hint
        if device is None and not names:
            hint = _restart() if sys.platform.startswith("linux") else "connect headphones or speakers"
        elif device is None:
            hint = Hint("see {list_devices} for another {device}; or " + _restart())
        yield Finding("output device", BROKEN, exc.message, hint)
    finally:
        sink.close()


def _play_tone(sink: DeviceSink, audio_format: AudioFormat) -> Finding:
    """Play a tone, and wait until the device has played it."""
    is_over = threading.Event()
    pull = _tone(audio_format, is_over)
    sink.start(pull)
    if not is_over.wait(TONE_SECONDS + 3):
        return Finding("tone", BROKEN, "the device takes no sound", _restart())
    time.sleep(sink.latency)  # until its last frame has left the device
    return Finding("tone", OK, f"{TONE_SECONDS:g} s of {TONE_HERTZ:g} Hz were played", _not_heard())


def _not_heard() -> Hint:
    return Hint("if you heard nothing: is it muted? is it the right one? see {list_devices}, {device} and {wake}")


def _tone(audio_format: AudioFormat, is_over: threading.Event) -> Pull:
    """Return what fills the device's blocks with a tone that fades in and out; it sets `is_over` after it."""
    frames = audio_format.frames(TONE_SECONDS)
    fade = audio_format.frames(FADE_SECONDS)
    step = 2 * math.pi * TONE_HERTZ / audio_format.rate
    sound = array("h")
    for at in range(frames):
        gain = min(1.0, at / fade, (frames - 1 - at) / fade) * TONE_LEVEL * (FULL_SCALE - 1)
        sound.extend([round(gain * math.sin(at * step))] * audio_format.channels)
    if sys.byteorder == "big":
        sound.byteswap()
    data = sound.tobytes()
    at = 0

    def pull(out: memoryview, _dac_time: float, _underflow: bool, _discarded: bool) -> None:
        nonlocal at
        part = data[at : at + len(out)]
        out[: len(part)] = part
        out[len(part) :] = bytes(len(out) - len(part))
        at += len(part)
        if not part:
            is_over.set()

    return pull
