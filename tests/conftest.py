"""What holds for every test."""

import signal

import pytest

from support.server import SpeechServer
from support.tensors import FakeTensor

# A shell that runs the tests in the background has them ignore Ctrl-C, and so would every program that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def serve():
    """Start speech servers that end with the test."""
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
