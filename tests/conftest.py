"""Fixtures for all tests."""

import signal

import pytest

from support.server import SpeechServer
from support.tensors import FakeTensor

# A background job inherits an ignored SIGINT and passes it on to its child processes.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
def fake_tensor():
    return FakeTensor
