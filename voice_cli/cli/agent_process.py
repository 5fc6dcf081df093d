"""`voice agent run`: the agent's process."""

import signal
import sys
from importlib import import_module

import voice_cli
from voice_cli.agent.host import Host
from voice_cli.agent.kept import KeptBackends, KeptSink
from voice_cli.agent.messages import Message
from voice_cli.agent.paths import socket_path
from voice_cli.agent.session import Session
from voice_cli.cli.agent_speech import AgentSpeech
from voice_cli.cli.console import print_message, silence_libraries
from voice_cli.config import load, settle
from voice_cli.errors import AgentError, DeviceError
from voice_cli.playback.player import SWITCH_INTERVAL
from voice_cli.playback.sinks.portaudio import load_sounddevice

USED_LATER = (
    "voice_cli.backends.local.espeak",
    "voice_cli.backends.remote.http",
    "voice_cli.script.reader",
    "voice_cli.speech.caching",
    "voice_cli.speech.streamed_narration",
)
"""Modules that are imported when a speech needs them."""


def run() -> None:
    """Run the agent until it is idle or gets SIGTERM.

    Raises:
        AgentError: another one runs.

    """
    settings = settle(load(), {})
    sink, backends = KeptSink(), KeptBackends()

    def open_speech(number: int, message: Message, session: Session, host: Host) -> AgentSpeech:
        return AgentSpeech(number, message, session, host, sink, backends)

    host = Host(socket_path(), open_speech, idle=settings.defaults.agent_idle, version=voice_cli.__version__)
    try:
        host.listen()
    except OSError as exc:
        raise AgentError(f"cannot listen on {host.path}: {exc.strerror or exc}") from exc

    def end(_number: int, _frame: object) -> None:
        host.stop_speeches()
        host.end()

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), end)
    silence_libraries()
    prepare()
    sys.setswitchinterval(SWITCH_INTERVAL)  # as `Player` does for one speech
    host.run()
    host.wait_for_speeches()
    sink.release()
    backends.close()


def prepare() -> None:
    """Import what a speech needs, so that the first one does not wait for it."""
    for name in USED_LATER:
        import_module(name)
    try:
        load_sounddevice()
    except DeviceError as exc:  # a speech reports it
        print_message(exc.message)
