"""Redirects, content encodings, and file descriptors above select's limit."""

import gzip
import random
import subprocess
import sys
import tracemalloc
import zlib

import pytest

from support.environment import cleaned
from support.server import Answer, SpeechServer
from support.threads import happened, in_thread
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.http import LARGEST_BODY, HttpBackend
from voice_cli.backends.remote.http_transfer import MAX_DECODED
from voice_cli.errors import ServerError, TruncatedAudio

HELLO = SpeechRequest("Hello")
BODY = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


@pytest.fixture
def talk(serve):
    """Start a server with an answer, and return it with a backend for it."""
    backends = []

    def start(answer, **options):
        server = serve(answer)
        backends.append(HttpBackend(server.url, **options))
        return server, backends[-1]

    yield start
    for backend in backends:
        backend.close()


def body_of(stream):
    return b"".join(stream)


# Redirects.


def test_voice_list_is_redirected(talk):
    def respond(request):
        if request.path == "/v1/audio/voices":
            return Answer(b"", status=301, headers={"Location": "/voices"})
        return Answer(b'{"voices": ["alloy"]}', "application/json")

    _, backend = talk(respond)
    assert [voice.id for voice in backend.voices()] == ["alloy"]


# Bodies that are no audio.


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_list_of_voices_has_a_limit(talk, encoding):
    body = bytes(8 * LARGEST_BODY)
    headers = {}
    if encoding is not None:
        body, headers = gzip.compress(body, 1), {"Content-Encoding": encoding}
    server, backend = talk(Answer(body, "application/json", headers=headers, chunk=2**16, close_delimited=True))
    tracemalloc.start()
    try:
        with pytest.raises(ServerError, match="more than 8 MiB"):
            backend.voices()
        assert tracemalloc.get_traced_memory()[1] < MAX_DECODED + 2 * LARGEST_BODY
    finally:
        tracemalloc.stop()
    if encoding is None:
        happened(server.client_left)


def test_a_list_of_voices_at_the_limit_is_read(talk):
    voices = b'{"voices": ["alloy"]}'
    _, backend = talk(Answer(voices.ljust(LARGEST_BODY), "application/json", chunk=2**16))
    assert [voice.id for voice in backend.voices()] == ["alloy"]


# Content encodings.

ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "x-gzip": gzip.compress}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_an_encoded_body_is_decoded(talk, encoding):
    server, backend = talk(Answer(ENCODERS[encoding](BODY), headers={"Content-Encoding": encoding}, chunk=100))
    assert body_of(backend.synthesize(HELLO)) == BODY
    assert "accept-encoding" not in server.requests[0].headers


@pytest.mark.parametrize("status", [400, 500])
def test_encoded_error_body_is_decoded(talk, status):
    body = gzip.compress(b'{"error": {"message": "voice zed is not loaded"}}')
    _, backend = talk(Answer(body, "application/json", status=status, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(ServerError, match="voice zed is not loaded"):
        body_of(backend.synthesize(HELLO))


@pytest.mark.parametrize("encoding", ["gzip", "snappy", "gzip, snappy"])
def test_unknown_encoding_is_named(talk, encoding):
    _, backend = talk(Answer(BODY, headers={"Content-Encoding": encoding}))
    with pytest.raises(ServerError, match=encoding):
        body_of(backend.synthesize(HELLO))


def test_corrupt_encoded_body_is_truncated(talk):
    body = gzip.compress(random.Random(1).randbytes(100_000))
    _, backend = talk(Answer(body[:50_000] + bytes(50_000), headers={"Content-Encoding": "gzip"}, chunk=10_000))
    with pytest.raises(TruncatedAudio):
        body_of(backend.synthesize(HELLO))


def test_decoded_size_is_limited(talk):
    _, backend = talk(Answer(gzip.compress(bytes(2**28)), headers={"Content-Encoding": "gzip"}, chunk=2**20))
    stream = backend.synthesize(HELLO)
    tracemalloc.start()
    try:
        with pytest.raises(ServerError, match="gzip"):
            body_of(stream)
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_DECODED
    finally:
        tracemalloc.stop()


# The end.


@pytest.mark.parametrize(
    ("options", "is_marked"), [({}, True), ({"chunked": False}, True), ({"close_delimited": True}, False)]
)
def test_end_is_marked_by_the_framing(talk, options, is_marked):
    _, backend = talk(Answer(BODY, **options))
    stream = backend.synthesize(HELLO)
    assert body_of(stream) == BODY
    assert stream.end_is_marked == is_marked
    assert stream.total_bytes == (len(BODY) if options == {"chunked": False} else None)


# File descriptors.


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sockets have no file descriptors")
def test_descriptors_above_the_limit_of_select():
    program = """
import os, resource, sys
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.http import LARGEST_BODY, HttpBackend
backend = HttpBackend(sys.argv[1])
print(len(b"".join(backend.synthesize(SpeechRequest("Hello")))))
"""
    with SpeechServer(Answer(BODY, chunk=100)) as server:
        done = subprocess.run([sys.executable, "-c", program, server.url], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == (str(len(BODY)), "")


def test_streams_that_break_in_several_threads(talk):
    """Each stream reports its own end while the others transfer."""
    _, backend = talk(Answer(BODY, chunk=100, die_after=5000))

    def read():
        for _ in range(30):
            with pytest.raises(TruncatedAudio):
                body_of(backend.synthesize(HELLO))

    for result in [in_thread(read) for _ in range(6)]:
        assert result() is None
