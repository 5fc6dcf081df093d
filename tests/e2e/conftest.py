"""Fixtures for end-to-end tests: one audio server for all, and a runner for `voice`."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from support.agent import RealAgent
from support.sound import VOICE, AudioServer, missing
from support.terminal import Job
from voice_cli.playback.learned import MAX_LATENCY


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
class Result:
    """The result of a run of `voice`."""

    code: int
    out: bytes
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def voice(audio, tmp_path):
    """Return a function that runs `voice` on a sink in an empty folder."""

    def run(*arguments, sink="ear", text=None, environment=None, timeout=60):
        done = subprocess.run(
            [*VOICE, *map(str, arguments)],
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            env={**audio.environment(sink, latency=MAX_LATENCY), **(environment or {})},
            cwd=tmp_path,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr.decode())

    return run


@pytest.fixture
def job(audio, tmp_path):
    """Return a context that runs `voice` as the foreground job of a terminal."""

    @contextmanager
    def run(*arguments):
        environment = audio.environment("ear", latency=MAX_LATENCY)
        voice = Job(*VOICE, *map(str, arguments), folder=tmp_path, environment=environment)
        try:
            yield voice
        finally:
            voice.kill_all()

    return run


@pytest.fixture
def agent(audio, tmp_path):
    """Start an agent on the audio server."""
    started = RealAgent(tmp_path, audio.environment("ear", latency=MAX_LATENCY))
    yield started
    started.close()


MAX_STALL = 0.03
"""Seconds without data after which the recorder, and so the program under test, counts as stalled: its device buffers
30 ms. The longest stall of an idle machine is about 15 ms."""


class MachineStalledError(Exception):
    """The test failed while the machine stalled the recorder; the test is rerun."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    started = time.monotonic()
    try:
        return (yield)
    except Exception as error:
        audio = item.funcargs.get("own_audio", item.funcargs.get("audio"))
        stall = audio.longest_stall(started) if audio else 0.0
        if stall < (MAX_LATENCY if {"voice", "run"} & item.funcargs.keys() else MAX_STALL):
            raise
        raise MachineStalledError(f"the recorder received nothing for {1000 * stall:.0f} ms") from error


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.flaky(reruns=2, only_rerun="MachineStalledError"))
