"""The OpenAI SDK's backend on real sockets: behaviour that it does not share with the libcurl one.

Shared behaviour is tested in test_openai_servers.
"""

import subprocess
import sys

import pytest

from support.environment import cleaned
from support.server import Answer, SpeechServer
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.openai import OpenAIBackend
from voice_cli.errors import ConfigError
from voice_cli.protocol import openai as wire

HELLO = SpeechRequest("Hello")
BODY = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


def body_of(stream):
    return b"".join(stream)


def test_missing_key_is_a_config_error(monkeypatch):
    with pytest.raises(ConfigError, match="SDK has no API key"):
        OpenAIBackend("http://127.0.0.1:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "for another address")
    with pytest.raises(ConfigError, match="SDK has no API key"):
        OpenAIBackend("http://127.0.0.1:1/v1")


def test_sdk_environment_variables_are_the_defaults(monkeypatch):
    with SpeechServer(Answer(BODY)) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        backend = OpenAIBackend()
        assert body_of(backend.synthesize(HELLO)) == BODY
        backend.close()
        assert server.requests[0].headers["authorization"] == "Bearer sk-env"


@pytest.mark.parametrize("named", ["by the profile", "by the environment"])
def test_azure_has_its_own_address_and_header(monkeypatch, named):
    """A test proxy receives the request, so the name is not resolved."""
    with SpeechServer(Answer(BODY)) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("OPENAI_API_VERSION", "2025-03-01-preview")
        url = "http://me.openai.azure.com"
        if named == "by the environment":
            monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", url)
        backend = OpenAIBackend(url if named == "by the profile" else None, api_key="azure-key")
        assert body_of(backend.synthesize(SpeechRequest("x", model="my-tts"))) == BODY
        backend.close()
        (request,) = proxy.requests
    assert request.path.startswith(f"{url}/openai/deployments/my-tts/audio/speech?api-version=2025-03-01")
    assert request.headers["api-key"] == "azure-key"


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/me.openai.azure.com",
        "https://me.azure.com.example",
        "https://a.azure.com@other",
        "https://other?@a.azure.com",
        "https://other#.azure.com",
    ],
)
def test_azures_key_is_not_sent_to_an_address_that_only_contains_its_name(monkeypatch, url):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-key")
    monkeypatch.setenv("OPENAI_API_VERSION", "2025-03-01-preview")
    with pytest.raises(ConfigError, match="SDK has no API key"):
        OpenAIBackend(url)


def test_azure_without_an_api_version_is_a_config_error():
    with pytest.raises(ConfigError, match="SDK cannot start"):
        OpenAIBackend("https://me.openai.azure.com", api_key="azure-key")


def test_voices_are_openais():
    backend = OpenAIBackend("http://127.0.0.1:1/v1", api_key="sk-1")
    assert [voice.id for voice in backend.voices()] == list(wire.VOICES)
    backend.close()


def test_sdk_is_loaded_only_if_chosen():
    program = "import sys, voice_cli.backends.remote.openai; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
