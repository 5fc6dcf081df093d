"""Fixtures of the server's tests."""

import pytest

from support.speech_app import SpeechApp, SteppedEngine
from voice_cli.server.report import Report


@pytest.fixture
def serve_app():
    """Return a function that starts a `SpeechApp`, closed at the end of the test."""
    apps = []

    def start(backend=None, **options):
        apps.append(SpeechApp(backend, **options))
        return apps[-1]

    yield start
    for app in apps:
        app.close()


@pytest.fixture(scope="module")
def module_app():
    with SpeechApp(SteppedEngine()) as app:
        yield app


@pytest.fixture
def app(module_app):
    """A server with a fake engine and default settings."""
    yield module_app
    module_app.reset()


@pytest.fixture
def engine(app):
    """The engine of `app`."""
    return app.backend


@pytest.fixture
def no_lead(monkeypatch):
    """Make the stall timeout start at once, as if all audio had been played."""
    monkeypatch.setattr(Report, "lead", 0.0)
