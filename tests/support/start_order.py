"""What `voice say` has loaded by the moment at which its request leaves."""

import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

PROGRAM = """\
import sys
before = set(sys.modules)
import os
from importlib import import_module
from voice_cli import backends

name = sys.argv[2]
module, _, attribute = backends.BACKENDS[name].partition(":")

def probe(_attribute):
    class Probe(getattr(import_module(module), attribute)):
        def synthesize(self, request):
            stream = super().synthesize(request)
            loaded = sorted(set(sys.modules) - before - {"probe"})
            sys.stderr.flush()
            os.write(int(sys.argv[1]), "\\n".join(loaded).encode())
            os._exit(0)
    return Probe

os.dup2 = lambda *_: None  # or what -X importtime prints is silenced with all that libraries print
stand_in = type(sys)("probe")
stand_in.__getattr__ = probe
sys.modules["probe"] = stand_in
backends.BACKENDS[name] = f"probe:{attribute}"
from voice_cli.cli.start import start
sys.exit(start(["say", "Hi", "--backend", *sys.argv[2:]]))
"""
"""Puts a stand-in between `voice say` and its backend that ends the process when the real one has sent the request."""


class Import(NamedTuple):
    """A module that was loaded, as `-X importtime` tells it."""

    name: str
    own: float
    """Microseconds, without what it imports itself."""
    whole: float
    depth: int


def run_to_request(*arguments: str, environment: Mapping[str, str], flags: tuple[str, ...] = ()) -> tuple[str, str]:
    """Run `voice say --backend ARGUMENTS` until its request has left: (its modules, one a line; its standard error)."""
    command = [sys.executable, *flags, "-c", PROGRAM, "1", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(environment), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def modules_before_request(*arguments: str, environment: Mapping[str, str]) -> set[str]:
    """Give the names of the modules that a bare interpreter has not loaded, and `voice say` has."""
    return set(run_to_request(*arguments, environment=environment)[0].split())


def imports_before_request(*arguments: str, environment: Mapping[str, str]) -> list[Import]:
    """Give the imports in their order, those of a bare interpreter left out."""
    modules, timed = run_to_request(*arguments, environment=environment, flags=("-X", "importtime"))
    wanted = set(modules.split())
    imports = []
    for line in timed.splitlines():
        if line.startswith("import time:") and "|" in line and "cumulative" not in line:
            own, whole, name = line.removeprefix("import time:").split("|")
            depth = (len(name) - len(name.lstrip()) - 1) // 2
            if name.strip() in wanted:
                imports.append(Import(name.strip(), float(own), float(whole), depth))
    return imports
