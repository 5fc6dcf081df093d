"""Each WebSocket backend against `voice serve`."""

import threading

import pytest

from support.environment import cleaned
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.streams import collect
from support.threads import in_thread
from voice_cli.backends import open_backend
from voice_cli.backends.base import SpeechRequest
from voice_cli.errors import AuthenticationError, Interrupted, RateLimitError, ServerError, TruncatedAudio

NAMES = ["chatterbox-ws", "vibevoice-ws", "omni-ws"]
PIECES = ["Well, hello there, my dear Ann.", "Dr. Smith is in his room!", "It is 3.", "And so on, and so forth"]
HELLO = SpeechRequest("Hello there, Ann. How are you?", voice="alice")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    return cleaned(monkeypatch)


@pytest.fixture
def pair():
    """Start a server with an engine; return the engine, the server, and the named backend for it."""
    opened = []

    def start(name, engine=None, *, key=None, options=None, **server):
        engine = engine or SteppedEngine()
        app = SpeechApp(engine, **server)
        backend = open_backend(name, base_url=app.ws_url, api_key=key, **(options or {}))
        opened.extend((backend, app))
        return engine, app, backend

    yield start
    for one in opened:
        one.close()


def say(conversation, *pieces):
    def work():
        for piece in pieces:
            conversation.say(piece)
        conversation.finish()

    return in_thread(work)


@pytest.mark.parametrize("name", NAMES)
def test_whole_text_is_synthesized(pair, name):
    engine, _, backend = pair(name)
    assert collect(backend.synthesize(HELLO)) == (sound_of(HELLO.text), None)
    assert engine.requests[0].voice == "alice"


@pytest.mark.parametrize("name", ["chatterbox-ws", "omni-ws"])
def test_text_in_pieces_is_synthesized_and_pieces_are_counted(pair, name):
    engine, _, backend = pair(name)
    conversation = backend.open_text_stream(HELLO._replace(text=""), ahead=1)
    said = say(conversation, *PIECES)
    streams = [(collect(stream), stream.pieces) for stream in conversation]
    said()
    assert [error for (_, error), _ in streams] == [None] * len(streams)
    spoken = [request.text for request in engine.requests]
    assert " ".join(spoken) == " ".join(PIECES)
    sound = b"".join(sound for (sound, _), _ in streams)
    assert all(sound_of(text) in sound for text in spoken)
    assert sum(pieces for _, pieces in streams) == len(PIECES)


@pytest.mark.parametrize("name", ["chatterbox-ws", "omni-ws"])
def test_audio_arrives_before_the_next_piece_is_sent(pair, name):
    _, _, backend = pair(name)
    conversation = backend.open_text_stream(HELLO._replace(text=""), ahead=1)
    streams = iter(conversation)
    for piece in PIECES:
        conversation.say(piece)
        sound, error = collect(next(streams))
        assert error is None
        assert sound
    conversation.finish()
    assert [collect(stream)[1] for stream in streams if stream.pieces] == []


def test_request_options_reach_the_engine(pair):
    engine, _, backend = pair("chatterbox-ws", options={"preset": "fast"})
    collect(backend.synthesize(HELLO._replace(speed=1.5)))
    assert (engine.requests[0].options, engine.requests[0].speed) == ({"preset": "fast"}, 1.5)
    engine, _, backend = pair("vibevoice-ws", options={"steps": 7.0, "cfg_scale": 1.25})
    collect(backend.synthesize(HELLO))
    assert engine.requests[0].options == {"steps": 7, "cfg_scale": 1.25}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", [None, "wrong"])
def test_missing_or_wrong_key_is_refused(pair, name, key):
    _, _, backend = pair(name, key=key, keys=["sk-1"])
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, AuthenticationError)


@pytest.mark.parametrize("name", NAMES)
def test_valid_key_is_accepted(pair, name):
    _, _, backend = pair(name, key="sk-1", keys=["sk-1"])
    assert collect(backend.synthesize(HELLO))[1] is None
    default = ["default"] if name == "vibevoice-ws" else []
    assert [voice.id for voice in backend.voices()] == [*default, "alice", "bob"]


@pytest.mark.parametrize("name", ["chatterbox-ws", "vibevoice-ws"])
def test_full_server_is_a_rate_limit_error(pair, name):
    engine, _, backend = pair(name, max_streams=1)
    engine.hold()
    first = backend.synthesize(HELLO)
    engine.wait_for_requests(1)
    _, error = collect(backend.synthesize(HELLO))
    assert isinstance(error, RateLimitError)
    engine.let_go()
    assert collect(first)[1] is None


@pytest.mark.parametrize("name", NAMES)
def test_invalid_voice_is_a_server_error(pair, name):
    _, _, backend = pair(name)
    _, error = collect(backend.synthesize(HELLO._replace(voice="../carol")))
    assert isinstance(error, ServerError)
    assert "voice" in error.message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("before", [b"", b"\x10\x10" * 24_000])
def test_engine_failure_is_reported(pair, name, before):
    def pieces(request):
        if request.text != HELLO.text:  # the warm-up request
            return []
        return [piece for piece in (before, RuntimeError("out of memory")) if piece]

    engine = SteppedEngine(pieces)
    _, app, backend = pair(name, engine)
    sound, error = collect(backend.synthesize(HELLO))
    assert type(error) is (TruncatedAudio if sound else ServerError)
    assert bool(before) >= bool(sound)
    app.wait_for_reports(1)
    assert all("out of memory" in fault for fault in app.faults)
    app.faults.clear()


@pytest.mark.parametrize("name", NAMES)
def test_cancel_ends_the_generation(pair, name):
    engine, _, backend = pair(name)
    engine.hold()
    engine.release(4)
    stream = backend.synthesize(HELLO)
    chunks = iter(stream)
    next(chunks)
    stream.cancel()
    assert isinstance(collect(chunks)[1], Interrupted)
    engine.wait_until_idle()


@pytest.mark.parametrize("name", ["chatterbox-ws", "omni-ws"])
def test_cancel_ends_a_text_stream(pair, name):
    engine, _, backend = pair(name)
    conversation = backend.open_text_stream(HELLO._replace(text=""), ahead=1)
    engine.hold()
    said = say(conversation, *PIECES)
    engine.wait_for_requests(1)
    ended = threading.Event()
    reading = in_thread(lambda: (list(conversation), ended.set()))
    conversation.cancel()
    assert isinstance(reading(), Interrupted)
    said()
    engine.wait_until_idle()
