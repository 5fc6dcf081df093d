"""The VibeVoice demo's server: odd frames, log entries between them, and a close in the place of an end."""

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
    """Start a server that does this with a client, and give it with a backend for it."""
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


def test_the_sound_comes_out_from_among_the_log_entries(talk):
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


def test_the_requests_settings_go_before_the_profiles(talk):
    server, backend = talk(DemoServer(SOUND), steps=7.0, cfg_scale=1.25)
    collect(backend.synthesize(HELLO._replace(options={"steps": 9, "cfg_scale": 2.0})))
    assert query_of(server.client()) | {"text": "", "voice": ""} == {"text": "", "voice": "", "steps": "9", "cfg": "2"}


def test_what_was_not_said_is_not_sent(talk):
    server, backend = talk(DemoServer(SOUND))
    collect(backend.synthesize(SpeechRequest("Hi")))
    assert server.client().path == "/stream?text=Hi"


@settings(max_examples=20, deadline=None)
@given(sound=st.binary(min_size=1, max_size=5000), frame=st.integers(1, 999))
def test_any_frames_are_one_sound(sound, frame):
    with WsServer(DemoServer(sound, frame=max(frame, len(sound) // 200 + 1))) as server:
        backend = VibeVoiceWsBackend(server.url)
        assert collect(backend.synthesize(HELLO)) == (sound, None)
        backend.close()


@pytest.mark.parametrize(
    "between", ["nonsense", "[]", '{"type": "log"}', '{"event": 5}', "null", '{"event": "x", "data": 1}']
)
def test_text_frames_of_any_kind_are_passed_over(talk, between):
    def handle(client):
        client.send(SOUND[:333])
        client.send(between)
        client.send(SOUND[333:])
        client.close()

    _, backend = talk(handle)
    assert collect(backend.synthesize(HELLO)) == (SOUND, None)


def test_a_busy_server(talk):
    server, backend = talk(DemoServer(SOUND, busy=True))
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert isinstance(error, RateLimitError)
    assert "is busy: Please wait" in error.message
    assert len(server.clients) == 1, "somebody else's stream may take long"


@pytest.mark.parametrize("refused", [0, 1, 4])
def test_it_is_busy_for_a_moment_after_a_stream_of_ours(talk, refused):
    server, backend = talk(DemoServer(SOUND, refused_after=refused))
    for _ in range(3):
        assert collect(backend.synthesize(HELLO)) == (SOUND, None)
    assert len(server.clients) >= 3 + 2 * refused
    assert backend.max_requests == 1


def test_it_stays_busy_after_a_stream_of_ours(talk, monkeypatch):
    monkeypatch.setattr("voice_cli.backends.remote.vibevoice_ws.BUSY_SECONDS", 0.3)
    server, backend = talk(DemoServer(SOUND, refused_after=10_000))
    assert collect(backend.synthesize(HELLO)) == (SOUND, None)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert isinstance(error, RateLimitError)
    assert len(server.clients) > 2


def test_a_cancel_while_it_is_busy(talk):
    server, backend = talk(DemoServer(SOUND, refused_after=10_000))
    assert collect(backend.synthesize(HELLO)) == (SOUND, None)
    stream = backend.synthesize(HELLO)
    server.client(2)
    stream.cancel()
    assert isinstance(collect(stream)[1], Interrupted)


def test_a_busy_server_that_only_closes(talk):
    _, backend = talk(lambda client: client.close(1013, "Service busy"))
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, RateLimitError)
    assert "Service busy" in error.message


def test_a_model_that_fails_at_once(talk):
    def fail(_index):
        raise RuntimeError("CUDA out of\nmemory")

    _, backend = talk(DemoServer(SOUND, before=fail))
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == b""
    assert isinstance(error, ServerError)
    assert "failed: CUDA out of memory" in error.message


def test_a_model_that_fails_in_the_middle_though_it_closes_well(talk):
    def fail(index):
        if index == 2:
            raise RuntimeError("CUDA out of memory")

    _, backend = talk(DemoServer(SOUND, before=fail))
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == SOUND[: 2 * 6400]
    assert isinstance(error, TruncatedAudio)
    assert "CUDA out of memory" in error.message


def test_an_error_of_the_server_around_the_model(talk):
    def handle(client):
        client.say(log("backend_error"))
        client.close()

    _, backend = talk(handle)
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, ServerError)
    assert "failed: backend_error" in error.message


@pytest.mark.parametrize("code", [1001, 1006, 1011])
def test_any_other_close_in_the_middle_is_a_truncation(talk, code):
    def handle(client):
        client.send(SOUND)
        if code == 1006:
            client.hear_nothing = client._connection.recv_events_thread  # it goes without a close frame
            client._connection.socket.shutdown(2)
        else:
            client.close(code)

    _, backend = talk(handle)
    sound, error = collect(backend.synthesize(HELLO))
    assert sound == SOUND
    assert isinstance(error, TruncatedAudio)


def test_no_sound_at_all_is_for_the_player_to_tell(talk):
    _, backend = talk(DemoServer(b""))
    assert collect(backend.synthesize(HELLO)) == (b"", None)


def test_it_has_one_pace(talk):
    _, backend = talk(DemoServer(SOUND))
    with pytest.raises(UsageError, match="has no speed"):
        backend.synthesize(HELLO._replace(speed=1.5))
    assert collect(backend.synthesize(HELLO._replace(speed=1.0))) == (SOUND, None)


def test_its_voices(talk):
    server, backend = talk(DemoServer(SOUND), pages=PAGES, api_key="sk-1")
    assert backend.voices() == [Voice("de-Spk0_man"), Voice("en-Carter_man")]
    assert server.requests[0].path == "/config"
    assert server.requests[0].headers["Authorization"] == "Bearer sk-1"


@pytest.mark.parametrize("page", [{"voices": "x"}, [], {"default_voice": "x"}])
def test_voices_that_are_none(talk, page):
    _, backend = talk(DemoServer(SOUND), pages={"/config": page})
    with pytest.raises(ServerError, match="does not list its voices"):
        backend.voices()


def test_no_voices_where_nobody_is(talk):
    server, backend = talk(DemoServer(SOUND))
    with pytest.raises(ServerError):
        backend.voices()
    server.close()
    with pytest.raises(NetworkError):
        backend.voices()


def test_it_takes_no_text_in_pieces(talk):
    _, backend = talk(DemoServer(SOUND))
    assert not backend.supports_streaming_text
