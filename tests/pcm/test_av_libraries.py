"""PyAV's libraries are loaded before PyAV."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from pathlib import Path
from voice_cli.pcm.av_libraries import preload

def libraries():
    return {each.rpartition("/")[2] for each in Path("/proc/self/maps").read_text().split("\\n") if "/av.libs/" in each}

assert not libraries()
preload()
assert "av" not in sys.modules
before = libraries()
assert before, "nothing was loaded"
from av.filter import Graph
assert libraries() == before, libraries() - before
preload()
Graph()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the wheels of other systems have no folder of libraries")
def test_the_import_loads_no_further_library():
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
