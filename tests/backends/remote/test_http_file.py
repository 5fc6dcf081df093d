"""Files of an HTTP server."""

import contextlib

import pytest

from support.environment import cleaned
from support.server import Answer, SpeechServer
from support.tls import certificate as certificate_in
from voice_cli.audio import Encoding
from voice_cli.backends.remote.address import redirected_file
from voice_cli.backends.remote.http_file import open_file
from voice_cli.backends.remote.http_transfer import Transfers
from voice_cli.errors import ConfigError, NetworkError, ServerError, TruncatedAudio

NOTHING = Encoding(None)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


def read(url):
    with contextlib.closing(Transfers()) as transfers:
        stream = open_file(transfers, url, NOTHING, timeout=5.0)
        return b"".join(stream), stream


def test_a_file_has_its_bytes_and_its_type(serve):
    server = serve(Answer(b"x" * 100_000, content_type="audio/mpeg", chunked=False))
    data, stream = read(f"http://127.0.0.1:{server.port}/a%20b/c.mp3?key=1")
    assert data == b"x" * 100_000
    assert (stream.announced.codec, stream.end_is_marked) == ("mp3", True)
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/a%20b/c.mp3?key=1")


def test_redirections_lead_to_other_servers_without_the_password():
    with SpeechServer(Answer(b"sound")) as other:

        def answer(request):
            if request.path == "/b":
                return Answer(status=301, headers={"location": f"http://localhost:{other.port}/c/"})
            return Answer(status=307, headers={"location": "/b"})

        with SpeechServer(answer) as server:
            data, _ = read(f"http://me:secret@127.0.0.1:{server.port}/a")
        assert data == b"sound"
        assert [request.path for request in server.requests] == ["/a", "/b"]
        assert all("authorization" in request.headers for request in server.requests)
        assert other.requests[0].path == "/c/"
        assert "authorization" not in other.requests[0].headers


def test_a_redirection_to_a_server_that_is_gone_is_a_failed_connection():
    answer = Answer(status=302, headers={"location": "http://127.0.0.1:1/x"})
    with SpeechServer(answer) as server, pytest.raises(NetworkError, match="refused the connection") as raised:
        read(f"http://127.0.0.1:{server.port}/")
    assert raised.value.message.startswith("127.0.0.1:1 ")


def test_redirections_have_an_end():
    with SpeechServer(lambda _: Answer(status=302, headers={"location": "/again"})) as server:
        with pytest.raises(ServerError, match="redirects without end"):
            read(f"http://127.0.0.1:{server.port}/")
        assert len(server.requests) == 6


def test_a_redirection_from_http_to_https_is_followed(tmp_path, monkeypatch):
    context, certificate = certificate_in(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    with SpeechServer(Answer(b"sound"), tls=context) as safe:
        location = {"location": f"https://localhost:{safe.port}/x"}
        with SpeechServer(Answer(status=301, headers=location)) as server:
            assert read(f"http://127.0.0.1:{server.port}/x")[0] == b"sound"


def test_the_proxy_of_the_environment_is_used(serve, monkeypatch):
    proxy = serve(Answer(b"sound"))
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
    assert read("http://files.invalid/x.wav")[0] == b"sound"
    assert proxy.requests[0].path == "http://files.invalid/x.wav"


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("https://a.example/x", "http://a.example/x", None),
        ("https://a.example/x", "https://b.example:8/y?z=1#f", ("https://b.example:8/y?z=1", "b.example:8")),
        ("http://a.example/x", "//b.example/y", ("http://b.example/y", "b.example")),
        ("http://u:p@a.example/x", "y", ("http://u:p@a.example/y", "a.example")),
        ("http://a.example/x", "file:///etc/passwd", None),
        ("http://a.example/x", "http://u:p@b.example/y", ("http://b.example/y", "b.example")),
        ("http://a.example/x", "http://[", None),
    ],
)
def test_where_a_redirection_leads(url, location, target):
    assert redirected_file(url, location) == target


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (Answer(status=404), ServerError, "does not have this file"),
        (Answer(status=403), ServerError, "does not give access"),
        (Answer(status=500), ServerError, "failed"),
        (Answer(b"x" * 1000, chunked=False, die_after=500), TruncatedAudio, "500"),
    ],
)
def test_what_fails_is_named(serve, answer, error, message):
    with pytest.raises(error, match=message):
        read(f"http://127.0.0.1:{serve(answer).port}/x.wav")


def test_an_address_that_is_not_valid_is_refused():
    with pytest.raises(ConfigError):
        read("http:///x.wav")
