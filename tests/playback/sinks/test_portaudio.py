"""The import of sounddevice; each test runs a process, because PortAudio starts once per process."""

import ctypes
import subprocess
import sys

import pytest

from voice_cli.playback.sinks.portaudio import SONAME

PROGRAM = """
import sys
from voice_cli.playback.sinks import portaudio

def find_library(name):
    import ctypes.util
    print(name, hasattr(ctypes.util, "test"), ctypes.util is sys.modules["ctypes.util"])
    return portaudio.SONAME

portaudio._import_sounddevice(find_library)
import sounddevice
print(sounddevice._libname, sounddevice.query_hostapis is not None)
"""

LOADED = """
import sys
from voice_cli.playback.sinks import portaudio
portaudio.load_soon()
print(portaudio.load_sounddevice()._libname, "ctypes.util" in sys.modules)
"""


@pytest.fixture(autouse=True)
def library():
    if not sys.platform.startswith("linux"):
        pytest.skip("on other systems, sounddevice includes PortAudio")
    try:
        ctypes.CDLL(SONAME)
    except OSError:
        pytest.skip("PortAudio is not installed")


def printed(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_only_sounddevice_uses_the_given_find_library():
    assert printed(PROGRAM) == ["portaudio True True", f"{SONAME} True"]


def test_a_loaded_library_is_not_searched_for():
    assert printed(LOADED) == [f"{SONAME} False"]
