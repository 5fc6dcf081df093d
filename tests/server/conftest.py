"""What the server's tests share."""

import pytest

from support.speech_app import SpeechApp


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
