"""The VibeVoice demo's endpoints: frames, log, close codes, and the differences from the demo."""

import contextlib
import itertools
import socket
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus

from support.encoding import encoded
from support.sessions import half_close, receive, receive_all, reset_connection, sound_in
from support.speech_app import SteppedEngine, sound_of
from support.threads import WAIT
from voice_cli.audio import AudioFormat
from voice_cli.backends.base import Voice
from voice_cli.server.settings import Server, ServerSettings

FRAME = 6400
INVALID_IDS = ["alice\n", "../alice", "/etc/passwd", "http://evil.example/x", "a b", ".."]


def path_of(text, **fields):
    return f"/stream?{urlencode({'text': text, **fields})}"


def say(app, text, **fields):
    """Return all messages for a text, and the close code and reason."""
    with app.connect(path_of(text, **fields)) as websocket:
        return receive_all(websocket)


def events_of(messages):
    """Return the log's events and `sound` in order."""
    return [message["event"] if isinstance(message, dict) else "sound" for message in messages]


def log_of(messages, event):
    return [message["data"] for message in messages if isinstance(message, dict) and message["event"] == event]


# Audio.


def test_the_engines_audio_is_sent_in_frames_of_6400_bytes(app):
    messages, code, _ = say(app, "Hello there.")
    frames = [message for message in messages if isinstance(message, bytes)]
    assert code == 1000
    assert [len(frame) for frame in frames] == [FRAME, 9600 - FRAME]
    assert b"".join(frames) == sound_of("Hello there.")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cuts=st.lists(st.integers(1, 4000), min_size=1, max_size=40))
def test_frames_do_not_depend_on_the_engines_chunks(cuts, app):
    pcm = sound_of("cut", 1.0)

    def pieces(_request):
        at = 0
        for frames in itertools.cycle(cuts):
            yield pcm[at : at + 2 * frames]
            at += 2 * frames
            if at >= len(pcm):
                return

    app.backend.give(pieces)
    frames = [message for message in say(app, "Cut.").messages if isinstance(message, bytes)]
    assert {len(frame) for frame in frames[:-1]} == {FRAME}
    assert b"".join(frames) == pcm


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100])
def test_audio_is_24_khz_for_any_engine_rate(rate, serve_app):
    audio_format = AudioFormat(rate, 1)
    app = serve_app(SteppedEngine(audio_format=audio_format))
    _, whole = encoded("pcm", audio_format, sound_of("Hello.", audio_format=audio_format), rate=24_000)
    assert sound_in(say(app, "Hello.").messages) == whole


def test_a_text_of_several_utterances_is_one_stream(app):
    text = "The first sentence is here. And a second one follows.\n\nThe third."
    whole = app.request("POST", "/v1/audio/speech", {"input": text, "response_format": "pcm"}).body
    assert sound_in(say(app, text).messages) == whole


# The log.


def test_the_log_events_are_those_of_the_demo_in_order(app):
    messages, _, _ = say(app, "Hello there.", cfg="2.5", steps="7", voice="bob")
    assert events_of(messages) == [
        "backend_request_received",
        *("sound", "model_progress", "backend_first_chunk_sent"),
        *("sound", "model_progress"),
        "backend_stream_complete",
    ]
    assert all(message["type"] == "log" and message["timestamp"] for message in messages if isinstance(message, dict))
    assert log_of(messages, "backend_request_received") == [
        {"text_length": 12, "cfg_scale": 2.5, "inference_steps": 7, "voice": "bob"}
    ]
    progress = log_of(messages, "model_progress")
    assert [round(data["generated_sec"], 4) for data in progress] == [0.1333, 0.2]
    assert sum(data["chunk_sec"] for data in progress) == pytest.approx(0.2)


def test_the_request_is_logged_before_the_first_audio(app, engine):
    engine.hold()
    with app.connect(path_of("Hello there.")) as websocket:
        assert receive(websocket)["event"] == "backend_request_received"
        engine.let_go()
        assert isinstance(receive(websocket), bytes)
        receive_all(websocket)


# Requests.


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (None, None, None)),
        ({"cfg": "2", "steps": "10", "voice": "alice"}, (2.0, 10, "alice")),
        ({"cfg": "much", "steps": "many"}, (None, None, None)),
        ({"cfg": "0", "steps": "0", "voice": ""}, (None, None, None)),
        ({"cfg": "-1", "steps": "-5"}, (None, None, None)),
        ({"cfg": "nan", "steps": "1.5"}, (None, None, None)),
        ({"cfg": "inf", "steps": "٣"}, (None, None, None)),
    ],
)
def test_valid_query_parameters_reach_the_engine_and_others_are_ignored(fields, expected, app, engine):
    assert say(app, "Hello.", **fields).code == 1000
    (request,) = engine.requests
    assert (request.options.get("cfg_scale"), request.options.get("steps"), request.voice) == expected


@pytest.mark.parametrize("text", ["a+b & c=d? 100 %", "Grüße, 今天, עברית", "it’s 'quoted' \"twice\""])
def test_any_text_is_accepted_in_the_query(text, app, engine):
    assert say(app, text).code == 1000
    assert " ".join(request.text for request in engine.requests) == text


def test_a_long_text_is_accepted_in_the_query(app, engine):
    text = "This is said again and again. " * 600
    assert say(app, text).code == 1000
    assert sum(len(request.text) for request in engine.requests) > 17_000


@pytest.mark.parametrize("headers", [{"Cookie": "a" * 9000}, {f"X-{number}": "1" for number in range(200)}])
def test_an_invalid_upgrade_gets_a_response(headers, app):
    with (
        pytest.raises(InvalidStatus) as refused,
        app.connect(path_of("Hello."), headers=headers),
    ):
        pass
    assert refused.value.response.status_code == 431


def test_messages_of_the_client_are_ignored(app, engine):
    engine.hold()
    with app.connect(path_of("Hello there.")) as websocket:
        for message in ("", "{", "not json", '{"type": "cancel"}', b"\0\1\2", "a" * 100_000):
            websocket.send(message)
        engine.let_go()
        messages, code, _ = receive_all(websocket)
    assert sound_in(messages) == sound_of("Hello there.")
    assert (code, events_of(messages)[-1]) == (1000, "backend_stream_complete")


def test_the_voices_are_listed(serve_app):
    engine = SteppedEngine(voices=[Voice("alice"), Voice("bob")])
    app = serve_app(engine, settings=ServerSettings(Server(), voice="bob"))
    answer = app.request("GET", "/config")
    assert answer.status == 200
    assert answer.json == {"voices": ["bob", "alice"], "default_voice": "bob"}
    say(app, "Hello.")
    assert [request.voice for request in engine.requests] == ["bob"]


def test_the_engines_default_voice_has_a_name(serve_app):
    engine = SteppedEngine(voices=[Voice("alice")])
    app = serve_app(engine)
    answer = app.request("GET", "/config")
    assert answer.json == {"voices": ["default", "alice"], "default_voice": "default"}
    say(app, "Hello.", voice="default")
    assert [request.voice for request in engine.requests] == [None]


# Invalid requests and failures.


def failure_of(ending):
    """Return the message of a failed stream, and check that it was not reported complete."""
    assert ending.code == 1011
    assert "backend_stream_complete" not in events_of(ending.messages)
    (data,) = log_of(ending.messages, "generation_error")
    assert ending.reason
    return data["message"]


@pytest.mark.parametrize("voice", INVALID_IDS)
def test_an_invalid_voice_id_is_refused(voice, app, engine):
    assert "not a voice id" in failure_of(say(app, "Hello.", voice=voice))
    assert engine.requests == []


@pytest.mark.parametrize("text", ["", " \n\t", "***"])
def test_an_empty_text_is_an_error(text, app, engine):
    assert "blank" in failure_of(say(app, text))
    assert engine.requests == []


def test_a_text_over_the_limit_is_refused(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, max_text=50)
    assert "50" in failure_of(say(app, "a" * 51))
    assert engine.requests == []
    assert say(app, "a" * 50).code == 1000


def test_an_engine_error_before_any_audio_is_reported(app, engine):
    engine.give(lambda _request: [RuntimeError("no memory left")])
    ending = say(app, "Hello.")
    assert "no memory left" in failure_of(ending)
    assert sound_in(ending.messages) == b""


def test_a_truncated_stream_is_an_error(app, engine):
    pcm = sound_of("begun", 0.5)
    engine.give(lambda _request: [pcm, RuntimeError("it broke")])
    ending = say(app, "Hello.")
    assert "it broke" in failure_of(ending)
    sound = sound_in(ending.messages)
    assert pcm.startswith(sound)
    assert len(sound) == len(pcm) - len(pcm) % FRAME, "a whole frame was lost"


def test_streams_run_concurrently_up_to_the_admission_limit(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, max_streams=3)
    engine.hold()
    with contextlib.ExitStack() as sockets:
        streams = [sockets.enter_context(app.connect(path_of(f"Number {n}."))) for n in range(3)]
        for websocket in streams:
            assert receive(websocket)["event"] == "backend_request_received"
        busy = say(app, "One too many.")
        assert (busy.code, events_of(busy.messages)) == (1013, ["backend_busy"])
        engine.let_go()
        for n, websocket in enumerate(streams):
            messages, code, _ = receive_all(websocket)
            assert (code, sound_in(messages)) == (1000, sound_of(f"Number {n}."))
        assert say(app, "Now there is room.").code == 1000


def test_the_queue_timeout_is_reported_as_busy(serve_app):
    engine = SteppedEngine()
    app = serve_app(engine, queue_timeout=0.1)
    engine.hold()
    ending = say(app, "Hello.")
    assert (ending.code, events_of(ending.messages)) == (1013, ["backend_request_received", "backend_busy"])
    engine.wait_until_idle()


def test_a_key_is_accepted_in_the_query(serve_app):
    app = serve_app(SteppedEngine(), keys=["secret"])
    with pytest.raises(InvalidStatus) as refused, app.connect(path_of("Hello.", api_key="wrong")):
        pass
    assert refused.value.response.status_code == 401
    assert say(app, "Hello.", api_key="secret").code == 1000


# Disconnected and stalled clients.


@pytest.fixture
def endless(app, engine):
    """Make the engine generate endless audio, one frame for each release."""
    engine.give(lambda request: itertools.repeat(sound_of(request.text, FRAME / 48_000)))
    engine.hold()
    engine.release(2)
    return engine


@pytest.mark.parametrize("leave", [lambda ws: ws.close(), reset_connection, half_close])
def test_a_disconnect_stops_the_generation(leave, app, endless):
    with app.connect(path_of("Hello.")) as websocket:
        assert [receive(websocket)["event"], len(receive(websocket))] == ["backend_request_received", FRAME]
        assert endless.live == 1
        leave(websocket)
        endless.wait_until_idle()
        report = app.wait_for_reports(1)[-1]
    assert (report.outcome, report.reason) == ("cancelled", "left")


def test_a_disconnect_before_its_turn_prevents_the_generation(app, engine):
    engine.hold()
    with app.connect(path_of("The first.")) as first:
        assert receive(first)["event"] == "backend_request_received"
        engine.wait_for_requests(1)
        with app.connect(path_of("The second.")) as second:
            assert receive(second)["event"] == "backend_request_received"
        app.wait_for_reports(1)
        engine.let_go()
        receive_all(first)
    assert [request.text for request in engine.requests] == ["The first."]


def test_a_stalled_client_is_dropped(serve_app, no_lead):
    engine = SteppedEngine()
    app = serve_app(engine, stall_timeout=0.2)
    engine.give(lambda request: itertools.repeat(sound_of(request.text, 1.0)))
    with app.connect(path_of("Hello."), max_queue=1, close_timeout=0.1):
        (report,) = app.wait_for_reports(1)
        assert (report.outcome, report.reason) == ("cancelled", "stalled")
        engine.wait_until_idle()


def test_a_slow_client_receives_all_audio(app, engine):
    engine.give(lambda request: [sound_of(request.text, 0.25)] * 400)
    with socket.create_connection(("127.0.0.1", app.port), WAIT) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        with app.connect(path_of("Slow."), sock=connection, max_queue=1) as websocket:
            engine.wait_for_given(100)
            ending = receive_all(websocket)
    assert ending.code == 1000
    assert sound_in(ending.messages) == sound_of("Slow.", 0.25) * 400
