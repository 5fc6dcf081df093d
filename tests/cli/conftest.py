"""Fixtures: the `voice` command in a subprocess, and an agent."""

import pytest

from support.agent import RealAgent
from support.command import environment_in, run_voice


@pytest.fixture
def voice(tmp_path):
    """Run `voice` with arguments in an empty folder."""

    def run(*arguments, **options):
        return run_voice(*arguments, folder=tmp_path, **options)

    return run


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    """Start an agent for the tests of a module."""
    folder = tmp_path_factory.mktemp("agent")
    started = RealAgent(folder, environment_in(folder))
    yield started
    started.close()
