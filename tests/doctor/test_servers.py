"""Which servers are asked to speak, and what they are asked."""

import pytest

from support.server import Answer
from voice_cli.audio import AudioFormat
from voice_cli.backends.remote.http import HttpBackend
from voice_cli.codecs import open_encoder
from voice_cli.config import Config, settle
from voice_cli.doctor.finding import BROKEN, OK, WARNING
from voice_cli.doctor.servers import check_server, may_cost

SOUND = bytes([1, 1]) * 24_000


def settings(**flags):
    return settle(Config("/nowhere"), {"backend": "http", **flags}, {})


@pytest.mark.parametrize(
    ("url", "costs"),
    [
        ("http://localhost:8880/v1", False),
        ("http://127.0.0.1:8880/v1", False),
        ("http://[::1]:8880/v1", False),
        ("http://192.168.1.20:8880/v1", False),
        ("http://kokoro:8880/v1", False),
        ("http://box.local/v1", False),
        ("ws://10.0.0.1", False),
        ("http://100.64.0.1/v1", False),
        ("https://api.openai.com/v1", True),
        ("https://8.8.8.8/v1", True),
        (None, True),
    ],
)
def test_servers_on_the_internet_may_cost(url, costs):
    assert may_cost(settings(base_url=url)) == costs


@pytest.fixture
def checked(serve, monkeypatch):
    """Check a server as if it were one on the internet, and return the findings and its requests."""

    def check(answer, *, speak=False, **options):
        server = serve(answer)
        found = check_server(
            "p",
            settings(base_url="https://api.example.com/v1"),
            lambda _: HttpBackend(server.url, timeout=1.0, **options),
            speak=speak,
        )
        return found, server.requests

    return check


def test_a_server_that_may_cost_is_only_asked_for_its_models(checked):
    (found,), requests = checked(Answer(b'{"data": []}', "application/json"), api_key="sk-secret")
    assert [(request.method, request.path) for request in requests] == [("GET", "/v1/models")]
    assert found.state == OK
    assert "not asked to speak" in found.found
    assert "secret" not in str(found)


@pytest.mark.parametrize(("status", "state"), [(401, BROKEN), (403, BROKEN), (404, WARNING), (429, BROKEN)])
def test_a_server_that_refuses(checked, status, state):
    (found,), _ = checked(Answer(b"", status=status))
    assert found.state == state
    assert found.remedy


def test_with_speak_it_is_asked_to_speak(checked):
    _, requests = checked(Answer(SOUND, "audio/pcm; rate=24000"), speak=True)
    assert requests[0].path == "/v1/audio/speech"
    assert len(requests) == 6


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(b""), "no audio"),
        (Answer(b"<html><title>Sign in</title>", "text/html"), "Sign in"),
        (Answer(SOUND, die_after=1000), "broke after 1000 bytes"),
        (Answer(b"", status=422), "(422)"),
    ],
)
def test_what_is_no_speech_is_broken_and_has_a_remedy(checked, answer, words):
    (found,), _ = checked(answer, speak=True)
    assert found.state == BROKEN
    assert words in found.found
    assert found.remedy


def test_a_format_that_works_is_the_remedy(checked):
    encoder = open_encoder("wav", AudioFormat(16_000, 1))
    works = Answer(encoder.encode(SOUND) + encoder.finish(), "audio/wav")
    answers = {"wav": works}
    (found,), _ = checked(
        lambda request: answers.get(request.json["response_format"], Answer(b"", status=400)), speak=True
    )
    assert str(found.remedy) == "use the format wav, which it streams"
    assert found.details["formats"]["wav"]["rate"] == 16_000


def test_a_server_that_loads_its_model_at_the_first_request_is_asked_again(checked):
    answers = iter([Answer(SOUND, first_byte=0.5, chunk=1 << 20)])
    (found,), requests = checked(lambda _: next(answers, Answer(SOUND)), speak=True)
    assert (found.state, len(requests)) == (OK, 7)
