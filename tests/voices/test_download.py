"""The download of a voice, from a server that stalls, breaks, redirects, and sends another file than promised."""

import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.server import Answer, SpeechServer
from voice_cli.errors import NetworkError, ServerError, UsageError
from voice_cli.voices.catalogue import RemoteFile
from voice_cli.voices.download import download

BODY = os.urandom(200_000)
SUM = hashlib.sha256(BODY).hexdigest()
ETAG = {"ETag": '"v1"', "Accept-Ranges": "bytes"}


def answer(body=BODY, **options):
    headers = {**ETAG, **options.pop("headers", {})}
    return Answer(body, "application/octet-stream", headers=headers, chunked=False, **options)


def rest(request, body=BODY, **options):
    """Answer a request for a range as a server that still has the same file."""
    at = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
    span = {"Content-Range": f"bytes {at}-{len(body) - 1}/{len(body)}"}
    return answer(body[at:], status=206, headers=span, **options)


def fetch(server, path, *, sha256=SUM, size=None, name="voice.bin", **options):
    file = RemoteFile(f"http://127.0.0.1:{server.port}/{name}", size=size, sha256=sha256)
    return download(file, str(path), pause=0.0, **options)


def test_a_file_is_downloaded_and_checked(serve, tmp_path):
    seen = []
    server = serve(answer())
    path = tmp_path / "voice.bin"
    assert fetch(server, path, size=len(BODY), on_progress=lambda *each: seen.append(each)) == SUM
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    assert os.listdir(tmp_path) == ["voice.bin"]


def test_a_broken_download_is_continued(serve, tmp_path):
    server = serve(lambda request: rest(request) if "range" in request.headers else answer(die_after=70_000))
    path = tmp_path / "voice.bin"
    fetch(server, path)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 2
    assert server.requests[1].headers["if-range"] == '"v1"'
    assert 0 < int(server.requests[1].headers["range"][6:-1]) <= 70_000


def test_a_stalled_download_is_continued(serve, tmp_path):
    server = serve(lambda request: rest(request) if "range" in request.headers else answer(stall_after=70_000))
    path = tmp_path / "voice.bin"
    fetch(server, path, timeout=0.5)
    assert path.read_bytes() == BODY


def test_an_interrupted_download_is_continued_by_the_next_call(serve, tmp_path):
    server = serve(lambda request: rest(request) if "range" in request.headers else answer(stall_after=70_000))
    path = tmp_path / "voice.bin"

    def stop(done, _total):
        if done >= 60_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server, path, on_progress=stop)
    assert not path.exists()
    fetch(server, path)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 2


def test_a_file_that_has_changed_is_downloaded_again(serve, tmp_path):
    other = os.urandom(150_000)
    answers = iter([answer(die_after=70_000), answer(other, headers={"ETag": '"v2"'})])
    server = serve(lambda _request: next(answers))
    path = tmp_path / "voice.bin"
    fetch(server, path, sha256=hashlib.sha256(other).hexdigest())
    assert path.read_bytes() == other


@pytest.mark.parametrize("headers", [{"ETag": 'W/"weak"'}, {"ETag": ""}])
def test_a_part_without_a_strong_validator_is_not_continued(serve, tmp_path, headers):
    answers = iter([answer(die_after=70_000, headers=headers), answer(headers=headers)])
    server = serve(lambda _request: next(answers))
    fetch(server, tmp_path / "voice.bin")
    assert "range" not in server.requests[1].headers


def test_a_range_at_another_place_is_not_appended(serve, tmp_path):
    wrong = answer(BODY[:10], status=206, headers={"Content-Range": "bytes 5-14/200000"})
    answers = iter([answer(die_after=70_000), wrong, answer()])
    server = serve(lambda _request: next(answers))
    path = tmp_path / "voice.bin"
    fetch(server, path)
    assert path.read_bytes() == BODY


def test_a_refused_range_begins_again(serve, tmp_path):
    answers = iter([answer(die_after=70_000), answer(b"", status=416), answer()])
    server = serve(lambda _request: next(answers))
    path = tmp_path / "voice.bin"
    fetch(server, path)
    assert path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("body", "expected", "message"),
    [
        (BODY[:-1] + b"x", {}, "SHA-256"),
        (BODY[:-7], {"size": len(BODY)}, "199993 bytes instead of 200000"),
        (BODY + b"more", {"size": len(BODY)}, "too large"),
        (b"", {"sha256": hashlib.sha256().hexdigest()}, "empty"),
    ],
)
def test_another_file_than_expected_is_refused(serve, tmp_path, body, expected, message):
    server = serve(answer(body))
    with pytest.raises(ServerError, match=message):
        fetch(server, tmp_path / "voice.bin", **expected)
    assert os.listdir(tmp_path) == []


def test_a_server_that_announces_more_than_it_sends_fails(serve, tmp_path):
    short = answer(headers={"Content-Length": str(len(BODY) + 50)}, die_after=len(BODY))
    server = serve(lambda request: rest(request) if "range" in request.headers else short)
    with pytest.raises((NetworkError, ServerError)):
        fetch(server, tmp_path / "voice.bin")
    assert not (tmp_path / "voice.bin").exists()


def test_a_server_that_sends_nothing_fails(serve, tmp_path):
    server = serve(answer(die_after=0))
    with pytest.raises(NetworkError):
        fetch(server, tmp_path / "voice.bin")
    assert len(server.requests) == 5


@pytest.mark.parametrize(("status", "message"), [(404, "has no voice.bin"), (503, "rejects the download")])
def test_a_refusal_is_reported(serve, tmp_path, status, message):
    server = serve(Answer(b"<html>no</html>", "text/html", status=status))
    with pytest.raises(ServerError, match=message):
        fetch(server, tmp_path / "voice.bin")
    assert not (tmp_path / "voice.bin").exists()


def test_a_redirection_to_another_origin_is_followed_with_a_checksum(serve, tmp_path):
    target = serve(answer())
    server = serve(Answer(b"moved", status=302, headers={"Location": f"http://127.0.0.1:{target.port}/real.bin"}))
    fetch(server, tmp_path / "voice.bin")
    assert (tmp_path / "voice.bin").read_bytes() == BODY


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://127.0.0.1:{port}/again"])
def test_other_redirections_are_not(serve, tmp_path, location):
    server = serve(lambda _: Answer(status=302, headers={"Location": location.format(port=server.port)}))
    with pytest.raises(ServerError, match="redirects too often, or to an address that is not secure"):
        fetch(server, tmp_path / "voice.bin")


@pytest.mark.parametrize("url", ["http://example.com/a.onnx", "file:///etc/passwd", "ftp://example.com/a", "a.onnx"])
def test_without_a_checksum_the_address_must_be_https(tmp_path, url):
    with pytest.raises(UsageError, match="cannot download"):
        download(RemoteFile(url, md5="0" * 32), str(tmp_path / "a"))


def test_a_part_of_another_address_is_not_continued(serve, tmp_path):
    path = tmp_path / "voice.bin"
    (tmp_path / "voice.bin.part").write_bytes(b"x" * 500)
    (tmp_path / "voice.bin.part.json").write_text(json.dumps({"url": "https://else.where", "validator": '"v1"'}))
    server = serve(answer())
    fetch(server, path)
    assert path.read_bytes() == BODY
    assert "range" not in server.requests[0].headers


@given(notes=st.one_of(st.binary(max_size=80), st.sampled_from([b"[]", b"{}", b"null", b'{"url": 1}'])))
def test_any_notes_of_a_part_are_accepted(notes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("part")
    (folder / "voice.bin.part").write_bytes(b"x" * 500)
    (folder / "voice.bin.part.json").write_bytes(notes)
    with SpeechServer(answer()) as server:
        fetch(server, folder / "voice.bin")
    assert (folder / "voice.bin").read_bytes() == BODY
