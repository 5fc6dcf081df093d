"""What the server's tests share."""

import pytest

from support.speech_app import MadeEngine, SpeechApp
from voice_cli.server.report import Report


@pytest.fixture
def serve_app():
    """Start servers, as `SpeechApp` does, that end with the test."""
    apps = []

    def start(backend=None, **options):
        apps.append(SpeechApp(backend, **options))
        return apps[-1]

    yield start
    for app in apps:
        app.close()


@pytest.fixture(scope="module")
def module_app():
    with SpeechApp(MadeEngine()) as app:
        yield app


@pytest.fixture
def app(module_app):
    """A server with a made engine, for tests that need no settings of their own."""
    yield module_app
    module_app.begin_anew()


@pytest.fixture
def engine(app):
    """That server's."""
    return app.backend


@pytest.fixture
def no_lead(monkeypatch):
    """Whoever takes nothing has nothing left to hear: sound takes no time."""
    monkeypatch.setattr(Report, "lead", 0.0)
