"""WebSocket sessions with the VibeVoice demo server: log messages between odd frames, and a close as the end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.streams import collect
from support.ws import WsServer
from support.ws_vibevoice import PAGES, DemoServer, log, query_of
from voice_cli.audio import AudioFormat, Encoding
from voice_cli.backends.base import SpeechRequest, Voice
from voice_cli.backends.remote.vibevoice_ws import VibeVoiceWsBackend
from voice_cli.errors import Interrupted, NetworkError, RateLimitError, ServerError, TruncatedAudio, UsageError

SOUND = bytes(range(256)) * 100
HELLO = SpeechRequest("Hello there & there", voice="en-Carter_man")


@pytest.fixture
def talk():
    """Start a server with a client handler and return it with a backend."""
    opened = []

    def start(handle, *, pages=None, **options):
        server = WsServer(handle, pages=pages)
        backend = VibeVoiceWsBackend(server.url, **options)
        opened.extend((backend, server))
        return server, backend

    yield start
    for one in opened:
        one.close()
    assert not [error for one in opened for error in getattr(one, "errors", [])]


def test_log_messages_are_separated_from_the_audio(talk):
    server, backend = talk(DemoServer(SOUND), steps=7.0, cfg_scale=1.25)
    stream = backend.synthesize(HELLO)
    assert stream.expected == Encoding("pcm", AudioFormat(24_000, 1))
    assert collect(stream) == (SOUND, None)
    assert stream.announced == stream.expected
    assert query_of(server.client()) == {
        "text": "Hello there & there",
        "voice": "en-Carter_man",
        "steps": "7",
        "cfg": "1.25",
    }


def test_request_options_override_the_profiles(talk):
    server, backend = talk(DemoServer(SOUND), steps=7.0, cfg_scale=1.25)
    collect(backend.synthesize(HELLO._replace(options={"steps": 9, "cfg_scale": 2.0})))
    assert query_of(server.client()) | {"text": "", "voice": ""} == {"text": "", "voice": "", "steps": "9", "cfg": "2"}


def test_unset_fields_are_not_sent(talk):
    server, backend = talk(DemoServer(SOUND))
    collect(backend.synthesize(SpeechRequest("Hi")))
    assert server.client().path == "/stream?text=Hi"


@settings(max_examples=20)
@given(sound=st.binary(min_size=1, max_size=5000), frame=st.integers(1, 999))
def test_any_frame_sizes_are_reassembled(sound, frame):
    with WsServer(DemoServer(sound, frame=max(frame, len(sound) // 200 + 1))) as server:
        backend = VibeVoiceWsBackend(server.url)
        assert collect(backend.synthesize(HELLO)) == (sound, None)
        backend.close()


@pytest.mark.parametrize(
    "between", ["nonsense", "[]", '{"type": "log"}', '{"event": 5}', "null", '{"event": "x", "data": 1}']
)
def test_text_frames_are_ignored(talk, between):
    def handle(client):
        client.send(SOUND[:333])
        client.send(between)
        client.send(SOUND[333:])
        client.close()

    _, backend = talk(handle)
    assert collect(backend.synthesize(HELLO)) == (SOUND, None)


def test_busy_server_is_a_rate_limit_error_without_retries(talk):
    server, backend = talk(DemoServer(SOUND, busy=True))
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert isinstance(error, RateLimitError)
    assert "is busy: Please wait" in error.message
    assert len(server.clients) == 1, "no retry: the server may be busy with another client for long"


@pytest.mark.parametrize("refused", [0, 1, 4])
def test_request_is_retried_while_our_last_stream_ends(talk, refused):
    server, backend = talk(DemoServer(SOUND, refused_after=refused))
    for _ in range(3):
        assert collect(backend.synthesize(HELLO)) == (SOUND, None)
    assert len(server.clients) >= 3 + 2 * refused
    assert backend.max_requests == 1


def test_retries_end_when_the_server_stays_busy(talk, monkeypatch):
    monkeypatch.setattr("voice_cli.backends.remote.vibevoice_ws.BUSY_SECONDS", 0.3)
    server, backend = talk(DemoServer(SOUND, refused_after=10_000))
    assert collect(backend.synthesize(HELLO)) == (SOUND, None)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert isinstance(error, RateLimitError)
    assert len(server.clients) > 2


def test_cancel_while_the_server_is_busy(talk):
    server, backend = talk(DemoServer(SOUND, refused_after=10_000))
    assert collect(backend.synthesize(HELLO)) == (SOUND, None)
    stream = backend.synthesize(HELLO)
    server.client(2)
    stream.cancel()
    assert isinstance(collect(stream)[1], Interrupted)


def test_busy_close_code_is_a_rate_limit_error(talk):
    _, backend = talk(lambda client: client.close(1013, "Service busy"))
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, RateLimitError)
    assert "Service busy" in error.message


def test_model_failure_before_audio_is_a_server_error(talk):
    def fail(_index):
        raise RuntimeError("CUDA out of\nmemory")

    _, backend = talk(DemoServer(SOUND, before=fail))
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert isinstance(error, ServerError)
    assert "failed: CUDA out of memory" in error.message


def test_model_failure_within_audio_is_truncation_despite_a_clean_close(talk):
    def fail(index):
        if index == 2:
            raise RuntimeError("CUDA out of memory")

    _, backend = talk(DemoServer(SOUND, before=fail))
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == SOUND[: 2 * 6400]
    assert isinstance(error, TruncatedAudio)
    assert "CUDA out of memory" in error.message


def test_backend_error_is_a_server_error(talk):
    def handle(client):
        client.say(log("backend_error"))
        client.close()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, ServerError)
    assert "failed: backend_error" in error.message


@pytest.mark.parametrize("code", [1001, 1006, 1011])
def test_other_close_codes_within_audio_are_truncation(talk, code):
    def handle(client):
        client.send(SOUND)
        if code == 1006:
            client.hear_nothing = client._connection.recv_events_thread  # disconnect without a close frame
            client._connection.socket.shutdown(2)
        else:
            client.close(code)

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == SOUND
    assert isinstance(error, TruncatedAudio)


@pytest.mark.parametrize("entry", ["backend_request_received", "model_progress", "backend_first_chunk_sent"])
def test_a_close_before_the_logged_end_is_truncation(talk, entry):
    def handle(client):
        client.say(log(entry))
        client.send(SOUND)
        client.close()

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == SOUND
    assert isinstance(error, TruncatedAudio)
    assert "closed the session before its end (1000)" in error.message


def test_a_close_without_any_message_is_transient(talk):
    _, backend = talk(lambda client: client.close())
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, ServerError)
    assert error.is_transient


def test_session_without_audio_is_not_an_error_here(talk):
    _, backend = talk(DemoServer(b""))
    assert collect(backend.synthesize(HELLO)) == (b"", None)


def test_speed_is_refused(talk):
    _, backend = talk(DemoServer(SOUND))
    with pytest.raises(UsageError, match="has no speed"):
        backend.synthesize(HELLO._replace(speed=1.5))
    assert collect(backend.synthesize(HELLO._replace(speed=1.0))) == (SOUND, None)


def test_voices_come_from_the_config_page(talk):
    server, backend = talk(DemoServer(SOUND), pages=PAGES, api_key="sk-1")
    assert backend.voices() == [Voice("de-Spk0_man"), Voice("en-Carter_man")]
    assert server.requests[0].path == "/config"
    assert server.requests[0].headers["Authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("page", [{"voices": "x"}, [], {"default_voice": "x"}])
def test_invalid_voice_list_is_an_error(talk, page):
    _, backend = talk(DemoServer(SOUND), pages={"/config": page})
    with pytest.raises(ServerError, match="does not list its voices"):
        backend.voices()


def test_voices_of_an_unreachable_server_are_an_error(talk):
    server, backend = talk(DemoServer(SOUND))
    with pytest.raises(ServerError):
        backend.voices()
    server.close()
    with pytest.raises(NetworkError):
        backend.voices()


def test_streaming_text_is_not_supported(talk):
    _, backend = talk(DemoServer(SOUND))
    assert not backend.supports_streaming_text
