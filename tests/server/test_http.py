"""HTTP details: upgrades, HTTP/1.0, HEAD, slow heads, request ids and null fields."""

import json
import re
import shutil
import socket
import subprocess

import openai
import pytest

from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.threads import WAIT

SPEECH = {"input": "Hello.", "response_format": "pcm"}


@pytest.fixture(scope="module")
def app():
    with SpeechApp(SteppedEngine()) as app:
        yield app


def exchange(app, data):
    """Send bytes; read until the server closes; return the head and the body."""
    with socket.create_connection(("127.0.0.1", app.port), timeout=WAIT) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().lower(), body


def post(*headers, version="1.1"):
    body = json.dumps(SPEECH).encode()
    lines = [f"POST /v1/audio/speech HTTP/{version}", "Host: localhost", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def test_an_offered_upgrade_is_ignored(app):
    head, body = exchange(
        app,
        post("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    )
    assert head.startswith("http/1.1 200")
    assert sound_of("Hello.")[:100] in body


def test_http_1_0_responses_are_not_chunked(app):
    head, body = exchange(app, post(version="1.0"))
    assert head.startswith("http/1.1 200")
    assert "transfer-encoding" not in head
    assert body == sound_of("Hello.")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("version", ["--http2", "--http1.1", "--http1.0"])
def test_curl_works_with_each_http_version(app, version):
    url = f"{app.url}/v1/audio/speech"
    command = ["curl", "-sS", "--fail", version, url, "-H", "Content-Type: application/json", "-d", json.dumps(SPEECH)]
    done = subprocess.run(command, capture_output=True, timeout=WAIT, check=False)
    assert (done.returncode, done.stdout == sound_of("Hello.")) == (0, True), done.stderr


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/v1/models/tts-1", "/v1/audio/models", "/metrics"])
def test_head_is_supported_where_get_is(app, path):
    get, head = app.request("GET", path), app.request("HEAD", path)
    assert (get.status, head.status, head.body) == (200, 200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_each_response_has_a_request_id(app):
    ids = {
        app.request("GET", path).headers["x-request-id"] for path in ("/health", "/v1/models", "/nowhere", "/health")
    }
    assert len(ids) == 4
    assert all(re.fullmatch("req_[0-9a-f]{32}", one) for one in ids)
    assert app.request("GET", "/health", **{"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"
    odd = app.request("GET", "/health", **{"X-Request-ID": "a b\x1b"}).headers["x-request-id"]
    assert odd.startswith("req_")
    with app.connect("/ws/synthesize") as websocket:
        assert websocket.response.headers["x-request-id"].startswith("req_")


def test_null_and_empty_fields_are_treated_as_absent(app):
    fields = ("model", "voice", "speed", "response_format", "stream_format", "instructions", "sample_rate")
    answer = app.request("POST", "/v1/audio/speech", {"input": "Hello.", **dict.fromkeys(fields)})
    assert (answer.status, answer.headers["content-type"]) == (200, "audio/mpeg")
    assert app.request("POST", "/v1/audio/speech", {**SPEECH, "voice": ""}).body == sound_of("Hello.")


def test_openais_client_may_send_null_for_optional_fields(app):
    with openai.OpenAI(base_url=f"{app.url}/v1", api_key="none") as client:
        nothing: dict = {"response_format": None, "speed": None, "stream_format": None, "instructions": None}
        speech = client.audio.speech.create(input="Hello.", model=None, voice=None, extra_body=nothing)
        assert speech.content


def test_models_are_found_by_name(app):
    model = app.request("GET", "/v1/models/tts-1").json
    assert (model["id"], model["task"], model["sample_rate"]) == ("tts-1", "text-to-speech", 24_000)
    assert model["voices"] == [
        {"name": "alice", "language": "en", "gender": ""},
        {"name": "bob", "language": "de", "gender": ""},
    ]
    unknown = app.request("GET", "/v1/models/none")
    assert (unknown.status, unknown.json["error"]["param"]) == (404, "model")
    names = [model["id"] for model in app.request("GET", "/v1/audio/models").json["models"]]
    assert names == [model["id"] for model in app.request("GET", "/v1/models").json["data"]]


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": None}, "input", "input must be a string"),
        ({"input": ""}, "input", "input is empty"),
        ({"input": " \n"}, "input", "there is nothing to say"),
        ({"voice": {"id": ""}}, "voice", "voice is not a valid name"),
        ({"voice": "../etc"}, "voice", "voice is not a valid name"),
        ({"speed": 9}, "speed", "speed must be at most 4.0"),
        ({"speed": "fast"}, "speed", "speed must be a number"),
        ({"response_format": "midi"}, "response_format", "response_format must be 'mp3', "),
        ({"instructions": "x" * 10_001}, "instructions", "instructions has more than 10000 characters"),
    ],
)
def test_an_error_names_the_invalid_field(app, fields, param, message):
    answer = app.request("POST", "/v1/audio/speech", SPEECH | fields)
    error = answer.json["error"]
    assert (answer.status, error["param"]) == (400, param)
    assert error["message"].startswith(message)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"'])
def test_a_body_that_is_not_an_object_is_refused(app, body):
    error = app.request("POST", "/v1/audio/speech", body).json["error"]
    assert (error["message"], error["param"]) == ("the request is not a JSON object", None)
