"""`voice` in a process of its own, and a server for it to talk to."""

import pytest

from support.command import run_voice
from support.server import SpeechServer


@pytest.fixture
def voice(tmp_path):
    """Run `voice` with arguments in an empty folder."""

    def run(*arguments, **options):
        return run_voice(*arguments, folder=tmp_path, **options)

    return run


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
