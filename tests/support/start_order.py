"""The modules that `voice say` imports before it sends its request."""

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

os.dup2 = lambda *_: None  # keep the output of -X importtime, which would be silenced
stand_in = type(sys)("probe")
stand_in.__getattr__ = probe
sys.modules["probe"] = stand_in
backends.BACKENDS[name] = f"probe:{attribute}"
from voice_cli.cli.start import start
sys.exit(start(["say", "Hi", "--backend", *sys.argv[2:]]))
"""
"""Wraps the backend of `voice say` to end the process once the request is sent."""


class Import(NamedTuple):
    """An imported module, from `-X importtime`."""

    name: str
    own: float
    """Microseconds, without nested imports."""
    whole: float
    depth: int


def run_to_request(*arguments: str, environment: Mapping[str, str], flags: tuple[str, ...] = ()) -> tuple[str, str]:
    """Run `voice say --backend ARGUMENTS` until the request is sent; return the modules (one per line) and stderr."""
    command = [sys.executable, *flags, "-c", PROGRAM, "1", *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(environment), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def modules_before_request(*arguments: str, environment: Mapping[str, str]) -> set[str]:
    """Return the names of the modules that `voice say` has imported and a bare interpreter has not."""
    return set(run_to_request(*arguments, environment=environment)[0].split())


def imports_before_request(*arguments: str, environment: Mapping[str, str]) -> list[Import]:
    """Return the imports in order, without those of a bare interpreter."""
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
