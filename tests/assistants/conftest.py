"""Fixtures: a stand-in for the agent."""

import pytest

from support.fake_agent import FakeAgent


@pytest.fixture
def agent(tmp_path):
    """Return a stand-in for the agent, which runs."""
    fake = FakeAgent(tmp_path / "agent")
    yield fake
    fake.close()
