"""The exit of the process while PortAudio loads."""

import os
import subprocess

import pytest

from support.command import TIMEOUT, VOICE, environment_in

SOUNDDEVICE = """
import atexit, os, threading
atexit.register(os._exit, 139)  # simulates exit handlers that crash while PortAudio starts
with open(os.environ["PORTAUDIO_STARTS"], "w"):
    pass
threading.Event().wait()
"""
"""Replaces python-sounddevice: a PortAudio whose start never ends."""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="on Windows PortAudio is not loaded by a thread")
def test_a_failure_while_portaudio_loads_exits_with_its_code(tmp_path):
    (tmp_path / "sounddevice.py").write_text(SOUNDDEVICE)
    os.mkfifo(tmp_path / "starts")
    environment = {"PYTHONPATH": str(tmp_path), "PORTAUDIO_STARTS": str(tmp_path / "starts")}
    # The format of an MP3 is not known beforehand, so no device is opened for a text that does not arrive.
    process = subprocess.Popen(
        [*VOICE, "say", "--json", "--format", "mp3", "--base-url", "http://127.0.0.1:1/v1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment_in(tmp_path, environment),
    )
    with open(tmp_path / "starts"):  # blocks until sounddevice is imported
        out, err = process.communicate(b" ", TIMEOUT)
    assert process.returncode == 2
    assert b"nothing to say" in out
    assert b"nothing to say" in err
