"""Fixtures for all tests."""

import os
import signal
import sys

import pytest
from hypothesis import HealthCheck, settings

from support.environment import alone
from support.portaudio import FakeSoundDevice
from support.server import SpeechServer
from support.tensors import FakeTensor

os.environ.update(alone())

# A background job inherits an ignored SIGINT, and one under nohup an ignored SIGHUP; their child processes would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Nothing here is about time: other processes may need the processor, and the first use of text takes seconds.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def serve():
    """Start speech servers that are closed after the test."""
    servers = []

    def start(answer):
        servers.append(SpeechServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def portaudio(monkeypatch):
    """Replace python-sounddevice by a fake."""
    fake = FakeSoundDevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


@pytest.fixture
def fake_tensor():
    return FakeTensor
