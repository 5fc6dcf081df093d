"""The two backends for OpenAI's protocol on real sockets: behaviour that they share."""

import gzip
import re
import threading
import time
import tracemalloc
from contextlib import contextmanager

import pytest

from support.environment import cleaned
from support.server import Answer, SpeechServer
from support.threads import happened, in_thread
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest
from voice_cli.backends.remote.address import MAX_REDIRECTS
from voice_cli.backends.remote.http import HttpBackend
from voice_cli.backends.remote.openai import OpenAIBackend
from voice_cli.errors import (
    AuthenticationError,
    ConfigError,
    Interrupted,
    NetworkError,
    RateLimitError,
    ServerError,
    TruncatedAudio,
)
from voice_cli.protocol import openai as wire

HELLO = SpeechRequest("Hello")
BODY = bytes(range(256)) * 40
CANCEL_SECONDS = 0.1


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


@pytest.fixture(params=[HttpBackend, OpenAIBackend], ids=lambda kind: kind.name)
def kind(request):
    return request.param


@pytest.fixture
def talk(kind):
    """Start a server with an answer and return it with a backend."""
    opened = []

    def start(answer, **options):
        server = SpeechServer(answer)
        backend = kind(server.url, api_key="sk-1", **options)
        opened.extend((backend, server))
        return server, backend

    yield start
    for one in opened:
        one.close()


def body_of(stream):
    return b"".join(stream)


# The request.


def test_request_has_the_openai_fields(talk):
    server, backend = talk(Answer(b"xx"))
    request = SpeechRequest(
        "Grüß Gott \U0001f600", voice="af_bella", model="kokoro", codec="mp3", speed=1.5, instructions="slowly"
    )
    assert body_of(backend.synthesize(request)) == b"xx"
    (got,) = server.requests
    assert (got.method, got.path) == ("POST", "/v1/audio/speech")
    assert got.headers["authorization"] == "Bearer sk-1"
    assert got.headers["content-type"] == "application/json"
    assert got.json == {
        "input": "Grüß Gott \U0001f600",
        "model": "kokoro",
        "voice": "af_bella",
        "response_format": "mp3",
        "speed": 1.5,
        "instructions": "slowly",
    }


def test_unset_fields_are_omitted_or_have_defaults(talk):
    server, backend = talk(Answer(b"xx"))
    body_of(backend.synthesize(HELLO))
    assert server.requests[0].json == {
        "input": "Hello",
        "model": wire.DEFAULT_MODEL,
        "voice": wire.DEFAULT_VOICE,
        "response_format": "pcm",
        "sample_rate": 24_000,
    }


@pytest.mark.parametrize(("codec", "model"), [("wav", "piper"), ("mp3", "piper"), ("pcm", "kokoro")])
def test_no_rate_is_requested_if_it_is_known_or_the_codec_contains_it(talk, codec, model):
    server, backend = talk(Answer(b"xx"))
    body_of(backend.synthesize(HELLO._replace(codec=codec, model=model)))
    assert "sample_rate" not in server.requests[0].json


REFUSALS_OF_THE_RATE = {
    "FastAPI": (422, '{"detail": [{"loc": ["body", "sample_rate"], "msg": "Extra inputs are not permitted"}]}'),
    "OpenAI": (400, '{"error": {"message": "Unrecognized request argument supplied: sample_rate"}}'),
}


@pytest.mark.parametrize("who", REFUSALS_OF_THE_RATE)
def test_a_server_that_refuses_the_rate_is_asked_without_it_from_then_on(talk, who):
    status, message = REFUSALS_OF_THE_RATE[who]

    def respond(request):
        if "sample_rate" in request.json:
            return Answer(message.encode(), "application/json", status=status)
        return Answer(BODY)

    server, backend = talk(respond)
    assert [body_of(backend.synthesize(HELLO)) for _ in range(2)] == [BODY, BODY]
    assert ["sample_rate" in request.json for request in server.requests] == [True, False, False]


@pytest.mark.parametrize("message", ["no such voice", "sample_rate is out of range"])
def test_a_refusal_for_another_reason_is_reported(talk, message):
    server, backend = talk(Answer(message.encode(), "text/plain", status=400))
    with pytest.raises(ServerError, match=message):
        body_of(backend.synthesize(HELLO))
    assert len(server.requests) == (2 if "sample_rate" in message else 1)


@pytest.mark.parametrize(
    ("model", "headers", "audio_format"),
    [
        ("piper", {}, None),
        ("piper", {"X-Sample-Rate": "22050"}, AudioFormat(22_050, 1)),
        ("kokoro", {}, AudioFormat(24_000, 1)),
        ("kokoro", {"X-Sample-Rate": "22050"}, AudioFormat(22_050, 1)),
    ],
)
def test_pcm_has_the_format_of_the_headers_or_that_of_its_model(talk, model, headers, audio_format):
    _, backend = talk(Answer(BODY, "audio/pcm", headers=headers))
    stream = backend.synthesize(HELLO._replace(model=model))
    assert body_of(stream) == BODY
    assert stream.announced == Encoding("pcm", audio_format)


def test_bare_pcm_instead_of_another_codec_is_announced_as_pcm(talk):
    _, backend = talk(Answer(BODY, "audio/pcm"))
    stream = backend.synthesize(HELLO._replace(codec="wav", model="kokoro"))
    assert body_of(stream) == BODY
    assert stream.announced == Encoding("pcm")


def test_engine_options_are_not_sent(talk):
    server, backend = talk(Answer(b"xx"))
    body_of(backend.synthesize(HELLO._replace(options={"preset": "fast", "steps": 5})))
    assert set(server.requests[0].json) == {"input", "model", "voice", "response_format", "sample_rate"}


@pytest.mark.parametrize("key", ["sk-1\n", "sk\r\nX-Evil: 1", "sk-1\0", "schlüssel", "sk-\u2026"])
def test_key_invalid_in_a_header_is_refused_and_not_shown(kind, key):
    with pytest.raises(ConfigError) as caught:
        kind("http://localhost/v1", api_key=key)
    assert key.strip() not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"


# The response.


@pytest.mark.parametrize("how", ["chunked", "sized", "close-delimited"])
@pytest.mark.parametrize("chunk", [1, 999, 10**9])
def test_body_is_returned_unchanged(talk, how, chunk):
    body = BODY[:600] if chunk == 1 else BODY
    _, backend = talk(Answer(body, chunk=chunk, chunked=how == "chunked", close_delimited=how == "close-delimited"))
    chunks = list(backend.synthesize(HELLO))
    assert b"".join(chunks) == body
    assert all(chunks)


def test_chunks_are_returned_as_they_arrive(talk):
    _, backend = talk(Answer(BODY, chunk=100, stall_after=100))
    chunks = iter(backend.synthesize(HELLO))
    assert next(chunks) == BODY[:100]
    chunks.close()


@pytest.mark.parametrize(
    ("content_type", "announced"),
    [
        ("audio/mpeg", Encoding("mp3")),
        ("audio/pcm;rate=16000;channels=2", Encoding("pcm", AudioFormat(16_000, 2))),
        ("application/octet-stream", Encoding(None)),
        (None, Encoding(None)),
    ],
)
def test_content_type_is_known_before_the_first_chunk(talk, content_type, announced):
    _, backend = talk(Answer(b"xx", content_type))
    stream = backend.synthesize(SpeechRequest("x", codec="opus"))
    assert stream.expected == Encoding("opus", AudioFormat(48_000, 1))
    chunks = iter(stream)
    next(chunks)
    assert stream.announced.codec == announced.codec
    if announced.format is not None:
        assert stream.announced == announced
    chunks.close()


def test_timestamps_are_in_order(talk):
    _, backend = talk(Answer(BODY, first_byte=0.05))
    before = time.monotonic()
    stream = backend.synthesize(HELLO)
    body_of(stream)
    sent, first, last = (stream.timestamps[name] for name in ("request_sent", "first_byte", "last_byte"))
    assert before <= sent
    assert sent + 0.045 <= first <= last <= time.monotonic()


def test_connection_is_reused(talk):
    server, backend = talk(Answer(BODY))
    for _ in range(3):
        assert body_of(backend.synthesize(HELLO)) == BODY
    assert server.connections == 1


# Failures.


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ServerError),
        (401, AuthenticationError),
        (402, RateLimitError),
        (403, AuthenticationError),
        (404, ServerError),
        (422, ServerError),
        (429, RateLimitError),
        (500, ServerError),
        (503, ServerError),
    ],
)
@pytest.mark.parametrize("chunked", [True, False])
def test_error_status_reports_the_servers_message_without_a_retry(talk, status, error, chunked):
    body = b'{"error": {"message": "bad request"}}'
    server, backend = talk(Answer(body, "application/json", status=status, chunked=chunked))
    with pytest.raises(error, match="bad request") as caught:
        body_of(backend.synthesize(HELLO))
    assert str(status) in caught.value.message
    assert type(caught.value) is error
    assert len(server.requests) == 1


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_large_error_body_is_read_up_to_a_limit(talk, encoding):
    body = b"no such voice\n" + bytes(2**26)
    headers = {}
    if encoding is not None:
        body, headers = gzip.compress(body, 1), {"Content-Encoding": encoding}
    server, backend = talk(Answer(body, "text/plain", status=500, headers=headers, chunk=2**16))
    tracemalloc.start()
    try:
        with pytest.raises(ServerError, match=r"failed \(500\): no such voice$"):
            body_of(backend.synthesize(HELLO))
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()
    if encoding is None:
        happened(server.client_left)


def test_retry_after_is_in_the_hint(talk):
    _, backend = talk(Answer(b"", status=429, headers={"Retry-After": "17"}))
    with pytest.raises(RateLimitError) as caught:
        body_of(backend.synthesize(HELLO))
    assert "17 s" in caught.value.hint


def test_backend_can_be_used_after_an_error_status(talk):
    answers = iter([Answer(b"{}", status=401), Answer(BODY)])
    _, backend = talk(lambda _request: next(answers))
    with pytest.raises(AuthenticationError):
        body_of(backend.synthesize(HELLO))
    assert body_of(backend.synthesize(HELLO)) == BODY


@pytest.mark.parametrize("chunked", [True, False])
def test_connection_broken_within_the_body_is_truncation(talk, chunked):
    _, backend = talk(Answer(BODY, die_after=1000, chunk=100, chunked=chunked))
    stream = backend.synthesize(HELLO)
    chunks = []
    with pytest.raises(TruncatedAudio, match="after 1000 bytes"):
        chunks.extend(stream)
    assert b"".join(chunks) == BODY[:1000], "data received before the error is returned first"
    assert "last_byte" in stream.timestamps


@pytest.mark.parametrize("chunked", [True, False])
def test_connection_broken_before_the_first_byte_is_a_network_error(talk, chunked):
    _, backend = talk(Answer(BODY, die_after=0, chunked=chunked))
    with pytest.raises(NetworkError):
        body_of(backend.synthesize(HELLO))


def test_unreachable_server_is_a_network_error(talk):
    server, backend = talk(Answer(BODY))
    server.close()
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1"):
        body_of(backend.synthesize(HELLO))


def test_timeout_before_the_first_byte_and_within_the_body(talk):
    answers = iter([Answer(BODY, first_byte=60), Answer(BODY, stall_after=1000)])
    _, backend = talk(lambda _request: next(answers), timeout=0.2)
    with pytest.raises(NetworkError, match="did not answer"):
        body_of(backend.synthesize(HELLO))
    with pytest.raises(TruncatedAudio):
        body_of(backend.synthesize(HELLO))


def test_empty_body_has_no_chunks(talk):
    _, backend = talk(Answer(b""))
    assert list(backend.synthesize(HELLO)) == []


# Redirects.


@pytest.mark.parametrize(
    ("location", "base"),
    [
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1"),
        ("http://tts.example/api/v1/audio/speech", "http://tts.example/api/v1"),
        ("https://user:secret@tts.example/v1/audio/speech/?a=b#c", "https://tts.example/v1"),
        ("http://x/\x1b]0;x\x07", "an address that is not valid"),
        ("mailto:x", "an address that is not valid"),
        ("http://[::1", "an address that is not valid"),
        (None, "an address that is not valid"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_to_another_origin_is_an_error_with_the_base_url(talk, status, location, base):
    headers = {} if location is None else {"Location": location}
    server, backend = talk(Answer(b"", status=status, headers=headers))
    with pytest.raises(ServerError, match=re.escape(f"redirects to {base} ({status})")) as caught:
        body_of(backend.synthesize(HELLO))
    assert len(server.requests) == 1
    assert not {"secret", "sk-1"} & set(re.split(r"\W", caught.value.message))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_text_and_key_are_not_sent_to_another_origin(talk, host):
    elsewhere, _ = talk(Answer(BODY))
    location = f"http://{host}:{elsewhere.port}/v1/audio/speech"
    _, backend = talk(Answer(b"", status=307, headers={"Location": location}))
    with pytest.raises(ServerError, match="redirects to"):
        body_of(backend.synthesize(HELLO))
    assert elsewhere.connections == 0


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("location", ["/v1/audio/speech/", "{url}/audio/speech/", "speech/"])
def test_redirect_to_the_same_origin_is_followed(talk, status, location):
    def respond(request):
        if request.path.endswith("/"):
            return Answer(BODY)
        return Answer(b"elsewhere", status=status, headers={"Location": location.format(url=server.url)})

    server, backend = talk(respond)
    assert body_of(backend.synthesize(HELLO)) == BODY
    first, second = server.requests
    assert (second.method, second.body) == ("POST", first.body)
    assert second.headers["authorization"] == "Bearer sk-1"


def test_redirects_are_limited(talk):
    server, backend = talk(Answer(b"", status=307, headers={"Location": "/v1/audio/speech"}))
    with pytest.raises(ServerError, match="redirects"):
        body_of(backend.synthesize(HELLO))
    assert len(server.requests) == 1 + MAX_REDIRECTS


# Cancellation and abandoned streams.


@contextmanager
def waiting(kind, situation):
    """Yield a stream that a thread iterates over, its server, and a function that joins the thread."""
    reached = threading.Event()

    def respond(_request):
        if situation == "waiting":
            reached.set()
            return Answer(BODY, first_byte=60)
        return Answer(BODY, stall_after=1000)

    with SpeechServer(respond) as server:
        backend = kind(server.url, api_key="sk-1")
        stream = backend.synthesize(HELLO)

        def iterate():
            for _ in stream:
                reached.set()

        result = in_thread(iterate)
        happened(reached)
        yield stream, server, result
        backend.close()


@pytest.mark.parametrize("situation", ["waiting", "reading"])
def test_cancel_interrupts_a_wait_at_once_and_closes_the_connection(kind, situation):
    times = []
    for _ in range(3):  # best of three: other processes may delay this one
        with waiting(kind, situation) as (stream, server, result):
            began = time.monotonic()
            stream.cancel()
            assert isinstance(result(), Interrupted)
            times.append(time.monotonic() - began)
            happened(server.client_left)
            stream.cancel()
        if times[-1] < CANCEL_SECONDS:
            break
    assert min(times) < CANCEL_SECONDS


def test_cancel_before_iteration_raises_interrupted(talk):
    _, backend = talk(Answer(BODY, first_byte=60))
    stream = backend.synthesize(HELLO)
    stream.cancel()
    stream.cancel()
    with pytest.raises(Interrupted):
        next(iter(stream))


def test_cancel_between_chunks_returns_no_more(talk):
    server, backend = talk(Answer(BODY, stall_after=1000))
    stream = backend.synthesize(HELLO)
    chunks = iter(stream)
    next(chunks)
    stream.cancel()
    with pytest.raises(Interrupted):
        list(chunks)
    happened(server.client_left)


def test_cancel_after_the_end_has_no_effect(talk):
    _, backend = talk(Answer(BODY))
    stream = backend.synthesize(HELLO)
    assert body_of(stream) == BODY
    stream.cancel()
    assert body_of(backend.synthesize(HELLO)) == BODY


def test_abandoned_iterator_closes_its_connection(talk):
    answers = iter([Answer(BODY, stall_after=1000), Answer(BODY)])
    server, backend = talk(lambda _request: next(answers))
    chunks = iter(backend.synthesize(HELLO))
    next(chunks)
    chunks.close()
    happened(server.client_left)
    assert body_of(backend.synthesize(HELLO)) == BODY
