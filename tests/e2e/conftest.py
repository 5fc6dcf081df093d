"""One audio server for all the tests that listen."""

import json
import os
import subprocess
from dataclasses import dataclass

import pytest

from support.sound import VOICE, AudioServer, missing


@pytest.fixture(scope="session")
def audio(tmp_path_factory):
    lack = missing()
    if lack:
        if os.environ.get("CI"):
            pytest.fail(f"the end-to-end tests must run on CI: {lack}")
        pytest.skip(lack)
    server = AudioServer(tmp_path_factory.mktemp("audio"))
    yield server
    server.close()


@dataclass
class Said:
    """What a `voice say` was like."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def voice(audio, tmp_path):
    """Run `voice` with arguments on a sink, in an empty folder."""

    def run(*arguments, sink="ear", text=None, environment=None, timeout=60):
        done = subprocess.run(
            [*VOICE, *map(str, arguments)],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            env={**audio.environment(sink), **(environment or {})},
            cwd=tmp_path,
            timeout=timeout,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr.decode())

    return run


def pytest_collection_modifyitems(items):
    """Listen again, up to twice, where a run was not as it should be: what is held against what was sent is every
    sample, and a machine that has too much to do drops some on the way to the recorder.
    """
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.flaky(reruns=2))
