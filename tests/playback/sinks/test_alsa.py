"""Slow plugins are removed from ALSA's configuration; each test runs a process, which has one configuration."""

import ctypes
import subprocess
import sys

import pytest

from support.environment import clean
from voice_cli.playback.sinks import alsa

PROGRAM = """
import ctypes
from voice_cli.playback.sinks import alsa
alsa.skip_slow_plugins()
asound = ctypes.CDLL(alsa.LIBRARY)
pcms = ctypes.c_void_p()
asound.snd_config_update()
root = ctypes.c_void_p.in_dll(asound, "snd_config")
if not root or asound.snd_config_search(root, b"pcm", ctypes.byref(pcms)):
    print("nothing")
    raise SystemExit
print(*(name.decode() for name, _ in alsa._children(asound, pcms)))
pcm = ctypes.c_void_p()
print(*(asound.snd_pcm_open(ctypes.byref(pcm), name, 0, 0) for name in (b"default", b"jack")))
"""

SLOW_PLUGINS = """
pcm.a52 { type null }
pcm.jack { type null }
pcm.oss { type null }
"""


@pytest.fixture(autouse=True)
def library():
    if not sys.platform.startswith("linux"):
        pytest.skip("ALSA exists only on Linux")
    ctypes.CDLL(alsa.LIBRARY)


def left(tmp_path, configuration):
    """Return the remaining PCMs of a configuration, and whether its default and JACK PCMs open."""
    path = tmp_path / "asound.conf"
    path.write_text(configuration)
    environment = clean(HOME=str(tmp_path), ALSA_CONFIG_PATH=str(path))
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    names, *opened = done.stdout.splitlines()
    return names.split(), [int(code) == 0 for line in opened for code in line.split()]


def test_slow_plugins_are_removed_and_the_default_device_opens(tmp_path):
    names, opened = left(tmp_path, SLOW_PLUGINS + "pcm.default { type null }\npcm.mine { type null }\n")
    assert names == ["default", "mine"]
    assert opened == [True, False]


def test_a_plugin_that_the_default_device_uses_stays(tmp_path):
    names, opened = left(tmp_path, SLOW_PLUGINS + 'pcm.default { type plug slave.pcm "jack" }\n')
    assert sorted(names) == ["default", "jack"]
    assert opened == [True, True]


@pytest.mark.parametrize(
    ("configuration", "names"),
    [("", ["nothing"]), ("pcm.default { type null }\n", ["default"]), ("what is this {", ["nothing"])],
)
def test_a_configuration_without_slow_plugins_is_unchanged(tmp_path, configuration, names):
    assert left(tmp_path, configuration)[0] == names
