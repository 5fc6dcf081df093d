"""Fixtures of the engines' tests."""

import pytest


@pytest.fixture(autouse=True)
def state_home(tmp_path, monkeypatch):
    """Keep the measured levels of voices out of the user's state file."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
