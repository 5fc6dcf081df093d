"""WebSocket sessions of every protocol: limits, order and disconnects."""

import itertools
import json
import re
import socket
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed

from support.sessions import half_close, receive, receive_all, receive_until, reset_connection, send_json
from support.speech_app import SpeechApp, SteppedEngine, sound_of
from support.threads import WAIT, in_thread, wait_until
from voice_cli.server.sockets import MOST_MESSAGE, MOST_WAITING, decoded

PATH = "/ws/synthesize"
LIVE = "/ws/synthesize-stream"
PIECE = sound_of("endless", 0.5)


def text(words, **more):
    return {"text": words, "voice_id": "alice", "output_format": "pcm", **more}


def is_over(message):
    return message.get("is_final") or "error" in message


def endless_engine():
    return SteppedEngine(lambda request: itertools.repeat(PIECE) if request.text == "Endless." else [PIECE])


@pytest.fixture(scope="module")
def app():
    with SpeechApp(SteppedEngine()) as app:
        yield app


# Invalid messages.


@pytest.mark.parametrize("message", ["", "{", "nul", '{"text": "a"', "[" * 100_000, '{"text": "a"}}'])
def test_invalid_json_is_an_error_and_the_session_continues(app, message):
    with app.connect(PATH) as websocket:
        websocket.send(message)
        assert receive(websocket)["code"] == "invalid_json"
        send_json(websocket, text("Hello."))
        assert not any("error" in message for message in receive_until(websocket, is_over))


@pytest.mark.parametrize("message", ["1", "null", "[]", '"text"', "{}", '{"text": 1}', '{"text": "a", "speed": "x"}'])
def test_an_invalid_message_is_an_error_and_the_session_continues(app, message):
    with app.connect(PATH) as websocket:
        websocket.send(message)
        assert receive(websocket)["error"]
        send_json(websocket, text("Hello."))
        assert not any("error" in message for message in receive_until(websocket, is_over))


def test_a_binary_message_is_an_error_and_the_session_continues(app):
    with app.connect(PATH) as websocket:
        websocket.send(bytes(1000))
        assert receive(websocket) == {
            "error": "expected a JSON message, got 1000 bytes of binary data",
            "code": "invalid_message",
        }
        send_json(websocket, text("Hello."))
        assert not any("error" in message for message in receive_until(websocket, is_over))


def test_invalid_utf_8_ends_the_connection(app):
    with app.connect(PATH) as websocket:
        websocket.send(b"\xff\xfe", text=True)
        assert receive_all(websocket).code == 1007
        assert app.request("GET", "/health").status == 200


def test_a_message_that_is_too_large_ends_the_session(app):
    with app.connect(PATH) as websocket:
        with suppress(ConnectionClosed):  # the server closes before all of it is sent
            websocket.send("x" * (MOST_MESSAGE + 1))
        assert receive_all(websocket).code == 1009
    with app.connect(PATH) as websocket:
        with suppress(ConnectionClosed):
            websocket.send("x" * (5 * MOST_MESSAGE))
        assert receive_all(websocket).messages == []
    with app.connect(PATH) as websocket:
        websocket.send(json.dumps(text("Hello.")).ljust(MOST_MESSAGE))
        assert is_over(receive_until(websocket, is_over)[-1])


def test_nan_and_infinity_cause_no_server_error(app):
    assert decoded('{"speed": NaN, "steps": Infinity}')
    with app.connect(PATH) as websocket:
        for number in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000):
            websocket.send(f'{{"text": "a", "speed": {number}}}')
            assert receive(websocket)["error"]


# Queued orders.


def test_texts_are_spoken_in_order():
    engine = SteppedEngine()
    with SpeechApp(engine) as app, app.connect(PATH) as websocket:
        engine.hold()
        send_json(websocket, *(text(f"Number {number}.") for number in range(5)))
        engine.let_go()
        for _ in range(5):
            receive_until(websocket, is_over)
        assert [request.text for request in engine.requests] == [f"Number {number}." for number in range(5)]


def test_the_queue_of_texts_is_bounded():
    engine = SteppedEngine()
    with SpeechApp(engine) as app, app.connect(PATH) as websocket:
        engine.hold()
        send_json(websocket, text("First."))
        engine.wait_for_requests(1)
        send_json(websocket, *(text("Next.") for _ in range(MOST_WAITING + 1)))
        refusal = receive(websocket)
        assert refusal["code"] == "rate_limit_exceeded"
        engine.let_go()
        for _ in range(MOST_WAITING + 1):
            assert "error" not in receive_until(websocket, is_over)[-1]


def test_cancel_drops_queued_texts_and_the_session_continues():
    engine = SteppedEngine()
    with SpeechApp(engine) as app, app.connect(PATH) as websocket:
        engine.hold()
        engine.release()
        send_json(websocket, text("First."), text("Second."), text("Third."))
        receive(websocket)
        send_json(websocket, {"type": "cancel"})
        assert receive_until(websocket, is_over)[-1]["cancelled"]
        engine.let_go()
        send_json(websocket, text("Fourth."))
        receive_until(websocket, is_over)
        assert [request.text for request in engine.requests] == ["First.", "Fourth."]
        assert [report.reason for report in app.wait_for_reports(2)] == ["asked", ""]


def test_cancel_without_speech_sends_nothing():
    with SpeechApp(SteppedEngine()) as app, app.connect(PATH) as websocket:
        send_json(websocket, {"type": "cancel"}, {"type": "cancel"}, text("Hello."))
        assert receive(websocket)["chunk_index"] == 0


# Disconnects.


@pytest.mark.parametrize("how", ["closes", "resets", "half closes"])
@pytest.mark.parametrize("path", [PATH, LIVE])
def test_a_disconnect_stops_the_generation(path, how):
    engine = SteppedEngine()
    with SpeechApp(engine) as app:
        engine.hold()
        with app.connect(path) as websocket:
            if path == PATH:
                send_json(websocket, text("First."), text("Second."))
            else:
                send_json(
                    websocket, {"type": "init", "voice_id": "alice"}, {"type": "text", "content": "First. Second. T"}
                )
            engine.wait_for_requests(1)
            {"closes": websocket.close, "resets": resets(websocket), "half closes": half_closes(websocket)}[how]()
            engine.wait_until_idle()
        (report,) = app.wait_for_reports(1)
        assert (report.outcome, report.reason) == ("cancelled", "left")
        assert len(engine.requests) == 1


def resets(websocket):
    return lambda: reset_connection(websocket)


def half_closes(websocket):
    return lambda: half_close(websocket)


def test_a_disconnect_behind_unread_messages_is_noticed_on_send():
    """The session does not read while its queue is full, so the next send has to fail."""
    engine = SteppedEngine()
    with SpeechApp(engine, max_text=100) as app:
        engine.hold()
        with app.connect(LIVE) as websocket:
            sentence = {"type": "text", "content": "This is one of the sentences. "}
            send_json(websocket, {"type": "init", "voice_id": "alice", "output_format": "pcm"}, *([sentence] * 40))
            engine.wait_for_requests(1)
            reset_connection(websocket)
        engine.let_go()
        (report,) = app.wait_for_reports(1)
        engine.wait_until_idle()
        assert (report.outcome, report.reason) == ("cancelled", "left")
        assert len(engine.requests) < 40


def test_a_stalled_client_is_dropped_and_its_buffer_is_bounded(no_lead):
    engine = endless_engine()
    with SpeechApp(engine, stall_timeout=0.3) as app:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", app.port))
        with app.connect(PATH, sock=sock, max_queue=1) as websocket:
            send_json(websocket, text("Endless."))
            (report,) = app.wait_for_reports(1)
            engine.wait_until_idle()
            assert (report.outcome, report.reason) == ("cancelled", "stalled")
            assert report.bytes < 12_000_000, "the buffer is not bounded"
            assert app.request("POST", "/v1/audio/speech", {"input": "Next.", "response_format": "pcm"}).body == PIECE
            assert receive_all(websocket).code is None
        wait_until(lambda: not app._host.server_state.connections, "the connection is still open")


# Time limits and shutdown.


def test_an_idle_session_is_closed():
    with SpeechApp(SteppedEngine(), max_seconds=0.2) as app:
        for path in (PATH, LIVE):
            with app.connect(path) as websocket:
                assert receive_all(websocket).code == 1001


def test_a_session_with_active_speech_is_not_idle():
    engine = SteppedEngine()
    with SpeechApp(engine, max_seconds=0.2) as app, app.connect(PATH) as websocket:
        settings = app.service.settings
        app.service.settings = settings._replace(server=settings.server._replace(max_seconds=3600))
        engine.hold()
        send_json(websocket, text("Hello."))
        engine.wait_for_requests(1)
        app.service.settings = settings
        with app.connect(PATH) as idle:  # opened later, so the first session is past its limit too
            assert receive_all(idle).code == 1001
        engine.let_go()
        assert receive_until(websocket, is_over)[-1]["is_final"]


def test_a_stream_over_the_time_limit_is_an_error_and_the_session_continues():
    engine = endless_engine()
    with SpeechApp(engine, max_seconds=0.5) as app, app.connect(PATH) as websocket:
        send_json(websocket, text("Endless."))
        assert receive_until(websocket, is_over)[-1]["code"] == "late"
        send_json(websocket, text("Hello."))
        assert receive_until(websocket, is_over)[-1]["is_final"]


def test_a_stream_is_closed_when_the_drain_times_out():
    engine = SteppedEngine()
    app = SpeechApp(engine, drain_timeout=0)
    with app.connect(PATH) as websocket:
        engine.hold()
        engine.release()
        send_json(websocket, text("Hello."))
        receive(websocket)
        closing = in_thread(app.close)
        ending = receive_all(websocket)
        assert (ending.code, ending.reason) == (1001, "the server is shutting down")
        assert closing() is None


def test_a_stream_finishes_during_the_drain():
    engine = SteppedEngine()
    app = SpeechApp(engine, drain_timeout=WAIT)
    with app.connect(PATH) as websocket:
        engine.hold()
        engine.release()
        send_json(websocket, text("Hello."))
        receive(websocket)
        closing = in_thread(app.close)
        wait_until(lambda: app.service.draining, "it does not start to drain")
        send_json(websocket, text("One more."))
        engine.let_go()
        assert receive_until(websocket, is_over)[-1]["is_final"]
        assert receive_until(websocket, is_over)[-1]["code"] == "draining"
        assert closing() is None


# The admission limit.


def test_the_admission_limit_is_an_error_message_on_the_socket():
    engine = SteppedEngine()
    with SpeechApp(engine, max_streams=1) as app, app.connect(PATH) as one, app.connect(PATH) as other:
        engine.hold()
        engine.release()
        send_json(one, text("Hello."))
        receive(one)
        send_json(other, text("Hello."))
        assert re.search("rate_limit|busy", receive(other)["code"])
        engine.let_go()
        receive_until(one, is_over)
        app.wait_for_reports(1)
        send_json(other, text("Hello."))
        assert receive_until(other, is_over)[-1]["is_final"]
