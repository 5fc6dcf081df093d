"""Twilio calls: messages and their timing, the application's requests, and access."""

import asyncio
import contextlib
import itertools
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.encoding import encoded
from support.sessions import half_close, receive_all, reset_connection, send_json
from support.speech_app import MONO24, SteppedEngine, sound_of
from support.twilio import MEDIA, Caller, start_message
from voice_cli.audio import Encoding
from voice_cli.config import Defaults
from voice_cli.script.line import plain_line
from voice_cli.server.routes import twilio
from voice_cli.server.routes.twilio import LEAD_SECONDS, STEP_SECONDS, Pacer, Turn
from voice_cli.server.settings import Server, ServerSettings
from voice_cli.server.speech import Began, Speech, SpeechOrder

PATH = "/twilio"
FRAME = 0.02
"""Seconds."""
NUMBERS = itertools.count(1000)
"""Numbers that make the stream ids unique."""
SPOKEN_LATER = ServerSettings(Server(), defaults=Defaults(flush_after=60.0))


@pytest.fixture
def call(app):
    """Return a function that starts a call with TwiML parameters."""
    with contextlib.ExitStack() as sockets:

        def begin(on=app, **parameters):
            websocket = sockets.enter_context(on.connect(PATH))
            return Caller(websocket, f"MZ{next(NUMBERS)}", **parameters)

        yield begin


def say(app, caller, text, key=None, **fields):
    return app.request("POST", f"/twilio/{caller.stream_sid}/say", {"text": text, **fields}, key=key)


def clear(app, caller, key=None):
    return app.request("POST", f"/twilio/{caller.stream_sid}/clear", key=key)


def wait_for_the_start_of(caller, app):
    while clear(app, caller).status == 404:
        continue


def mulaw(pcm):
    """Convert to mu-law and pad the last frame."""
    _, data = encoded("mulaw", MONO24, pcm)
    return data + b"\xff" * (-len(data) % 160)


def joined(*texts, seconds):
    """Join utterances with pauses."""
    return bytes(2 * 7_200).join(sound_of(text, seconds) for text in texts)


# Speech.


def test_the_text_of_the_twiml_is_spoken(call, engine):
    caller = call(text="Hello there.")
    caller.wait_for_marks(1)
    assert caller.sound == mulaw(sound_of("Hello there."))
    assert [request.text for request in engine.requests] == ["Hello there."]


def test_an_added_text_is_spoken(call, app, engine):
    caller = call()
    wait_for_the_start_of(caller, app)
    answer = say(app, caller, "Hello there.")
    assert (answer.status, answer.json) == (200, {"stream_sid": caller.stream_sid, "characters": 12})
    caller.wait_for_marks(1)
    assert caller.sound == mulaw(sound_of("Hello there."))


def test_frames_span_utterances_and_only_the_last_is_padded(call, engine):
    engine.give(lambda request: [sound_of(request.text, 0.2113)])
    texts = ("This is the first one.", "And the second.", "A third.")
    caller = call(text="\n\n".join(texts))
    caller.wait_for_marks(3)
    assert {len(frame) for frame in caller.frames} == {160}
    assert caller.sound == mulaw(joined(*texts, seconds=0.2113))
    assert caller.sound.endswith(b"\xff")


def test_a_mark_follows_the_frame_in_which_its_utterance_ends(call, engine):
    engine.give(lambda request: [sound_of(request.text, 0.2113)])
    caller = call(text="This is the first one.\n\nAnd the second.")
    caller.wait_for_marks(2)
    assert [frames for _, frames in caller.marks] == [11, len(caller.frames)], "211 ms are 11 frames of 20 ms"


def test_texts_are_spoken_in_order(call, app):
    caller = call(text="One.")
    caller.wait_for_marks(1)
    for text in ("Two.", "Three."):
        assert say(app, caller, text).status == 200
    names = caller.wait_for_marks(3)
    assert len(set(names)) == 3
    assert caller.sound == b"".join(mulaw(sound_of(text)) for text in ("One.", "Two.", "Three."))


def test_a_text_may_be_sent_in_pieces(serve_app, call):
    engine = SteppedEngine()
    app = serve_app(engine, settings=SPOKEN_LATER)
    caller = call(app, text="Hello.")
    caller.wait_for_marks(1)
    for piece in ("We are clo", "sed today, but to", "morrow is anoth"):
        assert say(app, caller, piece, flush=False).status == 200
    assert say(app, caller, "er day.").status == 200
    caller.wait_for_marks(3)
    assert [request.text for request in engine.requests] == [
        "Hello.",
        "We are closed today,",
        "but tomorrow is another day.",
    ]


def test_an_unflushed_text_is_sent_to_its_end(serve_app, call, monkeypatch):
    monkeypatch.setattr(twilio, "TURN_SECONDS", 0.05)
    engine = SteppedEngine()
    app = serve_app(engine, settings=ServerSettings(Server(), defaults=Defaults(flush_after=0.05)))
    caller = call(app, text="Hello.")
    caller.wait_for_marks(1)
    before = len(caller.frames)
    assert say(app, caller, "and then ", flush=False).status == 200
    caller.wait_for_marks(2)
    assert b"".join(caller.frames[before:]) == mulaw(sound_of("and then"))
    assert say(app, caller, "nothing", flush=False).status == 200
    caller.wait_for_marks(3)


def test_another_voice_begins_a_new_text(serve_app, call):
    engine = SteppedEngine()
    app = serve_app(engine, settings=SPOKEN_LATER)
    caller = call(app, voice="alice", text="Hello.")
    caller.wait_for_marks(1)
    assert say(app, caller, "One, ", flush=False).status == 200
    assert say(app, caller, "two", voice="bob", flush=False).status == 200
    assert say(app, caller, " three", flush=False).status == 200
    assert say(app, caller, "").status == 200
    caller.wait_for_marks(3)
    assert [(request.text, request.voice) for request in engine.requests] == [
        ("Hello.", "alice"),
        ("One,", "alice"),
        ("two three", "bob"),
    ]


def test_the_twimls_parameters_reach_the_engine(call, engine):
    caller = call(text="Hello.", voice="bob", preset="fast", speed="1.5")
    caller.wait_for_marks(1)
    (request,) = engine.requests
    assert (request.voice, request.options["preset"], request.speed) == ("bob", "fast", 1.5)


def test_an_empty_text_is_not_an_error(call, app):
    caller = call(text="Hello.")
    caller.wait_for_marks(1)
    for nothing in ("", " \n", "***"):
        assert say(app, caller, nothing).status == 200
    assert say(app, caller, "Still here.").status == 200
    caller.wait_for_marks(2)


# Pacing.


def test_frames_are_not_sent_before_they_are_due(call, engine):
    """The limits hold on a slow machine too: the later a frame, the more may have been sent."""
    engine.give(lambda request: [sound_of(request.text, 1.2)])
    caller = call(text="Hello.")
    caller.wait_for_marks(1)
    times = [at - caller.began for at, message in caller.messages if message["event"] == "media"]
    assert len(times) == 60
    for number, at in enumerate(times, 1):
        assert number * FRAME <= at + LEAD_SECONDS + 0.001


def test_the_lead_is_limited_in_a_call(call, app, engine):
    engine.give(lambda request: itertools.repeat(sound_of(request.text, 0.5)))
    caller = call(text="Hello.")
    caller.wait_until(lambda: bool(caller.frames))
    assert clear(app, caller).status == 200
    assert len(caller.frames) * FRAME <= time.monotonic() - caller.began + LEAD_SECONDS


@given(st.lists(st.floats(0, 0.2), max_size=60))
def test_the_lead_is_bounded_and_used(pauses):
    pacer, now, heard_until, sent = Pacer(), 100.0, 100.0, 0
    for pause in pauses:
        now += pause
        while (wait := pacer.wait(now)) <= 0:
            pacer.sent(now)
            heard_until = max(heard_until, now) + FRAME
            sent += 1
            assert heard_until - now <= LEAD_SECONDS + 1e-9
        assert wait <= LEAD_SECONDS - (LEAD_SECONDS - STEP_SECONDS) + 1e-9
        assert pacer.wait(now + wait + 1e-9) <= 0, "no frame is due after the wait"
        assert heard_until - (now + wait) >= LEAD_SECONDS - STEP_SECONDS - 1e-9, "the buffer is too short"


def test_a_clear_interrupts_the_wait_and_resets_the_lead(call, app, engine, monkeypatch):
    monkeypatch.setattr(twilio, "STEP_SECONDS", 1000.0)  # makes the wait after the lead endless
    engine.give(lambda request: [sound_of(request.text, 5.0 if "long" in request.text else 0.2)])
    caller = call(text="It is long.")
    caller.wait_until(lambda: len(caller.frames) >= 19)
    assert clear(app, caller).json["cut"] == "It is long."
    assert say(app, caller, "Short.").status == 200
    caller.wait_for_marks(1)
    assert caller.sound_after_clear == mulaw(sound_of("Short."))


def test_an_utterance_begins_with_its_first_frame():
    class Line:
        """A call that accepts frames."""

        marks = iter(["mark"])

        async def send_frame(self, data, turn):
            pass

    async def main():
        turn = Turn(Line(), Speech(None, None, SPOKEN_LATER, SpeechOrder("", "test")))
        await turn.take(Began(plain_line("Hello."), Encoding("mulaw"), "", 0.0))
        await turn.take(bytes(159))
        assert turn.begun() == []
        await turn.take(bytes(1))
        assert [utterance.text for utterance in turn.begun()] == ["Hello."]

    asyncio.run(main())


def test_a_clear_resets_the_pacer():
    pacer = Pacer()
    while pacer.wait(7.0) <= 0:
        pacer.sent(7.0)
    pacer.clear()
    assert pacer.wait(7.0) <= 0


# Clears.


@pytest.fixture
def interrupted(call, app, engine):
    """Return a call whose second utterance is endless."""
    engine.give(
        lambda request: (
            [sound_of(request.text)] if "first" in request.text else itertools.repeat(sound_of(request.text))
        )
    )
    caller = call(text="The first is short.\n\nThe second does not end.")
    (first,) = caller.wait_for_marks(1)
    frames = len(caller.frames)
    caller.wait_until(lambda: len(caller.frames) > frames + 20)
    return caller, first


def test_a_clear_stops_the_speech_and_returns_the_heard_text(interrupted, app, engine):
    caller, first = interrupted
    caller.heard(first)
    wait_until_read(caller, app)
    answer = clear(app, caller)
    assert answer.status == 200
    assert answer.json == {
        "stream_sid": caller.stream_sid,
        "heard": "The first is short.",
        "heard_seconds": 0.2,
        "cut": "The second does not end.",
    }
    engine.wait_until_idle()
    caller.wait_until(lambda: caller.clears == 1)
    assert caller.messages[-1][1]["event"] == "clear", "a message follows the clear"
    assert app.wait_for_reports(1)[-1].reason == "asked"


def test_buffered_utterances_do_not_count_as_heard(interrupted, app):
    caller, _ = interrupted
    answer = clear(app, caller)
    assert (answer.json["heard"], answer.json["heard_seconds"]) == ("", 0.0)
    assert answer.json["cut"] == "The first is short. The second does not end."


def test_marks_of_cleared_utterances_are_ignored(interrupted, app):
    caller, first = interrupted
    clear(app, caller)
    caller.wait_until(lambda: caller.clears == 1)
    caller.heard(first)
    caller.heard("unknown")
    wait_until_read(caller, app)
    assert say(app, caller, "The first again.").status == 200
    caller.wait_for_marks(2)
    assert clear(app, caller).json["heard"] == ""


def test_a_call_continues_after_a_clear(interrupted, app):
    caller, _ = interrupted
    clear(app, caller)
    assert say(app, caller, "The first of a new turn.").status == 200
    name = caller.wait_for_marks(2)[-1]
    assert caller.sound_after_clear == mulaw(sound_of("The first of a new turn."))
    caller.heard(name)
    wait_until_read(caller, app)
    answer = clear(app, caller)
    assert (answer.json["heard"], answer.json["cut"]) == ("The first of a new turn.", "")


def test_a_clear_drops_queued_texts(call, app, engine):
    engine.hold()
    caller = call(text="One.")
    engine.wait_for_requests(1)
    for text in ("Two.", "Three."):
        assert say(app, caller, text).status == 200
    assert clear(app, caller).json["cut"] == "", "no utterance was begun"
    engine.let_go()
    assert say(app, caller, "Four.").status == 200
    caller.wait_for_marks(1)
    assert [request.text for request in engine.requests] == ["One.", "Four."]


def test_a_clear_is_sent_even_without_active_speech(call, app):
    caller = call(text="Hello.")
    caller.wait_for_marks(1)
    assert clear(app, caller).json["cut"] == "Hello."
    caller.wait_until(lambda: caller.clears == 1)
    assert clear(app, caller).json["cut"] == ""


def test_the_heard_text_is_that_of_the_interrupted_turn(call, app, engine):
    caller = call(text="Hello.")
    (name,) = caller.wait_for_marks(1)
    app.wait_for_reports(1)  # the turn ends after its last mark was sent
    caller.heard(name)
    wait_until_read(caller, app)
    engine.give(lambda request: itertools.repeat(sound_of(request.text)))
    assert say(app, caller, "A new turn.").status == 200
    frames = len(caller.frames)
    caller.wait_until(lambda: len(caller.frames) > frames)
    answer = clear(app, caller)
    assert (answer.json["heard"], answer.json["cut"]) == ("", "A new turn.")


def wait_until_read(caller, app):
    """Wait until the server has read all messages of the caller."""
    call = app.app.state.calls[caller.stream_sid]
    taken = threading.Event()
    on_mark = call._on_mark

    def noted(name):
        on_mark(name)
        taken.set()

    call._on_mark = noted
    caller.heard("a question")
    assert taken.wait(20)


def test_a_telephone_key_stops_the_speech_if_interruptible(call, engine):
    engine.give(lambda request: itertools.repeat(sound_of(request.text)))
    caller = call(text="Press a key.", interruptible="dtmf")
    caller.wait_until(lambda: bool(caller.frames))
    caller.press("5")
    caller.wait_until(lambda: caller.clears == 1)
    engine.wait_until_idle()


def test_a_telephone_key_is_ignored_by_default(call, app):
    caller = call(text="Press no key.")
    caller.press("5")
    caller.wait_for_marks(1)
    wait_until_read(caller, app)
    assert caller.clears == 0
    assert caller.sound == mulaw(sound_of("Press no key."))


# The end of a call, and other messages.


@pytest.mark.parametrize(
    "leave",
    [
        Caller.hang_up,
        lambda caller: caller._websocket.close(),
        lambda caller: reset_connection(caller._websocket),
        lambda caller: half_close(caller._websocket),
    ],
)
def test_the_end_of_a_call_cancels_its_speech(leave, call, app, engine):
    engine.give(lambda request: itertools.repeat(sound_of(request.text)))
    caller = call(text="On and on.")
    caller.wait_until(lambda: bool(caller.frames))
    assert engine.live == 1
    leave(caller)
    engine.wait_until_idle()
    report = app.wait_for_reports(1)[-1]
    assert (report.outcome, report.reason) == ("cancelled", "left")
    while clear(app, caller).status != 404:
        continue


def test_a_stop_message_closes_the_connection(call):
    caller = call(text="Hello.")
    caller.wait_for_marks(1)
    caller.hang_up()
    assert caller.wait_until_closed() == 1000


def test_the_callers_audio_is_ignored(call):
    caller = call(text="Hello.")
    for _ in range(200):
        caller.talk()
    caller.wait_for_marks(1)
    assert caller.sound == mulaw(sound_of("Hello."))


def test_invalid_messages_do_not_end_a_call(call):
    caller = call(text="Hello.")
    for bad in ("{", "[]", "3", "{}", '{"event": 3}', '{"event": "mark"}', '{"event": "new"}', b"\0\1"):
        caller._websocket.send(bad)
    caller.send(start_message(caller.stream_sid, {"text": "Not again."}))
    caller.wait_for_marks(1)
    assert caller.sound == mulaw(sound_of("Hello."))


def test_an_engine_failure_ends_the_stream(call, engine):
    engine.give(lambda _request: [sound_of("begun"), RuntimeError("it broke")])
    caller = call(text="Hello.")
    assert caller.wait_until_closed() == 1011
    assert "it broke" in caller.reason


def test_concurrent_calls_are_independent(call, app):
    callers = [call(text="One."), call(text="Two.")]
    for caller, text in zip(callers, ("One.", "Two."), strict=True):
        caller.wait_for_marks(1)
        assert caller.sound == mulaw(sound_of(text))
        assert say(app, caller, f"More of {text}").status == 200
    for caller, text in zip(callers, ("One.", "Two."), strict=True):
        caller.wait_for_marks(2)
        assert caller.sound == mulaw(sound_of(text)) + mulaw(sound_of(f"More of {text}"))


# Access and limits.


def refusal_of(app, message):
    """Return the close code of a stream that begins with a message."""
    with app.connect(PATH) as websocket:
        send_json(websocket, {"event": "connected"}, message)
        return receive_all(websocket).code


@pytest.fixture
def locked(serve_app):
    return serve_app(SteppedEngine(), keys=["first", "second"])


@pytest.mark.parametrize("parameters", [{}, {"api_key": ""}, {"api_key": "wrong"}, {"api_key": "firs"}])
def test_a_call_without_the_key_is_refused(parameters, locked):
    assert refusal_of(locked, start_message("MZ1", {"text": "Hello.", **parameters})) == 1008
    assert locked.backend.requests == []


@pytest.mark.parametrize("key", ["first", "second"])
def test_a_call_with_a_key_is_accepted(key, locked, call):
    caller = call(locked, text="Hello.", api_key=key)
    caller.wait_for_marks(1)


def test_requests_of_the_application_need_a_key(locked, call):
    caller = call(locked, text="Hello.", api_key="first")
    caller.wait_for_marks(1)
    for ask in (lambda **key: say(locked, caller, "More.", **key), lambda **key: clear(locked, caller, **key)):
        assert ask().status == ask(key="wrong").status == 401
        assert ask(key="second").status == 200


@pytest.mark.parametrize(
    "parameters",
    [
        {"voice": "nobody"},
        {"voice": "../alice"},
        {"voice": "alice\n"},
        {"voice": "http://evil.example/x"},
        {"preset": "loud"},
        {"speed": "fast"},
        {"speed": "9"},
        {"speed": "nan"},
        {"text": "a" * 20_001},
    ],
)
def test_a_start_with_invalid_parameters_is_refused(parameters, app, engine):
    assert refusal_of(app, start_message("MZ1", {"text": "Hello.", **parameters})) == 1008
    assert engine.requests == []


@pytest.mark.parametrize(
    "message",
    [
        {"event": "start"},
        {"event": "start", "start": {}},
        start_message("", {}),
        start_message("a/b", {}),
        start_message("MZ1", {}, {**MEDIA, "encoding": "audio/x-l16"}),
        start_message("MZ1", {}, {**MEDIA, "sampleRate": 16_000}),
        {},
        [],
    ],
)
def test_an_invalid_first_message_is_refused(message, app):
    assert refusal_of(app, message) == 1008


def test_a_second_start_is_ignored(call, app):
    caller = call(text="Hello.")
    caller.wait_for_marks(1)
    assert refusal_of(app, start_message(caller.stream_sid, {"text": "Me too."})) == 1008
    assert say(app, caller, "Still mine.").status == 200
    caller.wait_for_marks(2)


def test_a_connection_that_never_starts_is_closed(app, monkeypatch):
    monkeypatch.setattr(twilio, "START_SECONDS", 0.2)
    with app.connect(PATH) as websocket:
        stopped = threading.Event()

        def talk():
            with contextlib.suppress(Exception):
                while not stopped.wait(0.01):
                    send_json(websocket, {"event": "media", "media": {"payload": ""}})

        threading.Thread(target=talk, daemon=True).start()
        assert receive_all(websocket).code == 1001
        stopped.set()


@pytest.mark.parametrize("voice", ["../alice", "alice\n", "/etc/passwd", "http://evil.example/x", "nobody"])
def test_an_invalid_voice_is_refused(voice, call, app):
    caller = call(text="Hello.")
    caller.wait_for_marks(1)
    assert say(app, caller, "Hello.", voice=voice).status == 400


@pytest.mark.parametrize("path", ["/twilio/MZ9/say", "/twilio/MZ9/clear", "/twilio/..%2f/say"])
def test_a_request_for_an_unknown_call_is_an_error(path, app):
    assert app.request("POST", path, {"text": "Hello."}).status in (400, 404)


def test_too_much_text_is_refused_and_the_call_continues(serve_app, call):
    engine = SteppedEngine()
    app = serve_app(engine, max_text=100)
    caller = call(app, text="Hello.")
    caller.wait_for_marks(1)
    assert say(app, caller, "a" * 101).status == 400
    engine.hold()
    for _ in range(50):
        answer = say(app, caller, "One sentence. And another one. ", flush=False)
        if answer.status != 200:
            break
    assert (answer.status, answer.json["error"]["code"]) == (429, "rate_limit_exceeded")
    clear(app, caller)
    engine.let_go()
    assert say(app, caller, "Fine.").status == 200
    caller.wait_for_marks(2)


def test_streams_over_the_admission_limit_are_refused(serve_app, call):
    engine = SteppedEngine()
    app = serve_app(engine, max_streams=1)
    first, second = call(app, text="One."), call(app)
    first.wait_for_marks(1)
    wait_for_the_start_of(second, app)
    engine.hold()
    assert say(app, first, "More of one.").status == 200
    engine.wait_for_requests(2)
    answer = say(app, second, "Two.")
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert call(app, text="Three.").wait_until_closed() == 1013
    engine.let_go()
    first.wait_for_marks(2)
